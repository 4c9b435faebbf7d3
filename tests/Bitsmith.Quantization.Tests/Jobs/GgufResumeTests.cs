using Bitsmith.Quantization.Jobs;
using Bitsmith.Quantization.Tests.Conversion;

namespace Bitsmith.Quantization.Tests.Jobs;

public sealed class GgufResumeTests
{
    [Theory]
    [InlineData(null)]
    [InlineData(150_000L)]
    public void An_interrupted_job_goes_on_to_the_same_bytes_from_any_moment(long? maxFileBytes)
    {
        using GoldenModel golden = new("tiny-glm4");
        GgufJobOptions options = Options(golden) with { MaxFileBytes = maxFileBytes };
        string folder = Path.GetDirectoryName(golden.Output)!;
        Assert.False(Interrupt(options, int.MaxValue));
        Dictionary<string, byte[]> whole = Take(folder);
        int interrupted = 0;
        for (int moment = 1; moment <= 29; moment += 4)
        {
            interrupted += Interrupt(options, moment) ? 1 : 0;
            Interrupt(options with { Resume = true }, moment / 2); // once more on the way
            if (Directory.Exists(options.Output + ".bitsmith-work"))
            {
                Assert.Empty(Directory.EnumerateFiles(folder));
                Assert.False(Interrupt(options with { Resume = true }, int.MaxValue));
            }

            TestCheckpoint.AssertSame(whole, Take(folder));
            Assert.False(Directory.Exists(options.Output + ".bitsmith-work"));
        }

        Assert.True(interrupted > 4, $"only {interrupted} runs were interrupted");
    }

    [Fact]
    public void Only_what_the_journal_lacks_is_encoded_again()
    {
        using GoldenModel golden = new("tiny-glm4");
        GgufJobOptions options = Options(golden);
        long total = 0, resumed = 0;
        Assert.True(Interrupt(options, 20));
        using GgufQuantizationJob job = GgufQuantizationJob.Prepare(options with { Resume = true });
        job.Run(new Reporter(progress => (total, resumed) = (progress.TotalBytes, resumed == 0 ? progress.DoneBytes : resumed)), TestContext.Current.CancellationToken);
        Assert.True(resumed > total / 4, $"the first report after resuming was {resumed} of {total} bytes");
    }

    [Fact]
    public void Changed_bytes_of_the_unfinished_file_are_noticed()
    {
        using GoldenModel golden = new("tiny-glm4");
        Assert.True(Interrupt(Options(golden), 25));
        using (FileStream file = File.OpenWrite(Path.Combine(golden.Output + ".bitsmith-work", "output", "out.gguf")))
        {
            file.Position = 5000;
            file.WriteByte(0xA5);
        }

        JobException problem = Assert.Throws<JobException>(() => Interrupt(Options(golden) with { Resume = true }, int.MaxValue));
        Assert.Contains("--force", problem.Message, StringComparison.Ordinal);
    }

    [Fact]
    public void Another_mix_model_or_importance_matrix_is_not_resumed()
    {
        using GoldenModel golden = new("tiny-glm4");
        Assert.True(Interrupt(Options(golden), 10));
        Assert.Contains("--resume", Assert.Throws<RequestException>(() => Interrupt(Options(golden), int.MaxValue)).Message, StringComparison.Ordinal);
        string imatrix = Path.Combine(AppContext.BaseDirectory, "gguf", "imatrix", "tiny-glm4.imatrix.gguf");
        Assert.Throws<RequestException>(() => Interrupt(Options(golden) with { Resume = true, Mix = GgufQuantizationJobTests.MixOf("Q4_K_S") }, int.MaxValue));
        Assert.Throws<RequestException>(() => Interrupt(Options(golden) with { Resume = true, Imatrix = imatrix }, int.MaxValue));
        golden.Change(new Checkpoints.Safetensors.TensorInfo("model.norm.weight", Tensors.ElementTypes.ElementType.F32, [256]), new byte[1024]);
        Assert.Throws<RequestException>(() => Interrupt(Options(golden) with { Resume = true }, int.MaxValue));
    }

    [Fact]
    public void Killed_while_files_get_their_names_the_rest_follows()
    {
        using GoldenModel golden = new("tiny-glm4");
        GgufJobOptions options = Options(golden) with { MaxFileBytes = 150_000 };
        string folder = Path.GetDirectoryName(golden.Output)!;
        Interrupt(options, int.MaxValue);
        Dictionary<string, byte[]> whole = Take(folder);
        string work = options.Output + ".bitsmith-work", output = Directory.CreateDirectory(Path.Combine(work, "output")).FullName;
        foreach ((string file, byte[] bytes) in whole)
        {
            File.WriteAllBytes(Path.Combine(file.StartsWith("out-00001", StringComparison.Ordinal) ? folder : output, file), bytes);
        }

        File.WriteAllBytes(Path.Combine(work, "publishing"), []);
        File.WriteAllBytes(Path.Combine(work, "journal.jsonl"), []);
        Interrupt(options with { Resume = true }, int.MaxValue);
        TestCheckpoint.AssertSame(whole, Take(folder));
        Assert.False(Directory.Exists(work));
    }

    // Every tensor is a checkpoint.
    private static GgufJobOptions Options(GoldenModel golden) => GgufQuantizationJobTests.Options(golden, "Q4_K_M") with { CheckpointValues = 1 };

    /// <summary>Reads the results and removes them.</summary>
    private static Dictionary<string, byte[]> Take(string folder)
    {
        Dictionary<string, byte[]> files = Directory.EnumerateFiles(folder).ToDictionary(file => Path.GetFileName(file), File.ReadAllBytes);
        foreach (string file in files.Keys)
        {
            File.Delete(Path.Combine(folder, file));
        }

        return files;
    }

    /// <summary>Runs a job and cancels it after a number of progress reports; true if it was interrupted.</summary>
    private static bool Interrupt(GgufJobOptions options, int reports)
    {
        using CancellationTokenSource source = new();
        int seen = 0;
        using GgufQuantizationJob job = GgufQuantizationJob.Prepare(options);
        try
        {
            job.Run(new Reporter(_ => Stop(++seen)), source.Token);
            return false;
        }
        catch (OperationCanceledException)
        {
            return true;
        }

        void Stop(int count)
        {
            if (count == reports)
            {
                source.Cancel();
            }
        }
    }

    private sealed class Reporter(Action<JobProgress> action) : IProgress<JobProgress>
    {
        public void Report(JobProgress value) => action(value);
    }
}
