using System.Buffers.Binary;
using System.Text;
using Bitsmith.Checkpoints.Safetensors;
using Bitsmith.Checkpoints.Tests.Support;

namespace Bitsmith.Checkpoints.Tests.Safetensors;

/// <summary>One small file for each rule of the format that a file can break.</summary>
public sealed class HostileHeaderTests
{
    [Theory]
    [InlineData(0)]
    [InlineData(1)]
    [InlineData(7)]
    public void A_file_too_short_for_its_length_prefix_is_refused(int bytes) =>
        Refused(new byte[bytes], $"{bytes} bytes", "takes 8");

    [Theory]
    [InlineData(3ul, "only 2 follow")]
    [InlineData(1000ul, "only 2 follow")]
    [InlineData(100_000_000ul, "only 2 follow")]
    [InlineData(100_000_001ul, "at most 100000000")]
    [InlineData(0x7FFF_FFFF_FFFF_FFFFul, "at most 100000000")]
    [InlineData(0x8000_0000_0000_0000ul, "at most 100000000")]
    [InlineData(ulong.MaxValue, "at most 100000000")]
    public void A_length_prefix_beyond_the_file_or_the_limit_is_refused_before_anything_is_allocated(ulong length, string finding)
    {
        byte[] file = Weights.Raw("{}");
        BinaryPrimitives.WriteUInt64LittleEndian(file, length);
        long before = GC.GetAllocatedBytesForCurrentThread();
        Refused(file, $"a header of {length} bytes", finding);
        Assert.InRange(GC.GetAllocatedBytesForCurrentThread() - before, 0, 1_000_000);
    }

    [Fact]
    public void A_header_that_is_not_utf8_is_refused() =>
        Refused(Weights.Raw([.. "{\"a\xFF\":{}}".Select(letter => (byte)letter)]), "not valid UTF-8");

    [Theory]
    [InlineData("")]
    [InlineData(" ")]
    [InlineData("[]")]
    [InlineData("1")]
    [InlineData("\"a\"")]
    [InlineData("null")]
    [InlineData("{")]
    [InlineData("{\"a\"")]
    [InlineData("{\"a\":")]
    [InlineData("{'a':1}")]
    [InlineData("{,}")]
    [InlineData("// {}")]
    public void A_header_that_is_not_a_json_object_is_refused(string header) => Refused(Weights.Raw(header), "header");

    [Theory]
    [InlineData("x")]
    [InlineData("{}")]
    [InlineData("\0")]
    public void Anything_but_spaces_behind_the_json_is_refused(string junk) => Refused(Weights.Raw("{}" + junk), "header");

    [Fact]
    public void Spaces_behind_the_json_are_padding()
    {
        SafetensorsHeader header = Parse(Weights.Raw("{}   \n"));
        Assert.Empty(header.Tensors);
        Assert.Equal(14, header.Bytes);
    }

    [Theory]
    [InlineData("a", "a")]
    [InlineData("a", "\\u0061")]
    public void A_tensor_name_that_stands_twice_is_refused(string first, string second) =>
        Refused(Weights.Raw($"{{\"{first}\":{Entry(0, 2)},\"{second}\":{Entry(2, 4)}}}", 4), "'a' stands twice");

    [Fact]
    public void Metadata_that_stands_twice_is_refused() =>
        Refused(Weights.Raw("""{"__metadata__":{},"__metadata__":{}}"""), "'__metadata__' stands twice");

    [Theory]
    [InlineData("""{"dtype":"U8","dtype":"U8","shape":[2],"data_offsets":[0,2]}""", "dtype")]
    [InlineData("""{"dtype":"U8","shape":[2],"data_offsets":[0,2],"shape":[2]}""", "shape")]
    [InlineData("""{"other":1,"dtype":"U8","shape":[2],"data_offsets":[0,2],"other":2}""", "other")]
    public void A_key_that_stands_twice_in_a_tensor_is_refused(string entry, string key) => RefusedEntry(entry, $"'{key}' twice");

    [Theory]
    [InlineData("""{"__metadata__":[]}""", "__metadata__")]
    [InlineData("""{"__metadata__":{"format":1}}""", "__metadata__.format")]
    [InlineData("""{"__metadata__":{"format":null}}""", "__metadata__.format")]
    [InlineData("""{"__metadata__":{"a":"1","a":"2"}}""", "__metadata__.a stands twice")]
    public void Metadata_that_is_not_strings_by_distinct_names_is_refused(string header, string place) => Refused(Weights.Raw(header), place);

    [Fact]
    public void Deep_nesting_is_refused() =>
        RefusedPlace($$"""{"t":{"extra":{{new string('[', 5000)}}{{new string(']', 5000)}},"dtype":"U8","shape":[2],"data_offsets":[0,2]} }""", "depth");

    [Theory]
    [InlineData("BF17")]
    [InlineData("bf16")]
    [InlineData("")]
    [InlineData("F4")]
    public void An_unknown_dtype_is_refused_with_the_known_ones(string dtype) =>
        RefusedEntry($$"""{"dtype":"{{dtype}}","shape":[2],"data_offsets":[0,2]}""", $"'{dtype}'", "F8_E4M3");

    [Theory]
    [InlineData("1")]
    [InlineData("null")]
    [InlineData("[\"U8\"]")]
    public void A_dtype_that_is_no_string_is_refused(string dtype) =>
        RefusedEntry($$"""{"dtype":{{dtype}},"shape":[2],"data_offsets":[0,2]}""", "dtype of 't'");

    [Theory]
    [InlineData("[-1]")]
    [InlineData("[2.0]")]
    [InlineData("[2e0]")]
    [InlineData("[9223372036854775808]")]
    [InlineData("[1e400]")]
    [InlineData("[\"2\"]")]
    [InlineData("[null]")]
    [InlineData("[[2]]")]
    [InlineData("2")]
    [InlineData("{}")]
    public void A_shape_of_anything_but_whole_numbers_from_zero_on_is_refused(string shape) =>
        RefusedEntry($$"""{"dtype":"U8","shape":{{shape}},"data_offsets":[0,2]}""", "shape of 't'");

    [Fact]
    public void A_shape_of_more_than_32_sizes_is_refused() =>
        RefusedEntry($$"""{"dtype":"U8","shape":[{{string.Join(',', Enumerable.Repeat(1, 33))}}],"data_offsets":[0,1]}""", "shape of 't'", "32");

    [Theory]
    [InlineData("F32", "[4611686018427387904]")] // 2^62 elements of 4 bytes
    [InlineData("U8", "[4294967296,4294967296]")]
    [InlineData("U8", "[9223372036854775807,2]")]
    [InlineData("F64", "[3037000500,3037000500]")]
    public void A_shape_whose_product_overflows_is_refused(string dtype, string shape) =>
        RefusedEntry($$"""{"dtype":"{{dtype}}","shape":{{shape}},"data_offsets":[0,2]}""", "'t'", "63 bits");

    [Theory]
    [InlineData("""{"dtype":"U8","shape":[9223372036854775807],"data_offsets":[0,9223372036854775807]}""")]
    [InlineData("""{"dtype":"U8","shape":[2],"data_offsets":[9223372036854775805,9223372036854775807]}""")]
    [InlineData("""{"dtype":"U8","shape":[2],"data_offsets":[9223372036854775807,9223372036854775807]}""")]
    public void Offsets_at_the_end_of_63_bits_are_refused(string entry) => RefusedEntry(entry, "'t'");

    [Theory]
    [InlineData("[0,3]")]
    [InlineData("[0,1]")]
    [InlineData("[2,0]")]
    public void A_range_that_is_not_as_long_as_shape_and_dtype_say_is_refused(string range) =>
        RefusedEntry($$"""{"dtype":"U8","shape":[2],"data_offsets":{{range}}}""", "'t'", "takes 2 bytes");

    [Theory]
    [InlineData("[]")]
    [InlineData("[0]")]
    [InlineData("[0,1,2]")]
    [InlineData("[0,-2]")]
    [InlineData("[0,2.0]")]
    [InlineData("null")]
    public void Offsets_that_are_not_two_whole_numbers_are_refused(string range) =>
        RefusedEntry($$"""{"dtype":"U8","shape":[2],"data_offsets":{{range}}}""", "'t'", "data_offsets");

    [Theory]
    [InlineData("""{}""")]
    [InlineData("""{"shape":[2],"data_offsets":[0,2]}""")]
    [InlineData("""{"dtype":"U8","data_offsets":[0,2]}""")]
    [InlineData("""{"dtype":"U8","shape":[2]}""")]
    public void A_tensor_that_lacks_a_key_is_refused(string entry) => RefusedEntry(entry, "tensor 't' lacks");

    [Theory]
    [InlineData("[]")]
    [InlineData("1")]
    [InlineData("null")]
    public void A_tensor_that_is_no_object_is_refused(string entry) => RefusedEntry(entry, "tensor 't' must be an object");

    [Fact]
    public void Tensors_that_overlap_are_refused() =>
        Refused(Weights.Raw($"{{\"a\":{Entry(0, 2)},\"b\":{Entry(1, 3)}}}", 3), "tensor 'b'", "overlaps");

    [Fact]
    public void A_gap_between_tensors_is_refused() =>
        Refused(Weights.Raw($"{{\"a\":{Entry(0, 2)},\"b\":{Entry(3, 5)}}}", 5), "tensor 'b'", "gap");

    [Fact]
    public void A_gap_before_the_first_tensor_is_refused() =>
        Refused(Weights.Raw($"{{\"a\":{Entry(1, 3)}}}", 3), "tensor 'a'", "gap");

    [Fact]
    public void Data_behind_the_last_tensor_is_refused() =>
        Refused(Weights.Raw($"{{\"a\":{Entry(0, 2)}}}", 3), "Something follows the data");

    [Theory]
    [InlineData(0)]
    [InlineData(1)]
    public void Data_that_is_cut_off_is_refused(int present) =>
        Refused(Weights.Raw($"{{\"a\":{Entry(0, 2)}}}", present), "cut off");

    [Theory]
    [InlineData("""{"\ud800":{"dtype":"U8","shape":[2],"data_offsets":[0,2]}}""")]
    [InlineData("""{"\udc00x":{"dtype":"U8","shape":[2],"data_offsets":[0,2]}}""")]
    [InlineData("""{"t":{"dtype":"\ud800","shape":[2],"data_offsets":[0,2]}}""")]
    [InlineData("""{"t":{"\udfff":1,"dtype":"U8","shape":[2],"data_offsets":[0,2]}}""")]
    [InlineData("""{"__metadata__":{"a":"\ud800"},"t":{"dtype":"U8","shape":[2],"data_offsets":[0,2]}}""")]
    public void Half_a_surrogate_pair_is_refused(string header) => Refused(Weights.Raw(header, 2), "header", "UTF-16");

    [Fact]
    public void Keys_that_the_format_does_not_know_are_passed_over()
    {
        SafetensorsHeader header = Parse(Weights.Raw("""{"t":{"note":{"a":[1,{}]},"dtype":"U8","shape":[2],"data_offsets":[0,2]}}""", 2));
        Assert.Equal("t", Assert.Single(header.Tensors).Name);
    }

    private static string Entry(int begin, int end) => $$"""{"dtype":"U8","shape":[2],"data_offsets":[{{begin}},{{end}}]}""";

    private static SafetensorsHeader Parse(byte[] file) => SafetensorsHeader.Parse(Weights.Header(file), file.Length, "here.safetensors");

    private static void RefusedEntry(string entry, params string[] places) => Refused(Weights.Raw($$"""{"t":{{entry}} }""", 2), places);

    private static void RefusedPlace(string header, string place) => Refused(Weights.Raw(header, 2), place);

    /// <summary>The file is refused when opened, and the message names it and the places.</summary>
    private static void Refused(byte[] content, params string[] places)
    {
        using TemporaryFolder folder = new();
        string path = folder.Write("hostile.safetensors", content);
        CheckpointException refusal = Assert.Throws<CheckpointException>(() => SafetensorsFile.Open(path));
        Assert.Equal(path, refusal.Path);
        Assert.StartsWith(path + ": ", refusal.Message, StringComparison.Ordinal);
        foreach (string place in places)
        {
            Assert.Contains(place, refusal.Message, StringComparison.Ordinal);
        }

        // The message ends as a sentence does, and holds no control characters of the file.
        Assert.EndsWith(".", refusal.Message, StringComparison.Ordinal);
        Assert.DoesNotContain("..", refusal.Message[path.Length..], StringComparison.Ordinal);
        Assert.True(Encoding.UTF8.GetByteCount(refusal.Message) < 2000);
    }
}
