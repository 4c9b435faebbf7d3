using System.Runtime.InteropServices;
using Bitsmith.Checkpoints;
using Bitsmith.Evaluation.Divergence;
using Bitsmith.Tensors.InstructionSets;

namespace Bitsmith.Evaluation.Tests.Divergence;

/// <summary>The file that llama-perplexity 0.7.0 wrote of a small model: nine chunks of 128 tokens, a vocabulary of 320.</summary>
public sealed class LogitsFileTests : IDisposable
{
    private static readonly string Golden = Path.Combine(AppContext.BaseDirectory, "gguf", "tiny-glm4-f16.logits-base.bin");

    private readonly string file = Path.GetTempFileName();

    public void Dispose() => File.Delete(file);

    [Fact]
    public void The_first_record_holds_what_llama_cpp_computed()
    {
        using LogitsFile logits = LogitsFile.Open(Golden);
        Assert.Equal((128, 320, 9, 64, 63), (logits.ContextSize, logits.VocabularySize, logits.ChunkCount, logits.FirstScored, logits.ScoredPerChunk));
        Assert.Equal([69, 288], logits.Tokens(0)[64..66].ToArray());
        float[] found = new float[320];
        logits.Read(0, 64, found, Cpu.Default);
        Assert.Equal(-7.9562225f, found[288], 1e-6f);
        Assert.Equal(-1.3563442f, found.Max(), 1e-6f);
        Assert.Equal(68, Array.IndexOf(found, found.Max()));
    }

    [Fact]
    public void Every_record_is_a_distribution_and_gives_the_printed_perplexity()
    {
        using LogitsFile logits = LogitsFile.Open(Golden);
        float[] found = new float[320];
        DivergenceSum sum = new();
        for (int chunk = 0; chunk < logits.ChunkCount; chunk++)
        {
            for (int position = logits.FirstScored; position < logits.ContextSize - 1; position++)
            {
                logits.Read(chunk, position, found, Cpu.Default);
                Assert.Equal(1, found.Sum(value => Math.Exp(value)), 1e-3);
                sum.Add(TokenDivergence.OfKnown(found, found, logits.Tokens(chunk)[position + 1], Cpu.Default));
            }
        }

        Assert.Equal(78.8756, sum.BasePerplexity.Value, 2e-3);
        Assert.Equal(7.02953, sum.BasePerplexity.Error, 1e-3);
        Assert.Equal((567, 1), (sum.Count, sum.SameTop.Value));
        Assert.Equal(0, sum.Mean.Value, 1e-4); // the model's side is made to add up to 1, the file's 16 bits are not
    }

    [Theory]
    [InlineData(0, 5, "_logits_")]
    [InlineData(8, 0, "chunks of 0 tokens")]
    [InlineData(8, 2, "chunks of 2 tokens")]
    [InlineData(8, -1, "chunks of -1 tokens")]
    [InlineData(8, int.MaxValue, "take ")]
    [InlineData(12, 0, "vocabulary of 0")]
    [InlineData(12, int.MaxValue, "take ")]
    [InlineData(12, 322, "take ")]
    [InlineData(12, 300, "take ")]
    [InlineData(16, 0, "has 0 chunks")]
    [InlineData(16, 10, "cut off")]
    [InlineData(16, int.MaxValue, "cut off")]
    [InlineData(20, -1, "token 0 is -1")]
    [InlineData(24, 320, "token 1 is 320")]
    public void A_header_that_does_not_fit_the_file_is_refused(int place, int value, string finding)
    {
        byte[] bytes = File.ReadAllBytes(Golden);
        BitConverter.TryWriteBytes(bytes.AsSpan(place), value);
        Assert.Contains(finding, Refused(bytes), StringComparison.Ordinal);
    }

    [Theory]
    [InlineData(float.NaN, -10)]
    [InlineData(-1e-4f, -10)]
    [InlineData(float.PositiveInfinity, -10)]
    [InlineData(1e-4f, float.NaN)]
    [InlineData(1e-4f, float.NegativeInfinity)]
    [InlineData(1e-4f, 1)]
    public void A_record_that_holds_no_probabilities_is_refused(float scale, float least)
    {
        byte[] bytes = File.ReadAllBytes(Golden);
        MemoryMarshal.Cast<float, byte>([scale, least]).CopyTo(bytes.AsSpan(20 + (4 * 128 * 9)));
        File.WriteAllBytes(file, bytes);
        using LogitsFile logits = LogitsFile.Open(file);
        float[] found = new float[320];
        Assert.Contains("position 64 of chunk 0", Assert.Throws<CheckpointException>(() => logits.Read(0, 64, found, Cpu.Default)).Message, StringComparison.Ordinal);
        logits.Read(0, 65, found, Cpu.Default);
    }

    [Fact]
    public void Any_other_length_is_refused_and_damage_never_leads_outside_the_file()
    {
        byte[] valid = File.ReadAllBytes(Golden);
        int seed = Random.Shared.Next();
        Random random = new(seed);
        for (int run = 0; run < 300; run++)
        {
            byte[] bytes = run % 2 == 0 ? valid[..random.Next(valid.Length)] : [.. valid];
            for (int change = run % 2 == 0 ? 0 : 3; change > 0; change--)
            {
                bytes[random.Next(change == 1 ? bytes.Length : 24)] = (byte)random.Next(256);
            }

            File.WriteAllBytes(file, bytes);
            long before = GC.GetAllocatedBytesForCurrentThread();
            try
            {
                using LogitsFile logits = LogitsFile.Open(file);
                Assert.True(run % 2 == 1, $"seed {seed}, run {run}");
                logits.Read(logits.ChunkCount - 1, logits.ContextSize - 2, new float[logits.VocabularySize], Cpu.Default);
            }
            catch (CheckpointException refusal)
            {
                Assert.StartsWith(file, refusal.Message, StringComparison.Ordinal);
            }

            Assert.True(GC.GetAllocatedBytesForCurrentThread() - before < valid.Length + 100_000, $"seed {seed}, run {run}");
        }
    }

    [Fact]
    public void Positions_that_are_not_scored_cannot_be_read()
    {
        using LogitsFile logits = LogitsFile.Open(Golden);
        float[] found = new float[320];
        Assert.Throws<ArgumentOutOfRangeException>(() => logits.Read(0, 63, found, Cpu.Default));
        Assert.Throws<ArgumentOutOfRangeException>(() => logits.Read(0, 127, found, Cpu.Default));
        Assert.Throws<ArgumentOutOfRangeException>(() => logits.Read(9, 64, found, Cpu.Default));
        Assert.Throws<ArgumentOutOfRangeException>(() => logits.Read(0, 64, new float[319], Cpu.Default));
    }

    private string Refused(byte[] bytes)
    {
        File.WriteAllBytes(file, bytes);
        string message = Assert.Throws<CheckpointException>(() => LogitsFile.Open(file).Dispose()).Message;
        Assert.StartsWith(file, message, StringComparison.Ordinal);
        return message;
    }
}
