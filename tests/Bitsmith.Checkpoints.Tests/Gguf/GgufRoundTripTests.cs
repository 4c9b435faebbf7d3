using Bitsmith.Checkpoints.Gguf;
using Bitsmith.Checkpoints.Tests.Support;
using FsCheck;
using FsCheck.Fluent;

namespace Bitsmith.Checkpoints.Tests.Gguf;

public sealed class GgufRoundTripTests
{
    private static readonly string[] Pieces = ["general", ".", "blk.0", "weight", "é", "日本", "😀", "\"", "\\", "\n", "\0", "Ġ", " ", ""];

    private static readonly object[][] Scalars =
    [
        [(byte)0, (byte)255], [(sbyte)-128, (sbyte)127], [(ushort)0, ushort.MaxValue], [short.MinValue, (short)1], [0u, uint.MaxValue], [int.MinValue, -1],
        [0f, -0f, float.NaN, float.NegativeInfinity, float.Epsilon, 1e-5f], [true, false], ["", "text", "日本\0"], [0ul, ulong.MaxValue], [long.MinValue, 1L], [-0.0, double.NaN, Math.E],
    ];

    private static Gen<string> Name => Gen.Elements(Pieces).ArrayOf(4).Select(pieces => string.Concat(pieces));

    private static Gen<object> Plain => Gen.Elements(Scalars).SelectMany(Gen.Elements);

    private static Gen<Array> Items =>
        from kind in Gen.Elements(Scalars)
        from items in Gen.Elements(kind).ArrayOf()
        select ArrayOf(kind[0].GetType(), items);

    private static Gen<object> Content => Gen.Frequency(
        (4, Plain), (2, Items.Select(items => (object)items)), (1, Items.Select(items => new GgufValue(items)).ArrayOf(3).Select(items => (object)items)));

    private static Gen<GgufTensorInfo> Tensor =>
        from name in Name
        from type in Gen.Elements(GgufTensorType.All.ToArray())
        from dimensions in Gen.Choose(0, 4)
        from sizes in Gen.Frequency((8, Gen.Choose(1, 3)), (1, Gen.Constant(0))).ArrayOf(dimensions)
        where dimensions > 0 || type.BlockValues == 1
        select new GgufTensorInfo(name, type, [.. sizes.Select((size, i) => (long)size * (i == dimensions - 1 ? type.BlockValues : 1))]);

    private static Arbitrary<(KeyValuePair<string, object>[] Metadata, GgufTensorInfo[] Tensors)> Models => (
        from keys in Name.ArrayOf()
        from contents in Content.ArrayOf(keys.Length)
        from tensors in Tensor.ArrayOf()
        select (
            keys.Zip(contents, KeyValuePair.Create).DistinctBy(pair => pair.Key).ToArray(),
            tensors.DistinctBy(tensor => tensor.Name).ToArray())).ToArbitrary();

    [Fact]
    public void What_is_written_is_read_back_the_same_and_in_the_same_order()
    {
        using TemporaryFolder folder = new();
        string path = folder.File("m.gguf");
        Law.Holds(
            Models,
            model =>
            {
                GgufMetadata metadata = Metadata(model.Metadata);
                Write(path, metadata, model.Tensors);
                using GgufFile file = GgufFile.Open(path);
                Assert.Equal(3, file.Header.Version);
                Assert.Equal(metadata.AsEnumerable(), file.Header.Metadata);
                Assert.Equal(model.Tensors.Length, file.Header.Tensors.Count);
                foreach ((GgufTensorInfo given, GgufTensor read) in model.Tensors.Zip(file.Header.Tensors))
                {
                    Assert.Equal((given.Name, given.Type), (read.Name, read.Type));
                    Assert.Equal(given.Shape, read.Shape);
                    Assert.Equal(0, read.Offset % GgufHeader.DefaultAlignment);
                    Assert.Equal(GgufFiles.Data(given), file.View(read).ToArray());
                    Assert.Equal(GgufFiles.Data(given), file.Bytes(read).Span(0, (int)read.Bytes).ToArray());
                }
            },
            runs: 100);
    }

    [Fact]
    public void Whatever_the_limit_a_split_model_is_the_same_model()
    {
        using TemporaryFolder folder = new();
        Law.Holds(
            (from model in Models.Generator from limit in Gen.Choose(1, 3000) select (model, limit)).ToArbitrary(),
            given =>
            {
                (((KeyValuePair<string, object>[] Pairs, GgufTensorInfo[] Tensors) model, int limit), string path) = (given, folder.File("m.gguf"));
                IReadOnlyList<string> paths = Write(path, Metadata(model.Pairs), model.Tensors, limit);
                using (GgufModel read = GgufModel.Open(paths[^1]))
                {
                    Assert.Equal(paths, read.Files.Select(file => file.Path));
                    Assert.Equal(Metadata(model.Pairs).AsEnumerable(), read.Metadata.Where(pair => !pair.Key.StartsWith("split.", StringComparison.Ordinal)));
                    Assert.Equal(model.Tensors.Select(tensor => tensor.Name), read.Tensors.Select(tensor => tensor.Name));
                    Assert.All(read.Files, file => Assert.True(file.Header.Tensors.Count(tensor => tensor.Bytes > 0) <= 1 || file.Header.Tensors.Sum(tensor => tensor.Bytes) <= limit));
                    foreach (GgufTensorInfo tensor in model.Tensors)
                    {
                        (GgufFile file, GgufTensor place) = read.Find(tensor.Name)!.Value;
                        Assert.Equal(GgufFiles.Data(tensor), file.View(place).ToArray());
                    }
                }

                foreach (string file in paths)
                {
                    File.Delete(file);
                }
            },
            runs: 50);
        Assert.Empty(Directory.EnumerateFiles(folder.Path));
    }

    [Fact]
    public void Until_it_is_complete_nothing_stands_under_the_final_name()
    {
        using TemporaryFolder folder = new();
        string path = folder.Write("m.gguf", "what was there before");
        using (GgufWriter writer = new(path, new GgufMetadata("memory"), [new GgufTensorInfo("a", GgufTensorType.F32, [2])]))
        {
            writer.Append(new byte[7]);
            Assert.Throws<InvalidOperationException>(writer.Complete);
            Assert.Throws<InvalidOperationException>(() => writer.Append(new byte[2]));
        }

        Assert.Equal("what was there before", File.ReadAllText(path));
        Assert.Single(Directory.EnumerateFiles(folder.Path));
    }

    [Fact]
    public void What_no_file_can_hold_is_not_written()
    {
        GgufMetadata none = new("memory");
        Refused(none, new GgufTensorInfo(new string('n', 64), GgufTensorType.F32, [1]));
        Refused(none, new GgufTensorInfo("a", GgufTensorType.F32, [1, 1, 1, 1, 1]));
        Refused(none, new GgufTensorInfo("a", GgufTensorType.Find(12)!, [255]));
        Refused(none, new GgufTensorInfo("a", GgufTensorType.F32, [1]), new GgufTensorInfo("a", GgufTensorType.F16, [2]));
        Refused(new GgufMetadata("memory") { { GgufHeader.AlignmentKey, 64u } });
        Refused(new GgufMetadata("memory") { { "key", "\ud800" } });
        foreach (object content in (object[])[1m, 'c', new object(), new int[1, 1], (object[])["a"], (GgufValue[])[new GgufValue(1)], new GgufValue(1)])
        {
            Assert.Throws<ArgumentException>(() => new GgufValue(content));
        }
    }

    private static void Refused(GgufMetadata metadata, params GgufTensorInfo[] tensors) => Assert.ThrowsAny<ArgumentException>(() => GgufLayout.Create(metadata, tensors));

    private static IReadOnlyList<string> Write(string path, GgufMetadata metadata, GgufTensorInfo[] tensors, long? maxFileBytes = null)
    {
        using GgufWriter writer = new(path, metadata, tensors, maxFileBytes);
        foreach (GgufTensorInfo tensor in tensors)
        {
            // In two pieces: where a piece ends must not matter.
            byte[] data = GgufFiles.Data(tensor);
            writer.Append(data.AsSpan(0, data.Length / 3));
            writer.Append(data.AsSpan(data.Length / 3));
        }

        writer.Complete();
        return writer.Paths;
    }

    private static GgufMetadata Metadata(IEnumerable<KeyValuePair<string, object>> pairs)
    {
        GgufMetadata metadata = new("memory");
        foreach ((string key, object content) in pairs.Where(pair => pair.Key != GgufHeader.AlignmentKey))
        {
            metadata.Add(key, content);
        }

        return metadata;
    }

    private static Array ArrayOf(Type type, object[] items)
    {
        Array array = Array.CreateInstance(type, items.Length);
        Array.Copy(items, array, items.Length);
        return array;
    }
}
