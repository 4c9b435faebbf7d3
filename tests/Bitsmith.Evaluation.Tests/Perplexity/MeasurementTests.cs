using Bitsmith.Evaluation.Divergence;
using Bitsmith.Evaluation.Perplexity;
using Bitsmith.Evaluation.Texts;
using Bitsmith.Tensors.ElementTypes;

namespace Bitsmith.Evaluation.Tests.Perplexity;

/// <summary>A small model against what llama-perplexity 0.7.0 printed and wrote of it: nine chunks of 128 tokens.</summary>
public sealed class MeasurementTests : IDisposable
{
    private static readonly EvaluationSettings Exact = new(2, ActivationMode.Exact, ElementType.F32);

    private readonly string file = Path.Combine(Path.GetTempPath(), $"{Guid.NewGuid():n}.bin");

    private static CancellationToken Cancellation => TestContext.Current.CancellationToken;

    public void Dispose() => File.Delete(file);

    [Fact]
    public void Perplexity_and_its_error_are_those_of_llama_perplexity()
    {
        using EvaluatedModel model = EvaluatedModel.Open(Fixture("tiny-glm4-f16.gguf"), Exact);
        using LogitsFile golden = LogitsFile.Open(Fixture("tiny-glm4-f16.logits-base.bin"));
        List<PerplexityProgress> progress = [];
        PerplexityReport report = PerplexityMeasurement.Run(model, golden.Chunks(null), TimeProvider.System, null, new Collector<PerplexityProgress>(progress), Cancellation);
        Assert.Equal(78.8764, report.Perplexity.Value, 1e-3); // with weights and cache in F32
        Assert.Equal(7.02961, report.Perplexity.Error, 1e-4);
        Assert.Equal((567, 9, 128, "exact"), (report.Text.ScoredTokens, report.Text.Chunks, report.Text.Context, report.Model.Activations));
        Assert.Equal(Enumerable.Range(1, 9), progress.Select(now => now.Done));
        Assert.Equal(report.Perplexity, progress[^1].Perplexity);
        Assert.Contains("\"tokens_per_second\"", report.ToJson(), StringComparison.Ordinal);
    }

    [Fact]
    public void A_token_that_texts_begin_with_takes_the_place_of_each_first()
    {
        using EvaluatedModel model = EvaluatedModel.Open(Fixture("tiny-glm4-f16.gguf"), Exact);
        using LogitsFile golden = LogitsFile.Open(Fixture("tiny-glm4-f16.logits-base.bin"));
        int[] firsts = [.. Enumerable.Range(0, 9).Select(chunk => golden.Tokens(chunk)[0])];
        double plain = PerplexityMeasurement.Run(model, golden.Chunks(null), TimeProvider.System, cancellationToken: Cancellation).Perplexity.Value;
        double begun = PerplexityMeasurement.Run(model, golden.Chunks(firsts[0] + 1), TimeProvider.System, cancellationToken: Cancellation).Perplexity.Value;
        Assert.NotEqual(plain, begun);
        Assert.Equal(plain, begun, 5.0);
    }

    [Fact]
    public void What_is_written_can_be_read_and_stands_for_the_model()
    {
        using EvaluatedModel model = EvaluatedModel.Open(Fixture("tiny-glm4-f16.gguf"), Exact);
        using LogitsFile golden = LogitsFile.Open(Fixture("tiny-glm4-f16.logits-base.bin"));
        TextChunks chunks = golden.Chunks(null);
        using (LogitsFileWriter writer = LogitsFileWriter.Create(file, chunks, golden.VocabularySize))
        {
            PerplexityMeasurement.Run(model, chunks, TimeProvider.System, writer, cancellationToken: Cancellation);
            Assert.False(File.Exists(file));
            writer.Complete();
        }

        Assert.False(File.Exists(file + ".new"));
        Assert.Equal(File.ReadAllBytes(Fixture("tiny-glm4-f16.logits-base.bin"))[..(20 + (4 * 128 * 9))], File.ReadAllBytes(file)[..(20 + (4 * 128 * 9))]);
        using LogitsFile written = LogitsFile.Open(file);
        DivergenceReport own = DivergenceMeasurement.Run(model, written, TimeProvider.System, cancellationToken: Cancellation);
        Assert.InRange(own.Statistics.Mean.Value, -1e-6, 1e-6);
        Assert.InRange(own.Statistics.Divergence.Maximum, 0, 1e-4);
        Assert.Equal(1, own.Statistics.SameTop.Value);
        DivergenceReport theirs = DivergenceMeasurement.Run(model, golden, TimeProvider.System, cancellationToken: Cancellation);
        Assert.InRange(theirs.Statistics.Mean.Value, -1e-5, 1e-5); // inputs rounded to F16 on the other side
        Assert.True(theirs.Statistics.SameTop.Value > 0.99);
    }

    [Fact]
    public void A_base_model_beside_gives_what_its_file_gives_but_for_the_16_bits()
    {
        using EvaluatedModel model = EvaluatedModel.Open(Fixture("tiny-glm4-f16.gguf"), Exact), rounded = EvaluatedModel.Open(Fixture("tiny-glm4-f16.gguf"), Exact with { CacheType = ElementType.F8E4M3 });
        using LogitsFile golden = LogitsFile.Open(Fixture("tiny-glm4-f16.logits-base.bin"));
        TextChunks chunks = golden.Chunks(null);
        DivergenceReport beside;
        using (LogitsFileWriter writer = LogitsFileWriter.Create(file, chunks, golden.VocabularySize))
        {
            beside = DivergenceMeasurement.Run(rounded, model, chunks, TimeProvider.System, writer, cancellationToken: Cancellation);
            writer.Complete();
        }

        using LogitsFile written = LogitsFile.Open(file);
        DivergenceStatistics from = DivergenceMeasurement.Run(rounded, written, TimeProvider.System, cancellationToken: Cancellation).Statistics, found = beside.Statistics;
        Assert.True(found.Mean.Value > 1e-4, "the models differ");
        Assert.Equal(found.Mean.Value, from.Mean.Value, 1e-2 * found.Mean.Value);
        Assert.Equal(found.Perplexity, from.Perplexity);
        Assert.Equal(found.BasePerplexity.Value, from.BasePerplexity.Value, 1e-4 * found.BasePerplexity.Value);
        Assert.Equal(PerplexityMeasurement.Run(model, chunks, TimeProvider.System, cancellationToken: Cancellation).Perplexity.Value, found.BasePerplexity.Value, 1e-9 * found.BasePerplexity.Value);
        Assert.Contains("\"p99_9\"", beside.ToJson(), StringComparison.Ordinal);
    }

    [Fact]
    public void A_file_that_is_not_completed_is_removed()
    {
        TextChunks chunks = TextChunks.OfTokens("text", new int[64], 8);
        using (LogitsFileWriter writer = LogitsFileWriter.Create(file, chunks, 5))
        {
            Assert.True(File.Exists(file + ".new"));
            Assert.Throws<InvalidOperationException>(writer.Complete);
        }

        Assert.False(File.Exists(file) || File.Exists(file + ".new"));
    }

    [Theory]
    [InlineData(8, 3, 2048)]
    [InlineData(8, 5, 16)]
    [InlineData(9, 4, 8)]
    [InlineData(9, 4, 7)]
    [InlineData(33, 2, 5)]
    [InlineData(4, 2, 1)]
    public void However_chunks_are_cut_into_passes_every_scored_position_comes_once_and_in_order(int size, int count, int tokens)
    {
        TextChunks chunks = TextChunks.OfTokens("text", [.. Enumerable.Range(0, size * count)], size);
        List<(int, int)> places = [];
        List<int> next = [];
        int ended = 0, run = 0;
        foreach (ChunkPass part in ChunkPass.Of(chunks, tokens))
        {
            Assert.True(part.Chunks * part.Tokens <= Math.Max(tokens, 1));
            run += part.Chunks * part.Tokens;
            int[] following = new int[part.Rows];
            part.NextTokens(chunks, 0, following);
            next.AddRange(following);
            for (int row = 0; row < part.Rows; row++)
            {
                places.Add(part.PlaceOf(row));
                ended += part.EndsChunk(row, chunks) ? 1 : 0;
            }
        }

        Assert.Equal([.. Enumerable.Range(0, count).SelectMany(chunk => Enumerable.Range(size / 2, size - 1 - (size / 2)).Select(position => (chunk, position)))], places);
        Assert.Equal(places.Select(place => (place.Item1 * size) + place.Item2 + 1), next);
        Assert.Equal((count, (size - 1) * count), (ended, run));
    }

    private static string Fixture(string name) => Path.Combine(AppContext.BaseDirectory, "gguf", name);

    private sealed class Collector<T>(List<T> reports) : IProgress<T>
    {
        public void Report(T value) => reports.Add(value);
    }
}
