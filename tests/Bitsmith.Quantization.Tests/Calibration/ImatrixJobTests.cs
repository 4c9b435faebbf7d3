using Bitsmith.Checkpoints;
using Bitsmith.Checkpoints.Imatrix;
using Bitsmith.Evaluation.Texts;
using Bitsmith.Quantization.Calibration;
using Bitsmith.Quantization.Jobs;
using Bitsmith.Quantization.Tests.Conversion;

namespace Bitsmith.Quantization.Tests.Calibration;

public sealed class ImatrixJobTests : IDisposable
{
    private static readonly string Text = Fixture("calib.txt");

    private readonly DirectoryInfo root = Directory.CreateTempSubdirectory("bitsmith-imatrix-");

    public void Dispose() => root.Delete(recursive: true);

    /// <remarks>
    /// The recorded run rounded inputs of F16 weights, and keys and values, to F16; on another machine llama.cpp itself differs from it by a seventh in columns that are almost zero.
    /// Columns are therefore measured against the mean of their row. Interop tests compare runs without that rounding.
    /// </remarks>
    [Theory]
    [InlineData("tiny-glm4")]
    [InlineData("tiny-glm4moe")]
    public void The_sums_are_those_of_llama_imatrix_up_to_its_rounding(string name)
    {
        using GoldenModel model = new(name);
        ImportanceMatrix expected = ImportanceMatrix.Load(Fixture($"{name}.imatrix.gguf"));

        ImportanceMatrix found = Run(Options(model));

        Assert.Equal(expected.Entries.Keys, found.Entries.Keys);
        Assert.Equal((expected.ChunkCount, expected.ChunkSize), (found.ChunkCount, found.ChunkSize));
        Assert.Equal(expected.Datasets, found.Datasets);
        foreach ((string tensor, ImatrixEntry right) in expected.Entries)
        {
            ImatrixEntry entry = found.Entries[tensor];
            Assert.Equal(right.Counts, entry.Counts);
            for (int i = 0; i < right.Squares.Length; i++)
            {
                int matrix = i / right.Columns;
                float mean = right.Squares.AsSpan(matrix * right.Columns, right.Columns).ToArray().Average(), square = right.Squares[i] + mean;
                Assert.True(MathF.Abs(entry.Squares[i] - right.Squares[i]) <= 2e-3f * square, $"{tensor} {i}: {entry.Squares[i]} for {right.Squares[i]}");
                Assert.True(MathF.Abs(entry.Sums![i] - right.Sums![i]) <= 2e-3f * MathF.Sqrt(square * right.Counts[matrix]), $"{tensor} {i}: {entry.Sums[i]} for {right.Sums[i]}");
            }
        }
    }

    [Fact]
    public void Threads_and_savings_leave_no_trace_in_the_file()
    {
        using GoldenModel model = new("tiny-glm4moe");
        byte[] once = Bytes(Options(model) with { Threads = 1, SaveFrequency = 100 });
        Assert.Equal(once, Bytes(Options(model) with { Threads = 3, SaveFrequency = 1 }));
        Assert.Equal(once, Bytes(Options(model) with { Threads = 2, SaveFrequency = 3 }));
        Assert.Equal(["f.gguf"], root.EnumerateFiles().Select(file => file.Name));
    }

    [Theory]
    [InlineData(1)]
    [InlineData(5)]
    [InlineData(7)]
    public void A_run_that_was_interrupted_goes_on_to_the_same_bytes(int chunks)
    {
        using GoldenModel model = new("tiny-glm4moe");
        ImatrixOptions options = Options(model) with { SaveFrequency = 2 };
        byte[] whole = Bytes(options);
        File.Delete(options.Output);

        using CancellationTokenSource stop = new();
        using (ImatrixJob job = ImatrixJob.Prepare(options))
        {
            Assert.Throws<OperationCanceledException>(() => job.Run(new Stopper(chunks, stop), stop.Token));
        }

        Assert.False(File.Exists(options.Output));
        Assert.Throws<RequestException>(() => ImatrixJob.Prepare(options));
        using ImatrixJob rest = ImatrixJob.Prepare(options with { Resume = true, Threads = 1 });
        Assert.Equal((chunks + 1) / 2 * 2, rest.Restored); // told after a batch of two, saved with it
        rest.Run(null, CancellationToken.None);
        Assert.Equal(whole, File.ReadAllBytes(options.Output));
    }

    [Fact]
    public void A_run_goes_on_only_as_what_it_was()
    {
        using GoldenModel model = new("tiny-glm4moe");
        ImatrixOptions options = Options(model) with { SaveFrequency = 2, Resume = true };
        using CancellationTokenSource stop = new();
        using (ImatrixJob job = ImatrixJob.Prepare(options))
        {
            Assert.Throws<OperationCanceledException>(() => job.Run(new Stopper(2, stop), stop.Token));
        }

        string other = Path.Combine(root.FullName, "other.txt");
        File.WriteAllText(other, "x" + File.ReadAllText(Text));
        foreach (ImatrixOptions changed in (ImatrixOptions[])[options with { AllExperts = true }, options with { ProcessOutput = true }, options with { Text = other }, options with { Chunks = new(64) }])
        {
            Assert.Contains("another job", Assert.Throws<RequestException>(() => ImatrixJob.Prepare(changed)).Message, StringComparison.Ordinal);
        }
    }

    [Fact]
    public void With_all_experts_each_sees_every_token_and_all_other_tensors_see_the_same()
    {
        using GoldenModel model = new("tiny-glm4moe");
        ImportanceMatrix routed = Run(Options(model)), all = Run(Options(model) with { AllExperts = true, Force = true });
        Assert.Equal(routed.Entries.Keys, all.Entries.Keys);
        foreach ((string tensor, ImatrixEntry entry) in all.Entries)
        {
            if (tensor.Contains("_exps", StringComparison.Ordinal))
            {
                Assert.All(entry.Counts, count => Assert.Equal(1280, count));
            }
            else
            {
                Assert.Equal(routed.Entries[tensor].Squares, entry.Squares);
                Assert.Equal(routed.Entries[tensor].Sums, entry.Sums);
            }
        }
    }

    [Fact]
    public void Experts_without_tokens_are_told_of()
    {
        using GoldenModel model = new("tiny-glm4moe");
        using ImatrixJob job = ImatrixJob.Prepare(Options(model));
        job.Run(null, CancellationToken.None);
        Assert.Contains(job.Warnings, warning => warning.StartsWith("blk.2.ffn_down_exps.weight: 1 of 6 experts saw no token", StringComparison.Ordinal));
    }

    [Fact]
    public void The_head_is_taken_on_request_and_earlier_files_are_added()
    {
        using GoldenModel model = new("tiny-glm4");
        ImatrixOptions options = Options(model);
        ImportanceMatrix first = Run(options), head = Run(options with { ProcessOutput = true, Force = true });
        string name = Assert.Single(head.Entries.Keys.Except(first.Entries.Keys));
        Assert.Contains(name, (string[])["output.weight", "token_embd.weight"]);
        Assert.Equal(1280, head.Entries[name].Counts[0]);

        string earlier = Path.Combine(root.FullName, "earlier.gguf");
        first.Save(earlier);
        ImportanceMatrix both = Run(options with { Added = [earlier], Force = true });
        Assert.Equal((20, 2560), (both.ChunkCount, both.Entries["blk.0.attn_q.weight"].Counts[0]));
        Assert.Equal(first.Entries["blk.1.ffn_down.weight"].Squares.Select(square => 2 * square), both.Entries["blk.1.ffn_down.weight"].Squares);
    }

    [Fact]
    public void Chunks_skipped_and_chunks_taken_make_the_whole()
    {
        using GoldenModel model = new("tiny-glm4");
        ImatrixOptions options = Options(model) with { Force = true };
        ImportanceMatrix head = Run(options with { Chunks = new(128, 0, 4) }), tail = Run(options with { Chunks = new(128, 4) }), whole = Run(options);
        ImportanceMatrix both = ImatrixMerge.Merge([("head", head), ("tail", tail)], 512, []);
        Assert.Equal((4, 6, 10), (head.ChunkCount, tail.ChunkCount, both.ChunkCount));
        Assert.All(whole.Entries, entry => Assert.All(entry.Value.Squares.Zip(both.Entries[entry.Key].Squares), pair => Assert.InRange(pair.Second, pair.First * 0.99999f, pair.First * 1.00001f)));
    }

    [Fact]
    public void What_cannot_be_done_is_refused_before_the_work()
    {
        using GoldenModel model = new("tiny-glm4");
        ImatrixOptions options = Options(model);
        Assert.Contains("at least 2", Assert.Throws<CheckpointException>(() => ImatrixJob.Prepare(options with { Chunks = new(1000) })).Message, StringComparison.Ordinal);
        Assert.Contains("10 are to be skipped", Assert.Throws<CheckpointException>(() => ImatrixJob.Prepare(options with { Chunks = new(128, 10) })).Message, StringComparison.Ordinal);
        File.WriteAllBytes(Path.Combine(root.FullName, "bad.txt"), [0xC3, 0x28]);
        Assert.Contains("UTF-8", Assert.Throws<CheckpointException>(() => ImatrixJob.Prepare(options with { Text = Path.Combine(root.FullName, "bad.txt") })).Message, StringComparison.Ordinal);
        File.WriteAllText(options.Output, "there");
        Assert.Contains("--force", Assert.Throws<RequestException>(() => ImatrixJob.Prepare(options)).Message, StringComparison.Ordinal);
    }

    private static string Fixture(string file) => Path.Combine(AppContext.BaseDirectory, "gguf", "imatrix", file);

    private ImatrixOptions Options(GoldenModel model) => new()
    {
        Model = model.Folder,
        Text = Text,
        Output = Path.Combine(root.FullName, "f.gguf"),
        Chunks = new TextChunkSettings(128),
        ExactActivations = true,
    };

    private static ImportanceMatrix Run(ImatrixOptions options)
    {
        using ImatrixJob job = ImatrixJob.Prepare(options);
        return job.Run(null, CancellationToken.None);
    }

    private static byte[] Bytes(ImatrixOptions options)
    {
        Run(options with { Force = true });
        return File.ReadAllBytes(options.Output);
    }

    private sealed class Stopper(int chunks, CancellationTokenSource stop) : IProgress<ImatrixProgress>
    {
        public void Report(ImatrixProgress value)
        {
            if (value.Done >= chunks)
            {
                stop.Cancel();
            }
        }
    }
}
