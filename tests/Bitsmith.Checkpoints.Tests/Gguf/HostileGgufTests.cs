using System.Text;
using Bitsmith.Checkpoints.Gguf;
using Bitsmith.Checkpoints.Tests.Support;

namespace Bitsmith.Checkpoints.Tests.Gguf;

/// <summary>One small file for each rule of the format that a file can break.</summary>
public sealed class HostileGgufTests
{
    [Fact]
    public void A_file_that_is_no_gguf_is_refused() => Refused([.. "safetensors?"u8], "letters GGUF");

    [Theory]
    [InlineData(0u, "version 0")]
    [InlineData(1u, "version 1")]
    [InlineData(4u, "version 4")]
    [InlineData(0x03000000u, "big-endian")]
    [InlineData(0x02000000u, "big-endian")]
    public void Versions_that_cannot_be_read_are_refused_by_name(uint version, string finding) => Refused(File(version, 0, 0), finding);

    [Fact]
    public void Version_2_is_read_like_version_3()
    {
        using TemporaryFolder folder = new();
        byte[] bytes = GgufFiles.Small();
        bytes[4] = 2;
        using GgufFile file = GgufFile.Open(folder.Write("f.gguf", bytes));
        Assert.Equal(2, file.Header.Version);
        Assert.Equal(5, file.Header.Tensors.Count);
    }

    [Theory]
    [InlineData(1, 0, "tensors")]
    [InlineData(-1, 0, "tensors")]
    [InlineData(long.MaxValue, 0, "tensors")]
    [InlineData(0, 1, "key/value pairs")]
    [InlineData(0, long.MinValue, "key/value pairs")]
    public void Counts_beyond_the_file_are_refused(long tensors, long pairs, string finding) => Refused(File(3, tensors, pairs), finding);

    [Fact]
    public void A_key_that_stands_twice_is_refused() => Refused(File(3, 0, 2, Key("a", 7), [1], Key("a", 7), [0]), "'a' stands twice");

    [Fact]
    public void A_key_of_an_unknown_type_is_refused() => Refused(File(3, 0, 1, Key("a", 13), [0, 0, 0, 0, 0, 0, 0, 0]), "key 'a' has type 13");

    [Fact]
    public void A_truth_value_is_zero_or_one() => Refused(File(3, 0, 1, Key("a", 7), [2]), "key 'a' is a truth value of 2");

    [Fact]
    public void Text_is_utf8() => Refused(File(3, 0, 1, Key("a", 8), Long(2), [0xC3, 0x28]), "key 'a' is not valid UTF-8");

    [Theory]
    [InlineData(100)]
    [InlineData(-1)]
    [InlineData(long.MaxValue)]
    public void Text_longer_than_the_file_is_refused(long length) => Refused(File(3, 0, 1, Key("a", 8), Long(length)), $"{(ulong)length} bytes");

    [Theory]
    [InlineData(0, 9)]
    [InlineData(12, 2)]
    [InlineData(8, 2)]
    [InlineData(9, 1)]
    [InlineData(12, long.MaxValue)]
    [InlineData(0, -1)]
    public void Arrays_longer_than_the_file_are_refused(int type, long count) => Refused(File(3, 0, 1, Key("a", 9), Int(type), Long(count), new byte[8]), $"{(ulong)count} ");

    [Fact]
    public void Arrays_nested_without_end_are_refused()
    {
        byte[][] levels = [.. Enumerable.Range(0, 1000).Select(_ => (byte[])[.. Int(9), .. Long(1)])];
        Refused(File(3, 0, 1, [Key("a", 9), .. levels]), "more than 4 deep");
    }

    [Theory]
    [InlineData(0u)]
    [InlineData(33u)]
    [InlineData(0x80000000u)]
    public void An_alignment_that_is_no_power_of_two_is_refused(uint alignment) => Refused(File(3, 0, 1, Key("general.alignment", 4), Int((int)alignment)), "power of two");

    [Fact]
    public void An_alignment_of_another_type_is_refused() => Refused(File(3, 0, 1, Key("general.alignment", 7), [1]), "expected a UInt32");

    [Fact]
    public void A_tensor_name_over_63_bytes_is_refused() => Refused(File(3, 1, 0, Tensor(new string('n', 64), [1], 0, 0)), "at most 63");

    [Fact]
    public void A_tensor_that_stands_twice_is_refused() => Refused(File(3, 2, 0, Tensor("t", [1], 0, 0), Tensor("t", [1], 0, 32)), "'t' stands twice");

    [Fact]
    public void Five_dimensions_are_refused() => Refused(File(3, 1, 0, Tensor("t", [1, 1, 1, 1, 1], 0, 0)), "'t' has 5 dimensions");

    [Theory]
    [InlineData(4)]
    [InlineData(9)]
    [InlineData(43)]
    [InlineData(-1)]
    public void Types_that_no_file_holds_are_refused(int type) => Refused(File(3, 1, 0, Tensor("t", [32], type, 0)), $"'t' has type {(uint)type}");

    [Fact]
    public void Rows_of_no_whole_blocks_are_refused() => Refused(File(3, 1, 0, Tensor("t", [128, 2], 12, 0)), "Q4_K [2, 128]");

    [Theory]
    [InlineData(-1, 1)]
    [InlineData(1L << 62, 4)]
    [InlineData(1L << 61, 1)]
    [InlineData(1L << 40, 1)]
    public void Sizes_beyond_63_bits_or_the_file_are_refused(long first, long second) => Refused(File(3, 1, 0, Tensor("t", [first, second], 0, 0)), "'t'");

    [Theory]
    [InlineData(0, "overlaps")]
    [InlineData(4, "overlaps")]
    [InlineData(33, "gap")]
    [InlineData(64, "gap")]
    [InlineData(-32, "gap")]
    public void Tensors_follow_one_another_without_gaps_or_overlaps(long offset, string finding) =>
        Refused([.. File(3, 2, 0, Tensor("t", [1], 0, 0), Tensor("u", [1], 0, offset)), .. new byte[256]], "'u' is to start", finding);

    private static byte[] File(uint version, long tensors, long pairs, params byte[][] rest) =>
        [.. "GGUF"u8, .. BitConverter.GetBytes(version), .. Long(tensors), .. Long(pairs), .. rest.SelectMany(bytes => bytes)];

    private static byte[] Key(string key, int type) => [.. Text(key), .. Int(type)];

    private static byte[] Tensor(string name, long[] sizes, int type, long offset) =>
        [.. Text(name), .. Int(sizes.Length), .. sizes.SelectMany(Long), .. Int(type), .. Long(offset)];

    private static byte[] Text(string text) => [.. Long(Encoding.UTF8.GetByteCount(text)), .. Encoding.UTF8.GetBytes(text)];

    private static byte[] Int(int value) => BitConverter.GetBytes(value);

    private static byte[] Long(long value) => BitConverter.GetBytes(value);

    private static void Refused(byte[] bytes, params string[] findings)
    {
        using TemporaryFolder folder = new();
        string path = folder.Write("hostile.gguf", bytes);
        CheckpointException refusal = Assert.Throws<CheckpointException>(() => GgufFile.Open(path).Dispose());
        Assert.StartsWith(path, refusal.Message, StringComparison.Ordinal);
        Assert.All(findings, finding => Assert.Contains(finding, refusal.Message, StringComparison.Ordinal));
    }
}
