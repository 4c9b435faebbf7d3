using Bitsmith.Checkpoints.Imatrix;
using Bitsmith.Checkpoints.Tests.Support;
using FsCheck.Fluent;

namespace Bitsmith.Checkpoints.Tests.Imatrix;

public sealed class ImatrixFileTests
{
    [Theory]
    [InlineData("tiny-glm4.imatrix.gguf")]
    [InlineData("tiny-glm4moe.imatrix.gguf")]
    public void A_matrix_of_llama_imatrix_is_written_again_byte_for_byte(string file)
    {
        using TemporaryFolder folder = new();
        string copy = folder.File("copy.gguf");
        ImportanceMatrix.Load(ImatrixSamples.Of(file)).Save(copy);
        Assert.Equal(File.ReadAllBytes(ImatrixSamples.Of(file)), File.ReadAllBytes(copy));Assert.Equal(File.ReadAllBytes(ImatrixSamples.Of(file)), File.ReadAllBytes(copy));
    }

    [Theory]
    [InlineData("tiny-glm4")]
    [InlineData("tiny-glm4moe")]
    public void The_older_form_is_written_as_llama_imatrix_writes_it(string name)
    {
        using TemporaryFolder folder = new();
        string copy = folder.File("copy.dat");
        ImportanceMatrix.Load(ImatrixSamples.Of(name + ".imatrix.gguf")).Save(copy, ImatrixFormat.Dat);
        Assert.Equal(File.ReadAllBytes(ImatrixSamples.Of(name + ".imatrix.dat")), File.ReadAllBytes(copy));
    }

    [Fact]
    public void What_a_file_says_of_its_making_is_read()
    {
        ImportanceMatrix matrix = ImportanceMatrix.Load(ImatrixSamples.Experts);
        Assert.Equal(["calib.txt"], matrix.Datasets);
        Assert.Equal((10, 128, false), (matrix.ChunkCount, matrix.ChunkSize, matrix.CountsChunks));
        ImatrixEntry up = matrix.Entries["blk.1.ffn_up_exps.weight"];
        Assert.Equal((6, 128, 0), (up.Counts.Length, up.Columns, up.Unseen));
        Assert.Equal(1280 * 2, up.Counts.Sum());
    }

    [Fact]
    public void An_expert_that_was_never_routed_to_weighs_all_columns_alike()
    {
        ImatrixEntry down = ImportanceMatrix.Load(ImatrixSamples.Experts).Entries["blk.2.ffn_down_exps.weight"];
        Assert.Equal((0, 1), (down.Counts[0], down.Unseen));
        float[] importance = down.Importance();
        Assert.All(importance[..down.Columns], weight => Assert.Equal(1, weight));
        Assert.Equal(down.Squares[down.Columns] / down.Counts[1], importance[down.Columns]);
    }

    [Fact]
    public void A_split_matrix_is_read_whole()
    {
        using TemporaryFolder folder = new();
        string copy = folder.File("copy.gguf");
        ImportanceMatrix.Load(ImatrixSamples.Of("imx-00002-of-00003.gguf")).Save(copy);
        Assert.Equal(File.ReadAllBytes(ImatrixSamples.Dense), File.ReadAllBytes(copy));
    }

    [Theory]
    [InlineData("tiny-glm4")]
    [InlineData("tiny-glm4moe")]
    public void Both_forms_give_the_same_importance(string name)
    {
        ImportanceMatrix gguf = ImportanceMatrix.Load(ImatrixSamples.Of(name + ".imatrix.gguf")), dat = ImportanceMatrix.Load(ImatrixSamples.Of(name + ".imatrix.dat"));
        Assert.True(dat.CountsChunks);
        Assert.Equal(10, dat.ChunkCount);
        Assert.Equal(gguf.Entries.Keys, dat.Entries.Keys);
        Assert.All(gguf.Entries, entry => Assert.All(
            entry.Value.Importance().Zip(dat.Entries[entry.Key].Importance()), pair => Assert.InRange(pair.Second, pair.First * 0.999999f, pair.First * 1.000001f)));
    }

    [Fact]
    public void Any_matrix_is_read_as_it_was_written()
    {
        using TemporaryFolder folder = new();
        string path = folder.File("m.gguf");
        Law.Holds(ArbMap.Default.ArbFor<int>(), seed =>
        {
            ImportanceMatrix matrix = ImatrixSamples.Random(new Random(seed));
            matrix = new ImportanceMatrix(matrix.Entries) { Datasets = matrix.Datasets, ChunkCount = 7, ChunkSize = 96, NextnLayers = seed & 1, Notes = [KeyValuePair.Create("bitsmith.x", "ä")] };
            matrix.Save(path);
            Same(matrix, ImportanceMatrix.Load(path));
        }, 50);
    }

    [Fact]
    public void Merging_adds_sums_and_counts()
    {
        List<string> warnings = [];
        ImportanceMatrix one = ImatrixSamples.Random(new Random(1)), two = ImatrixSamples.Random(new Random(2));
        ImportanceMatrix both = ImatrixMerge.Merge([("1", one), ("2", two)], 512, warnings);
        Assert.Empty(warnings);
        Assert.Equal(["a.txt", "a.txt"], both.Datasets);
        Assert.Equal((6, 128), (both.ChunkCount, both.ChunkSize));
        Assert.All(both.Entries, entry =>
        {
            ImatrixEntry a = one.Entries[entry.Key], b = two.Entries[entry.Key];
            Assert.Equal(a.Counts.Zip(b.Counts, (x, y) => x + y), entry.Value.Counts);
            Assert.Equal(a.Squares.Zip(b.Squares, (x, y) => x + y), entry.Value.Squares);
            Assert.Equal(a.Sums!.Zip(b.Sums!, (x, y) => x + y), entry.Value.Sums!);
        });
    }

    [Fact]
    public void Merging_with_an_older_file_keeps_the_importance_and_says_that_plain_sums_are_lost()
    {
        List<string> warnings = [];
        ImportanceMatrix gguf = ImportanceMatrix.Load(ImatrixSamples.Dense), dat = ImportanceMatrix.Load(ImatrixSamples.Of("tiny-glm4.imatrix.dat"));
        ImportanceMatrix both = ImatrixMerge.Merge([("a.gguf", gguf), ("b.dat", dat)], 512, warnings);
        Assert.Contains("12 of 12 tensors", Assert.Single(warnings), StringComparison.Ordinal);
        Assert.Equal(20, both.ChunkCount);
        Assert.All(both.Entries, entry =>
        {
            Assert.Null(entry.Value.Sums);
            Assert.All(entry.Value.Importance().Zip(gguf.Entries[entry.Key].Importance()), pair => Assert.InRange(pair.First, pair.Second * 0.99999f, pair.Second * 1.00001f));
        });
    }

    [Fact]
    public void Matrices_of_different_models_do_not_merge()
    {
        ImportanceMatrix one = new([KeyValuePair.Create("w", new ImatrixEntry([1, 2], null, [1]))]) { ChunkSize = 1 };
        ImportanceMatrix two = new([KeyValuePair.Create("w", new ImatrixEntry([1, 2, 3], null, [1]))]) { ChunkSize = 1 };
        CheckpointException refusal = Assert.Throws<CheckpointException>(() => ImatrixMerge.Merge([("1.gguf", one), ("2.gguf", two)], 512, []));
        Assert.StartsWith("2.gguf: 'w' has 3 sums", refusal.Message, StringComparison.Ordinal);
    }

    private static void Same(ImportanceMatrix expected, ImportanceMatrix found)
    {
        Assert.Equal((expected.ChunkCount, expected.ChunkSize, expected.NextnLayers, expected.CountsChunks), (found.ChunkCount, found.ChunkSize, found.NextnLayers, found.CountsChunks));
        Assert.Equal(expected.Datasets, found.Datasets);
        Assert.Equal(expected.Notes, found.Notes);
        Assert.Equal(expected.Entries.Keys, found.Entries.Keys);
        Assert.All(expected.Entries, entry =>
        {
            ImatrixEntry other = found.Entries[entry.Key];
            Assert.Equal(entry.Value.Squares, other.Squares);
            Assert.Equal(entry.Value.Sums, other.Sums);
            Assert.Equal(entry.Value.Counts, other.Counts);
        });
    }
}
