using System.Buffers.Binary;
using System.Text.Json.Nodes;
using Bitsmith.Checkpoints.Safetensors;
using Bitsmith.Checkpoints.Tests.Support;
using Bitsmith.Tensors.ElementTypes;
using FsCheck;
using FsCheck.Fluent;

namespace Bitsmith.Checkpoints.Tests.Safetensors;

public sealed class SafetensorsRoundTripTests
{
    private static readonly string[] Pieces =
    [
        "model", ".", "layers.", "0", "weight", "é", "日本", "😀", "\"", "\\", "/", "\n", "\t", "\0", "\u007f", "\u2028", "<b>", "'", "&", " ", "+", "\u0301",
        "__metadata__ ", "",
    ];

    private static Gen<string> Name => Gen.Elements(Pieces).ArrayOf(5).Select(pieces => string.Concat(pieces));

    private static Gen<IReadOnlyList<long>> Shape =>
        from dimensions in Gen.Choose(0, 4)
        from sizes in Gen.Frequency((8, Gen.Choose(1, 7)), (1, Gen.Constant(0))).ArrayOf(dimensions)
        select (IReadOnlyList<long>)[.. sizes.Select(size => (long)size)];

    private static Arbitrary<(TensorInfo[] Tensors, (string Key, string Value)[] Metadata)> Files => (
        from count in Gen.Choose(0, 40)
        from names in Name.ArrayOf(count)
        from types in Gen.Elements(Enum.GetValues<ElementType>()).ArrayOf(count)
        from shapes in Shape.ArrayOf(count)
        from keys in Name.ArrayOf(3)
        from values in Name.ArrayOf(3)
        select (
            names.Zip(types, shapes).Select(entry => new TensorInfo(entry.First, entry.Second, entry.Third)).DistinctBy(tensor => tensor.Name).ToArray(),
            keys.Zip(values).DistinctBy(entry => entry.First).Select(entry => (entry.First, entry.Second)).ToArray())).ToArbitrary();

    [Fact]
    public void What_a_layout_writes_a_header_reads_back_in_the_same_order() =>
        Law.Holds(
            Files,
            file =>
            {
                SafetensorsLayout layout = SafetensorsLayout.Create(file.Tensors, file.Metadata.ToDictionary(entry => entry.Key, entry => entry.Value));
                SafetensorsHeader header = SafetensorsHeader.Parse(layout.HeaderBytes.Span[8..], layout.Length, "memory");
                Assert.Equal(file.Tensors.Select(tensor => tensor.Name), header.Tensors.Select(tensor => tensor.Name));
                foreach ((TensorInfo given, StoredTensor placed, StoredTensor read) in file.Tensors.Zip(layout.Tensors, header.Tensors))
                {
                    Assert.Equal((given.Name, given.Type), (read.Name, read.Type));
                    Assert.Equal(given.Shape, read.Shape);
                    Assert.Equal((placed.Offset, given.Bytes), (read.Offset, read.Bytes));
                }

                Assert.Equal(file.Metadata.OrderBy(entry => entry.Key, StringComparer.Ordinal), header.Metadata.Select(entry => (entry.Key, entry.Value)).OrderBy(entry => entry.Key, StringComparer.Ordinal));
            },
            runs: 400);

    [Fact]
    public void Data_starts_at_a_multiple_of_eight_and_follows_without_gaps() =>
        Law.Holds(
            Files,
            file =>
            {
                SafetensorsLayout layout = SafetensorsLayout.Create(file.Tensors, new Dictionary<string, string>());
                ReadOnlySpan<byte> header = layout.HeaderBytes.Span;
                Assert.Equal(0, header.Length % 8);
                Assert.Equal(header.Length - 8, BinaryPrimitives.ReadInt64LittleEndian(header));
                long position = header.Length;
                foreach (StoredTensor tensor in layout.Tensors)
                {
                    Assert.Equal(position, tensor.Offset);
                    position += tensor.Shape.Aggregate(1L, (product, size) => product * size) * tensor.Type.Bytes();
                }

                Assert.Equal(layout.Length, position);
            },
            runs: 200);

    [Fact]
    public void The_header_is_what_an_independent_json_reader_expects()
    {
        SafetensorsLayout layout = SafetensorsLayout.Create(
            [new("a", ElementType.BF16, [2, 3]), new("scalar", ElementType.F32, []), new("empty", ElementType.I64, [0, 5]), new("b", ElementType.F8E4M3, [1])],
            new Dictionary<string, string> { ["format"] = "pt" });
        JsonNode expected = JsonNode.Parse("""
            {"__metadata__":{"format":"pt"},"a":{"dtype":"BF16","shape":[2,3],"data_offsets":[0,12]},"scalar":{"dtype":"F32","shape":[],"data_offsets":[12,16]},
             "empty":{"dtype":"I64","shape":[0,5],"data_offsets":[16,16]},"b":{"dtype":"F8_E4M3","shape":[1],"data_offsets":[16,17]}}
            """)!;
        Assert.True(JsonNode.DeepEquals(expected, JsonNode.Parse(layout.HeaderBytes.Span[8..])));
        Assert.Equal(layout.HeaderBytes.Length + 17, layout.Length);
    }

    [Fact]
    public void The_order_of_the_data_counts_not_that_of_the_header()
    {
        byte[] file = Weights.Raw("""{"late":{"dtype":"U8","shape":[3],"data_offsets":[2,5]},"early":{"dtype":"U8","shape":[2],"data_offsets":[0,2]}}""", 5);
        SafetensorsHeader header = SafetensorsHeader.Parse(Weights.Header(file), file.Length, "memory");
        Assert.Equal(["early", "late"], header.Tensors.Select(tensor => tensor.Name));
    }

    [Fact]
    public void A_tensor_counts_its_elements_and_bytes_and_describes_itself()
    {
        Assert.Equal((1, 4), (new TensorInfo("s", ElementType.F32, []).Elements, new TensorInfo("s", ElementType.F32, []).Bytes));
        TensorInfo tensor = new("w", ElementType.BF16, [4096, 13696]);
        Assert.Equal((4096L * 13696, 4096L * 13696 * 2), (tensor.Elements, tensor.Bytes));
        Assert.Equal("BF16 [4096, 13696]", tensor.Describe());
        Assert.Throws<OverflowException>(() => new TensorInfo("w", ElementType.U8, [long.MaxValue, 2]));
    }
}
