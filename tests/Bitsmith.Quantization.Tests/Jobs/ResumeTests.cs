using Bitsmith.Checkpoints;
using Bitsmith.Quantization.Jobs;
using Bitsmith.Quantization.Manifests;

namespace Bitsmith.Quantization.Tests.Jobs;

public sealed class ResumeTests
{
    private static JobOptions Sharded(TestCheckpoint checkpoint) => checkpoint.Options() with { MaxShardBytes = 150_000 };

    /// <summary>Runs a job and cancels it after a number of progress reports; true if it was interrupted.</summary>
    private static bool Interrupt(JobOptions options, int reports)
    {
        using CancellationTokenSource source = new();
        int seen = 0;
        Reporter reporter = new(() =>
        {
            if (++seen == reports)
            {
                source.Cancel();
            }
        });
        using QuantizationJob job = QuantizationJob.Prepare(options);
        try
        {
            job.Run(reporter, source.Token);
            return false;
        }
        catch (OperationCanceledException)
        {
            return true;
        }
    }

    [Fact]
    public void An_interrupted_job_goes_on_to_the_same_bytes_from_any_moment()
    {
        using TestCheckpoint checkpoint = TestCheckpoint.Dense(shards: 3);
        Dictionary<string, byte[]> whole = checkpoint.Quantize(Sharded(checkpoint));
        int interrupted = 0;
        for (int moment = 1; moment <= 24; moment += 2)
        {
            JobOptions options = Sharded(checkpoint) with { Output = checkpoint.Output + moment };
            interrupted += Interrupt(options, moment) ? 1 : 0;
            Assert.True(!Directory.Exists(options.Output) || File.Exists(Path.Combine(options.Output, Manifest.FileName)));
            if (!Directory.Exists(options.Output))
            {
                // Interrupted once more on the way.
                Interrupt(options with { Resume = true }, moment / 2);
            }

            if (!Directory.Exists(options.Output))
            {
                checkpoint.Quantize(options with { Resume = true });
            }

            TestCheckpoint.AssertSame(whole, TestCheckpoint.Files(options.Output));
            Assert.False(Directory.Exists(options.Output + ".bitsmith-work"));
        }

        Assert.True(interrupted > 6, $"only {interrupted} runs were interrupted");
    }

    [Fact]
    public void A_journal_line_cut_off_by_a_crash_only_repeats_its_step()
    {
        using TestCheckpoint checkpoint = TestCheckpoint.Dense(shards: 2);
        Dictionary<string, byte[]> whole = checkpoint.Quantize(Sharded(checkpoint));
        JobOptions options = Sharded(checkpoint) with { Output = checkpoint.Output + "2" };
        string journal = MakeInterrupted(options);
        byte[] lines = File.ReadAllBytes(journal);
        File.WriteAllBytes(journal, lines[..^7]);

        TestCheckpoint.AssertSame(whole, checkpoint.Quantize(options with { Resume = true }));
    }

    [Fact]
    public void Without_resume_an_interrupted_job_is_not_touched()
    {
        using TestCheckpoint checkpoint = TestCheckpoint.Dense();
        MakeInterrupted(Sharded(checkpoint));

        RequestException problem = Assert.Throws<RequestException>(() => checkpoint.Quantize(Sharded(checkpoint)));

        Assert.Contains("--resume", problem.Message, StringComparison.Ordinal);
    }

    [Fact]
    public void Resume_with_other_options_is_refused()
    {
        using TestCheckpoint checkpoint = TestCheckpoint.Dense();
        MakeInterrupted(Sharded(checkpoint));

        Assert.Throws<RequestException>(() => checkpoint.Quantize(Sharded(checkpoint) with { Resume = true, MaxShardBytes = 160_000 }));
        Assert.Throws<RequestException>(() => checkpoint.Quantize(Sharded(checkpoint) with { Resume = true, Encoder = Tensors.Formats.WeightEncoder.Best }));
    }

    [Fact]
    public void Resume_may_find_the_model_under_another_path()
    {
        using TestCheckpoint checkpoint = TestCheckpoint.Dense(shards: 2);
        Dictionary<string, byte[]> whole = checkpoint.Quantize(Sharded(checkpoint));
        JobOptions options = Sharded(checkpoint) with { Output = checkpoint.Output + "2" };
        MakeInterrupted(options);
        string moved = Path.Combine(checkpoint.Root, "moved");
        Directory.Move(checkpoint.Model, moved);

        TestCheckpoint.AssertSame(whole, checkpoint.Quantize(options with { Resume = true, Model = moved }));
    }

    [Fact]
    public void A_source_that_changed_in_the_part_already_read_is_noticed()
    {
        using TestCheckpoint checkpoint = TestCheckpoint.Dense(shards: 1);
        JobOptions options = Sharded(checkpoint);
        MakeInterrupted(options);
        checkpoint.Poke("lm_head.weight", 0, 0.5f);

        Exception problem = Assert.ThrowsAny<Exception>(() => checkpoint.Quantize(options with { Resume = true }));

        Assert.True(problem is CheckpointException or RequestException, problem.ToString());
        Assert.Contains("--force", problem.Message, StringComparison.Ordinal);
    }

    [Fact]
    public void A_second_process_on_the_same_output_is_refused()
    {
        using TestCheckpoint checkpoint = TestCheckpoint.Dense();
        string journal = MakeInterrupted(Sharded(checkpoint));
        using FileStream other = new(journal, FileMode.Open, FileAccess.ReadWrite, FileShare.None);

        JobException problem = Assert.Throws<JobException>(() => checkpoint.Quantize(Sharded(checkpoint) with { Resume = true }));

        Assert.Contains("another bitsmith", problem.Message, StringComparison.Ordinal);
    }

    [Fact]
    public void Killed_between_publishing_and_clearing_up_the_result_stands_and_the_rest_is_cleared()
    {
        using TestCheckpoint checkpoint = TestCheckpoint.Dense();
        Dictionary<string, byte[]> whole = checkpoint.Quantize(Sharded(checkpoint));
        string work = Directory.CreateDirectory(checkpoint.Output + ".bitsmith-work").FullName;
        File.WriteAllText(Path.Combine(work, "publishing"), string.Empty);
        File.WriteAllText(Path.Combine(work, "journal.jsonl"), string.Empty);

        TestCheckpoint.AssertSame(whole, checkpoint.Quantize(Sharded(checkpoint) with { Resume = true }));

        Assert.False(Directory.Exists(work));
    }

    [Fact]
    public void Killed_between_moving_the_old_result_away_and_the_new_one_in_the_job_ends_on_resume()
    {
        using TestCheckpoint checkpoint = TestCheckpoint.Dense();
        Dictionary<string, byte[]> whole = checkpoint.Quantize(Sharded(checkpoint));
        JobOptions options = Sharded(checkpoint) with { Output = checkpoint.Output + "2" };
        string journal = MakeInterrupted(options);
        string replaced = Directory.CreateDirectory(Path.Combine(Path.GetDirectoryName(journal)!, "replaced")).FullName;
        File.WriteAllText(Path.Combine(replaced, "old.txt"), "old");

        TestCheckpoint.AssertSame(whole, checkpoint.Quantize(options with { Resume = true }));
    }

    [Fact]
    public void An_input_that_is_cut_off_while_being_read_is_an_error_and_leaves_nothing_under_the_final_name()
    {
        using TestCheckpoint checkpoint = TestCheckpoint.Dense();
        JobOptions options = Sharded(checkpoint);
        using QuantizationJob job = QuantizationJob.Prepare(options, TestContext.Current.CancellationToken);
        using (FileStream file = new(checkpoint.PathOf("model.safetensors"), FileMode.Open, FileAccess.Write, FileShare.ReadWrite))
        {
            file.SetLength(file.Length / 2);
        }

        CheckpointException problem = Assert.Throws<CheckpointException>(() => job.Run(null, CancellationToken.None));

        Assert.Contains("earlier than its header says", problem.Message, StringComparison.Ordinal);
        Assert.False(Directory.Exists(options.Output));
    }

    /// <summary>Leaves a job interrupted after at least one finished shard; returns its journal.</summary>
    private static string MakeInterrupted(JobOptions options)
    {
        string journal = Path.Combine(options.Output + ".bitsmith-work", "journal.jsonl");
        for (int reports = 4; reports < 40; reports++)
        {
            bool interrupted = Interrupt(options with { Force = true }, reports);
            Assert.True(interrupted, "the job ended before it could be interrupted");
            if (File.ReadAllText(journal).Contains("\"shard\"", StringComparison.Ordinal))
            {
                return journal;
            }
        }

        throw new InvalidOperationException("no shard was finished before the interruption");
    }

    private sealed class Reporter(Action action) : IProgress<JobProgress>
    {
        public void Report(JobProgress value) => action();
    }
}
