using System.Runtime.InteropServices;
using System.Text;
using Bitsmith.Checkpoints.Gguf;
using Bitsmith.Checkpoints.Imatrix;
using Bitsmith.Checkpoints.Tests.Support;

namespace Bitsmith.Checkpoints.Tests.Imatrix;

/// <summary>Files that break one rule each, and files damaged at random.</summary>
public sealed class HostileImatrixTests
{
    [Fact]
    public void A_model_is_no_importance_matrix() => RefusedGguf([Tensor("blk.0.attn_q.weight", 1)], "ends in '.in_sum2'");

    [Fact]
    public void A_file_of_another_type_is_refused() => RefusedGguf([Tensor("w.in_sum2", 1), Tensor("w.counts", 1)], "general.type", type: "adapter");

    [Fact]
    public void Sums_without_counts_are_refused() => RefusedGguf([Tensor("w.in_sum2", 1, 2)], "no 'w.counts'");

    [Theory]
    [InlineData("w.counts")]
    [InlineData("w.in_sum")]
    public void Counts_and_plain_sums_without_sums_of_squares_are_refused(string name) =>
        RefusedGguf([Tensor("v.in_sum2", 1), Tensor("v.counts", 1), Tensor(name, 1)], $"has '{name}' but no 'w.in_sum2'");

    [Fact]
    public void Sums_that_are_no_whole_rows_are_refused() => RefusedGguf([Tensor("w.in_sum2", 1, 2, 3), Tensor("w.counts", 1, 1)], "do not fit together");

    [Fact]
    public void Plain_sums_of_another_length_are_refused() => RefusedGguf([Tensor("w.in_sum2", 1, 2), Tensor("w.counts", 1), Tensor("w.in_sum", 1)], "do not fit together");

    [Fact]
    public void Tensors_without_elements_are_refused() => RefusedGguf([Tensor("w.in_sum2"), Tensor("w.counts")], "do not fit together");

    [Theory]
    [InlineData(float.NaN)]
    [InlineData(float.PositiveInfinity)]
    [InlineData(-1e-30f)]
    public void Sums_of_squares_are_finite_and_not_negative(float value) => RefusedGguf([Tensor("w.in_sum2", 1, value), Tensor("w.counts", 1)], "'w.in_sum2' has ");

    [Theory]
    [InlineData(float.NaN)]
    [InlineData(float.NegativeInfinity)]
    public void Plain_sums_are_finite(float value) => RefusedGguf([Tensor("w.in_sum2", 1), Tensor("w.counts", 1), Tensor("w.in_sum", value)], "'w.in_sum' has ");

    [Theory]
    [InlineData(float.NaN)]
    [InlineData(-1)]
    [InlineData(3e9f)]
    public void Counts_are_counts(float value) => RefusedGguf([Tensor("w.in_sum2", 1), Tensor("w.counts", value)], "'w.counts' has ");

    [Fact]
    public void Zeros_negative_zeros_and_subnormals_are_read()
    {
        using TemporaryFolder folder = new();
        string path = folder.Write("f.gguf", Gguf([Tensor("w.in_sum2", 0, -0f, float.Epsilon), Tensor("w.counts", 0)]));
        Assert.Equal([0, -0f, float.Epsilon], ImportanceMatrix.Load(path).Entries["w"].Squares);
    }

    [Theory]
    [InlineData(0)]
    [InlineData(-1)]
    [InlineData(2)]
    [InlineData(int.MaxValue)]
    public void An_older_file_with_more_entries_than_bytes_or_none_is_refused(int entries) => RefusedDat([.. Int(entries), .. Entry("w", 1, 1)], $"{entries} entries");

    [Theory]
    [InlineData(0)]
    [InlineData(-5)]
    public void An_entry_without_calls_is_refused(int calls) => RefusedDat([.. Int(1), .. Entry("w", calls, 1)], $"'w' has {calls} calls");

    [Fact]
    public void An_entry_that_stands_twice_is_refused() => RefusedDat([.. Int(2), .. Entry("w", 1, 1), .. Entry("w", 1, 1)], "stands twice");

    [Theory]
    [InlineData(float.NaN)]
    [InlineData(float.PositiveInfinity)]
    [InlineData(-1)]
    public void Values_of_an_older_file_are_finite_and_not_negative(float value) => RefusedDat([.. Int(1), .. Entry("w", 1, 2, value)], "value 1 of entry 'w'");

    [Fact]
    public void Bytes_behind_an_older_file_are_refused() => RefusedDat([.. Int(1), .. Entry("w", 1, 1), .. Int(1), .. Int(0), 7], "bytes follow");

    [Fact]
    public void An_older_file_may_end_behind_its_entries()
    {
        using TemporaryFolder folder = new();
        ImportanceMatrix matrix = ImportanceMatrix.Load(folder.Write("f.dat", [.. Int(1), .. Entry("w", 2, 3, 5)]));
        Assert.Equal([1.5f, 2.5f], matrix.Entries["w"].Importance());
        Assert.Empty(matrix.Datasets);
    }

    [Theory]
    [InlineData("tiny-glm4moe.imatrix.gguf")]
    [InlineData("tiny-glm4moe.imatrix.dat")]
    public void A_damaged_file_is_read_or_refused_within_its_own_size(string file)
    {
        using TemporaryFolder folder = new();
        byte[] valid = File.ReadAllBytes(ImatrixSamples.Of(file));
        string path = folder.Write("f", valid);
        new FuzzRuns($"imatrix, {file}", 1000).All(
            path,
            (random, run) => run % 3 == 0 ? valid[..random.Next(valid.Length)] : run % 3 == 1 ? Numbers(valid, random) : Mutation.Damage(valid, valid.Length / 8, random),
            () => Assert.All(ImportanceMatrix.Load(path).Entries.Values, entry => Assert.True(entry.Squares.All(value => float.IsFinite(value) && value >= 0) && entry.Counts.All(count => count >= 0))));
    }

    private static byte[] Numbers(byte[] valid, Random random)
    {
        byte[] damaged = [.. valid];
        long[] hostile = [0, 1, -1, int.MinValue, int.MaxValue, uint.MaxValue, long.MaxValue, 1L << 40, 0x7FC00000, unchecked((int)0xFF800000), valid.Length];
        int structure = random.Next(2) == 0 ? valid.Length : valid.Length / 8;
        for (int change = random.Next(1, 4); change > 0; change--)
        {
            BitConverter.TryWriteBytes(damaged.AsSpan(random.Next(structure - 8)), hostile[random.Next(hostile.Length)]);
        }

        return damaged;
    }

    private static (string Name, float[] Values) Tensor(string name, params float[] values) => (name, values);

    private static byte[] Gguf((string Name, float[] Values)[] tensors, string type = "imatrix")
    {
        GgufMetadata metadata = new("memory");
        metadata.Add("general.type", type);
        GgufLayout layout = GgufLayout.Create(metadata, [.. tensors.Select(tensor => new GgufTensorInfo(tensor.Name, GgufTensorType.F32, [tensor.Values.Length]))]);
        byte[] file = new byte[layout.Length];
        layout.HeaderBytes.CopyTo(file);
        foreach ((GgufTensor place, (_, float[] values)) in layout.Tensors.Zip(tensors))
        {
            MemoryMarshal.AsBytes(values.AsSpan()).CopyTo(file.AsSpan((int)place.Offset));
        }

        return file;
    }

    private static void RefusedGguf((string, float[])[] tensors, string finding, string type = "imatrix") => Refused("f.gguf", Gguf(tensors, type), finding);

    private static void RefusedDat(byte[] bytes, string finding) => Refused("f.dat", bytes, finding);

    private static void Refused(string name, byte[] bytes, string finding)
    {
        using TemporaryFolder folder = new();
        string path = folder.Write(name, bytes);
        CheckpointException refusal = Assert.Throws<CheckpointException>(() => ImportanceMatrix.Load(path));
        Assert.StartsWith(path, refusal.Message, StringComparison.Ordinal);
        Assert.Contains(finding, refusal.Message, StringComparison.Ordinal);
    }

    private static byte[] Entry(string name, int calls, params float[] values) =>
        [.. Int(name.Length), .. Encoding.UTF8.GetBytes(name), .. Int(calls), .. Int(values.Length), .. values.SelectMany(BitConverter.GetBytes)];

    private static byte[] Int(int value) => BitConverter.GetBytes(value);
}
