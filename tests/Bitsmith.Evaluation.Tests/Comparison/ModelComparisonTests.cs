using Bitsmith.Checkpoints;
using Bitsmith.Evaluation.Comparison;
using Bitsmith.Evaluation.Divergence;
using Bitsmith.Evaluation.Speed;
using Bitsmith.Evaluation.Tasks;
using Bitsmith.Evaluation.Texts;
using Bitsmith.Tensors.ElementTypes;

namespace Bitsmith.Evaluation.Tests.Comparison;

/// <summary>A small model with exact inputs, and the same with every operation rounded to BF16: two models that differ.</summary>
public sealed class ModelComparisonTests : IDisposable
{
    private static readonly string Gguf = Path.Combine(AppContext.BaseDirectory, "gguf", "tiny-glm4-f16.gguf");

    private readonly DirectoryInfo root = Directory.CreateTempSubdirectory("bitsmith-compare-");
    private readonly Recorder progress = new();

    private static CancellationToken Cancellation => TestContext.Current.CancellationToken;

    private string Report => Path.Combine(root.FullName, "report");

    private string Copy => Path.Combine(root.FullName, "copy.gguf");

    private ComparisonRequest Request => new(Gguf, [Copy], Text(), new TextChunkSettings(64), new EvaluationSettings(2, ActivationMode.BFloat16, ElementType.BF16)) { Passage = 2 };

    public ModelComparisonTests() => File.Copy(Gguf, Copy);

    public void Dispose() => root.Delete(recursive: true);

    [Fact]
    public void A_comparison_gives_what_each_measurement_gives_alone()
    {
        ComparisonReport report = Run(Request with
        {
            Tasks = [new TaskRequest(EvaluationTask.HellaSwag, [Fixture("hellaswag.txt")])],
            Speed = new SpeedSettings([new SpeedTest(8, 0), new SpeedTest(0, 2)], 2, 2),
        });
        using EvaluatedModel model = EvaluatedModel.Open(Copy, Request.Settings), basis = EvaluatedModel.Open(Gguf, Request.Settings with { Activations = ActivationMode.Exact });
        TextChunks chunks = TextChunks.Read(Text(), basis.Tokenizer, Request.Cut);
        DivergenceReport alone = DivergenceMeasurement.Run(model, basis, chunks, TimeProvider.System, cancellationToken: Cancellation);
        ComparedModel found = Assert.Single(report.Quantized);
        Assert.Equal(alone.Statistics, found.Divergence);
        Assert.Equal(alone.Statistics.BasePerplexity, report.Base.Perplexity);
        Assert.Equal(chunks.ScoredPerChunk, found.Passage.Count);
        Assert.Equal(chunks.ScoredPerChunk, report.Passage.Tokens.Count);
        Assert.Equal(basis.Tokenizer.Decode(chunks[1], skipSpecial: false), report.Passage.Context + string.Concat(report.Passage.Tokens));
        Assert.Equal(basis.Language.Layers.Count, found.Layers.Count);
        Assert.All(found.Layers, layer => Assert.InRange(layer.Own, 1e-5, layer.Carried * 1.5));
        TasksReport tasks = TaskEvaluation.Run(model, [new TaskRequest(EvaluationTask.HellaSwag, [Fixture("hellaswag.txt")])], new TaskSettings(), TimeProvider.System, cancellationToken: Cancellation);
        Assert.Equal(tasks.Tasks[0].Score, found.Tasks[0].Score);
        Assert.Equal(["pp8", "tg2"], found.Speed!.Results.Select(result => result.Test));
        Assert.Equal(("tiny-glm4-f16", "copy"), (report.Base.Name, found.Name));
        Assert.Null(report.Base.Divergence);
    }

    [Fact]
    public void What_was_measured_is_not_measured_again_unless_a_file_changed()
    {
        ComparisonReport first = Run(Request);
        Assert.DoesNotContain(progress.Seen, step => step.IsKept);
        progress.Seen.Clear();
        ComparisonReport second = Run(Request);
        Assert.All(progress.Seen, step => Assert.True(step.IsKept));
        Assert.Equal(first.ToJson(), second.ToJson());

        // Another passage needs other layers, and the same divergences.
        progress.Seen.Clear();
        Run(Request with { Passage = 1 });
        Assert.Equal([("divergence", true), ("layers", false)], progress.Seen.Select(step => (step.Metric, step.IsKept)));

        progress.Seen.Clear();
        File.SetLastWriteTimeUtc(Copy, new DateTime(2020, 1, 1, 0, 0, 0, DateTimeKind.Utc));
        Assert.Equal(first.ToJson(), Run(Request).ToJson());
        Assert.DoesNotContain(progress.Seen, step => step.IsKept);

        progress.Seen.Clear();
        Assert.Equal(first.ToJson(), Run(Request with { Anew = true }).ToJson());
        Assert.DoesNotContain(progress.Seen, step => step.IsKept);
    }

    [Fact]
    public void A_stopped_comparison_goes_on_behind_the_last_chunk_and_ends_with_the_same_figures()
    {
        ComparisonReport whole = Run(Request);
        Directory.Delete(Report, recursive: true);
        using CancellationTokenSource stop = new();
        progress.Then = _ => stop.Cancel();
        Assert.Throws<OperationCanceledException>(() => ModelComparison.Run(Request, Report, TimeProvider.System, progress, stop.Token));
        int done = progress.Seen[^1].Done;
        Assert.InRange(done, 1, whole.Text.Chunks - 1);
        progress.Then = null;
        progress.Seen.Clear();
        Assert.Equal(whole.ToJson(), Run(Request).ToJson());
        Assert.True(progress.Seen[0].Done > done && !progress.Seen[0].IsKept);
    }

    [Fact]
    public void A_damaged_measurement_is_made_again()
    {
        ComparisonReport first = Run(Request);
        foreach (string file in Directory.GetFiles(Path.Combine(Report, ModelComparison.MeasurementsFolder)))
        {
            File.WriteAllBytes(file, File.ReadAllBytes(file)[..^5]);
        }

        progress.Seen.Clear();
        Assert.Equal(first.ToJson(), Run(Request).ToJson());
        Assert.DoesNotContain(progress.Seen, step => step.IsKept);
    }

    [Fact]
    public void Models_are_measured_side_by_side_as_each_would_be_alone()
    {
        string other = Path.Combine(root.FullName, "other.gguf");
        File.Copy(Gguf, other);
        ComparisonReport both = Run(Request with { Models = [Copy, other] });
        Assert.Equal(both.Models[1].Divergence, both.Models[2].Divergence);
        Assert.Equal([true, true], both.Quantized.Select(model => model.OnFront)); // none is better than its twin
        ComparisonReport one = ModelComparison.Run(Request, Path.Combine(root.FullName, "one"), TimeProvider.System, null, Cancellation);
        Assert.Equal(one.Models[1].Divergence, both.Models[1].Divergence);
    }

    [Fact]
    public void Errors_of_layers_are_nothing_where_a_model_is_compared_with_itself()
    {
        using EvaluatedModel model = EvaluatedModel.Open(Gguf, new EvaluationSettings(2, ActivationMode.Exact));
        IReadOnlyList<LayerError> errors = LayerErrors.Measure(model, model, [1, 2, 3, 4, 5, 6, 7], Cancellation);
        Assert.All(errors, layer => Assert.Equal((0, 0), (layer.Carried, layer.Own)));
        Assert.Equal(Math.Sqrt(6) / 5, LayerErrors.Distance([1, 2, 4], [0, 0, 5]), 1e-12);
        Assert.Equal(0, LayerErrors.Distance([0, 0], [0, 0]));
        Assert.Equal(double.PositiveInfinity, LayerErrors.Distance([1, 0], [0, 0]));
    }

    [Fact]
    public void The_front_holds_whatever_no_other_outdoes()
    {
        Assert.Equal([true, false, true, true, false], ComparisonReport.Front([(10, 1), (11, 1), (12, 0.5), (20, 0.1), (20, 0.2)]));
        Assert.Equal([true, true], ComparisonReport.Front([(10, 1), (10, 1)]));
    }

    [Theory]
    [InlineData(new[] { "/a/base", "/a/x.gguf" }, new[] { "base", "x" })]
    [InlineData(new[] { "/a/m", "/b/m", "/b/n.gguf" }, new[] { "a/m", "b/m", "b/n" })]
    [InlineData(new[] { "/a/m", "/a/m/" }, new[] { "m", "m" })]
    public void Names_tell_models_apart(string[] paths, string[] names) => Assert.Equal(names, ModelComparison.Names(paths));

    [Fact]
    public void A_passage_that_is_not_there_is_named()
    {
        Assert.Contains("no passage 1000", Assert.Throws<CheckpointException>(() => Run(Request with { Passage = 1000 })).Message, StringComparison.Ordinal);
        Assert.False(Directory.Exists(Report));
    }

    [Fact]
    public void A_report_that_is_none_is_refused_with_its_name()
    {
        string path = Path.Combine(root.FullName, "report.json");
        foreach (string content in (string[])["", "{}", "[1]", "{\"version\": 1}"])
        {
            File.WriteAllText(path, content);
            Assert.StartsWith(path, Assert.Throws<CheckpointException>(() => ComparisonReport.Load(path)).Message, StringComparison.Ordinal);
        }

        ComparisonReport report = Run(Request);
        File.WriteAllText(path, report.ToJson());
        Assert.Equal(report.ToJson(), ComparisonReport.Load(path).ToJson());
    }

    private static string Fixture(string name) => Path.Combine(AppContext.BaseDirectory, "gguf", name);

    // More chunks than one pass takes.
    private string Text()
    {
        string path = Path.Combine(root.FullName, "text.txt");
        if (!File.Exists(path))
        {
            string text = File.ReadAllText(Fixture("calib.txt"));
            File.WriteAllText(path, string.Concat(Enumerable.Repeat(text, 1 + (16000 / text.Length))));
        }

        return path;
    }

    private ComparisonReport Run(ComparisonRequest request) => ModelComparison.Run(request, Report, TimeProvider.System, progress, Cancellation);

    private sealed class Recorder : IProgress<ComparisonProgress>
    {
        public List<ComparisonProgress> Seen { get; } = [];

        public Action<ComparisonProgress>? Then { get; set; }

        public void Report(ComparisonProgress value)
        {
            Seen.Add(value);
            Then?.Invoke(value);
        }
    }
}
