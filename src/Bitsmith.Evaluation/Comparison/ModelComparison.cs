using Bitsmith.Checkpoints;
using Bitsmith.Checkpoints.Inspection;
using Bitsmith.Evaluation.Divergence;
using Bitsmith.Evaluation.Speed;
using Bitsmith.Evaluation.Tasks;
using Bitsmith.Evaluation.Texts;
using Bitsmith.Models.Text;

namespace Bitsmith.Evaluation.Comparison;

/// <summary>
/// Measures quantized models beside the model that they were made from: size, perplexity and divergence, layers, tasks, speed. What is measured of a model is kept in a folder as soon as it is known, and is not
/// measured again while the model's files, the data, the settings and Bitsmith's version stay the same; divergence, which runs all models at once, goes on behind the last chunk that is on the disk.
/// </summary>
public sealed class ModelComparison
{
    /// <summary>The folder, within a comparison's, of what was measured.</summary>
    public const string MeasurementsFolder = "measurements";

    private readonly ComparisonRequest request;
    private readonly MeasurementStore store;
    private readonly TimeProvider clock;
    private readonly IProgress<ComparisonProgress>? progress;
    private readonly List<string> notes = [];

    private ModelComparison(ComparisonRequest request, string folder, TimeProvider clock, IProgress<ComparisonProgress>? progress) =>
        (this.request, store, this.clock, this.progress) = (request, new MeasurementStore(Path.Combine(folder, MeasurementsFolder)), clock, progress);

    /// <summary>Runs a comparison, or goes on with one.</summary>
    /// <param name="request">What is compared.</param>
    /// <param name="folder">Where measurements are kept.</param>
    /// <param name="clock">Tells the time.</param>
    /// <param name="progress">Told what is done.</param>
    /// <param name="cancellationToken">Stops between passes.</param>
    /// <exception cref="CheckpointException">A model or file of data is broken, or the models do not belong together.</exception>
    /// <exception cref="ItemTooLongException">A text of a task is longer than the context.</exception>
    /// <exception cref="IOException">A measurement could not be written.</exception>
    public static ComparisonReport Run(ComparisonRequest request, string folder, TimeProvider clock, IProgress<ComparisonProgress>? progress = null, CancellationToken cancellationToken = default)
    {
        ArgumentNullException.ThrowIfNull(request);
        ArgumentNullException.ThrowIfNull(folder);
        ArgumentNullException.ThrowIfNull(clock);
        ArgumentOutOfRangeException.ThrowIfZero(request.Models.Count);
        return new ModelComparison(request, folder, clock, progress).Run(cancellationToken);
    }

    private ComparisonReport Run(CancellationToken cancellationToken)
    {
        (Subject[] subjects, TextChunks chunks, Passage passage) = Prepare();
        store.Create();
        Dictionary<Subject, DivergenceSum> divergences = Divergences(subjects, chunks, cancellationToken);
        Dictionary<Subject, IReadOnlyList<LayerError>> layers = Layers(subjects, chunks, cancellationToken);
        int shown = (request.Passage - 1) * chunks.ScoredPerChunk;
        bool[] front = ComparisonReport.Front([.. subjects.Skip(1).Select(subject => (subject.Conditions.WeightBytes, divergences[subject].Mean.Value))]);
        List<ComparedModel> models = [];
        foreach ((int i, Subject subject) in subjects.Index())
        {
            DivergenceSum? divergence = divergences.GetValueOrDefault(subject);
            TasksReport? tasks = Tasks(subject, cancellationToken);
            models.Add(new ComparedModel(
                subject.Name,
                subject.Fingerprint.Content,
                subject.Conditions,
                divergence?.Perplexity ?? divergences[subjects[1]].BasePerplexity,
                divergence?.Statistics(),
                i > 0 && front[i - 1],
                layers.GetValueOrDefault(subject, []),
                [.. divergence?.Values.Skip(shown).Take(chunks.ScoredPerChunk) ?? []],
                [.. tasks?.Tasks.Zip(request.Tasks, (task, asked) => new ComparedTask(task.Task, asked.Files, task.Format, task.Available, task.Seed, task.Score, task.Parts, task.Notes)) ?? []],
                tasks?.Average,
                Speed(subject, cancellationToken)));
        }

        return new ComparisonReport(Machine.Version, TextConditions.Of(chunks), request.TaskSettings.ContextSize, passage, models, notes);
    }

    /// <summary>Opens every model once, before anything is measured: each must run, and cut the text as the base model does.</summary>
    private (Subject[] Subjects, TextChunks Chunks, Passage Passage) Prepare()
    {
        foreach (TaskRequest task in request.Tasks)
        {
            foreach (string file in task.Files)
            {
                TaskFiles.Read(task.Task, file, request.TaskSettings.WithoutLastRow);
            }
        }

        List<Subject> subjects = [];
        TextChunks chunks;
        Passage passage;
        string[] names = Names([request.Base, .. request.Models]);
        using (EvaluatedModel model = Open(request.Base, request.Settings with { Activations = request.BaseActivations }))
        {
            chunks = TextChunks.Read(request.Text, model.Tokenizer, request.Cut);
            passage = PassageOf(chunks, model.Tokenizer);
            subjects.Add(SubjectOf(names[0], model));
        }

        foreach ((int i, string path) in request.Models.Index())
        {
            using EvaluatedModel model = Open(path, request.Settings);
            if (TextChunks.Read(request.Text, model.Tokenizer, request.Cut).Digest != chunks.Digest)
            {
                throw new CheckpointException(path, $"its tokenizer cuts {request.Text} into other tokens than that of {request.Base}. Only models with the same tokenizer can be compared.");
            }

            subjects.Add(SubjectOf(names[i + 1], model));
            if (request.AlsoExact && model.Language.Layers.SelectMany(layer => layer.Linears).Any(linear => linear.InputScheme is not null))
            {
                using EvaluatedModel exact = Open(path, request.Settings with { Activations = ActivationMode.Exact });
                subjects.Add(SubjectOf($"{names[i + 1]} (weights only)", exact));
            }
        }

        long parameters = subjects[0].Conditions.Parameters;
        foreach (IGrouping<long, Subject> others in subjects.Where(subject => subject.Conditions.Parameters != parameters).GroupBy(subject => subject.Conditions.Parameters))
        {
            notes.Add($"{string.Join(", ", others.Select(other => other.Name))}: {others.Key:N0} parameters, {subjects[0].Name} {parameters:N0}. A vision tower or a layer for multi-token prediction stands in a file of its own; sizes and bits per weight are those of what each holds.");
        }

        return ([.. subjects], chunks, passage);
    }

    private static EvaluatedModel Open(string path, EvaluationSettings settings) => EvaluatedModel.Open(path, settings);

    private static Subject SubjectOf(string name, EvaluatedModel model) =>
        new(name, ModelFingerprint.Of(model.Conditions.Model, CheckpointSummary.Create(model.Conditions.Model)), model.Settings, model.Conditions);

    private Passage PassageOf(TextChunks chunks, Tokenizer tokenizer)
    {
        if (request.Passage < 1 || request.Passage > chunks.Count)
        {
            throw new CheckpointException(request.Text, $"gives {chunks.Count} chunks; there is no passage {request.Passage}. Take a number from 1 to {chunks.Count}.");
        }

        ReadOnlySpan<int> tokens = chunks[request.Passage - 1];
        List<string> scored = [];
        for (int i = chunks.FirstScored + 1; i < tokens.Length; i++)
        {
            scored.Add(tokenizer.Decode(tokens.Slice(i, 1), skipSpecial: false));
        }

        return new Passage(request.Passage, tokenizer.Decode(tokens[..(chunks.FirstScored + 1)], skipSpecial: false), scored);
    }

    /// <summary>File or folder names; where two are alike, with the folder before them.</summary>
    internal static string[] Names(IReadOnlyList<string> paths)
    {
        string[] full = [.. paths.Select(path => Path.TrimEndingDirectorySeparator(Path.GetFullPath(path)))];
        for (int parts = 1; ; parts++)
        {
            string[] names = [.. full.Select(path => string.Join('/', path.Split(Path.DirectorySeparatorChar, StringSplitOptions.RemoveEmptyEntries).TakeLast(parts)))];
            if (names.Distinct(StringComparer.Ordinal).Count() == full.Distinct(StringComparer.Ordinal).Count())
            {
                return [.. names.Select(name => name.EndsWith(".gguf", StringComparison.OrdinalIgnoreCase) ? name[..^".gguf".Length] : name)];
            }
        }
    }

    private Dictionary<Subject, DivergenceSum> Divergences(Subject[] subjects, TextChunks chunks, CancellationToken cancellationToken)
    {
        string[] text = [chunks.Digest, $"{chunks.Size}", $"{chunks.Stride}", $"{chunks.Count}", .. subjects[0].Dependencies];
        Dictionary<Subject, TokenSeries> series = [];
        try
        {
            foreach (Subject subject in subjects[1..])
            {
                TokenSeries one = TokenSeries.Open(store.PathOf(subject.Name, "divergence", [.. subject.Dependencies, .. text], "tokens"), chunks.ScoredPerChunk);
                series.Add(subject, one);
                one.Truncate(request.Anew ? 0 : Math.Min(one.Chunks, chunks.Count));
                if (one.Chunks == chunks.Count)
                {
                    progress?.Report(new ComparisonProgress(subject.Name, "divergence", chunks.Count, chunks.Count, IsDone: true, IsKept: true));
                }
            }

            MeasureDivergences([.. series.Where(entry => entry.Value.Chunks < chunks.Count)], subjects[0], chunks, cancellationToken);
            return series.ToDictionary(entry => entry.Key, entry => Sum(entry.Value.Tokens));
        }
        finally
        {
            foreach (TokenSeries one in series.Values)
            {
                one.Dispose();
            }
        }

        static DivergenceSum Sum(IReadOnlyList<TokenDivergence> tokens)
        {
            DivergenceSum sum = new();
            foreach (TokenDivergence token in tokens)
            {
                sum.Add(token);
            }

            return sum;
        }
    }

    private void MeasureDivergences(KeyValuePair<Subject, TokenSeries>[] pending, Subject reference, TextChunks chunks, CancellationToken cancellationToken)
    {
        if (pending.Length == 0)
        {
            return;
        }

        // All go on from where the shortest ends.
        int first = pending.Min(entry => entry.Value.Chunks);
        List<EvaluatedModel> models = [];
        try
        {
            using EvaluatedModel baseModel = Open(reference.Conditions.Model, reference.Settings);
            foreach ((Subject subject, TokenSeries series) in pending)
            {
                series.Truncate(first);
                models.Add(Open(subject.Conditions.Model, subject.Settings));
            }

            using BaseModel distributions = new(baseModel, chunks, save: null);
            foreach (PassDivergences found in SideBySide.Run(models, distributions, chunks, first, cancellationToken))
            {
                for (int i = 0; i < pending.Length; i++)
                {
                    TokenSeries series = pending[i].Value;
                    foreach (ref readonly TokenDivergence token in found.OfModels[i].AsSpan(0, found.Part.Rows))
                    {
                        series.Add(token);
                    }

                    series.Flush();
                }

                progress?.Report(new ComparisonProgress(string.Empty, $"divergence of {pending.Length} models", pending[0].Value.Chunks, chunks.Count, IsDone: pending[0].Value.Chunks == chunks.Count));
            }
        }
        finally
        {
            models.ForEach(model => model.Dispose());
        }
    }

    private Dictionary<Subject, IReadOnlyList<LayerError>> Layers(Subject[] subjects, TextChunks chunks, CancellationToken cancellationToken)
    {
        Dictionary<Subject, IReadOnlyList<LayerError>> layers = [];
        foreach (Subject subject in subjects[1..])
        {
            string path = store.PathOf(subject.Name, "layers", [.. subject.Dependencies, .. subjects[0].Dependencies, chunks.Digest, $"{chunks.Size}", $"{chunks.Stride}", $"{request.Passage}"]);
            layers.Add(subject, Kept(path, subject, "layers", ComparisonJson.Default.IReadOnlyListLayerError, () =>
            {
                using EvaluatedModel baseModel = Open(subjects[0].Conditions.Model, subjects[0].Settings), model = Open(subject.Conditions.Model, subject.Settings);
                return LayerErrors.Measure(model, baseModel, chunks.BeginningWith(model.Tokenizer.First).ToRun(request.Passage - 1), cancellationToken);
            }));
        }

        return layers;
    }

    private TasksReport? Tasks(Subject subject, CancellationToken cancellationToken)
    {
        if (request.Tasks.Count == 0)
        {
            return null;
        }

        string path = store.PathOf(
            subject.Name, "tasks",
            [.. subject.Dependencies, $"{request.TaskSettings}", .. request.Tasks.Select(task => $"{task.Task} {ModelFingerprint.Of(task.Files).Times}")]);
        return Kept(path, subject, "tasks", TasksJson.Default.TasksReport, () =>
        {
            using EvaluatedModel model = Open(subject.Conditions.Model, subject.Settings);
            return TaskEvaluation.Run(model, request.Tasks, request.TaskSettings, clock, new TaskLines(subject.Name, progress), cancellationToken);
        });
    }

    private SpeedReport? Speed(Subject subject, CancellationToken cancellationToken)
    {
        if (request.Speed is not { } settings)
        {
            return null;
        }

        settings = settings with { ExactActivations = subject.Settings.Activations == ActivationMode.Exact && subject.Conditions.Quantization.Count > 0, CacheType = subject.Settings.CacheType };
        string path = store.PathOf(
            subject.Name, "speed",
            [.. subject.Dependencies, Machine.CpuName, $"{settings with { Tests = [] }}", .. settings.Tests.Select(test => test.Name)]);
        return Kept(path, subject, "speed", SpeedJson.Default.SpeedReport, () => SpeedBench.Run(subject.Conditions.Model, settings, clock, new SpeedLines(subject.Name, settings, progress), cancellationToken));
    }

    private T Kept<T>(string path, Subject subject, string metric, System.Text.Json.Serialization.Metadata.JsonTypeInfo<T> type, Func<T> measure)
        where T : class
    {
        if (!request.Anew && MeasurementStore.Find(path, type) is { } kept)
        {
            progress?.Report(new ComparisonProgress(subject.Name, metric, 1, 1, IsDone: true, IsKept: true));
            return kept;
        }

        T measured = measure();
        MeasurementStore.Keep(path, measured, type);
        progress?.Report(new ComparisonProgress(subject.Name, metric, 1, 1, IsDone: true));
        return measured;
    }

    /// <summary>A row of the report: a model, run in one way.</summary>
    private sealed record Subject(string Name, ModelFingerprint Fingerprint, EvaluationSettings Settings, ModelConditions Conditions)
    {
        /// <summary>What all its measurements depend on; not the number of threads, of which no result but speed depends.</summary>
        public IEnumerable<string> Dependencies => [Machine.Version, Fingerprint.Times, Conditions.InstructionSet, Conditions.Activations, Conditions.CacheType];
    }

    private sealed class TaskLines(string model, IProgress<ComparisonProgress>? progress) : IProgress<TaskProgress>
    {
        public void Report(TaskProgress value) => progress?.Report(new ComparisonProgress(model, value.Task.Title(), value.Done, value.Total));
    }

    private sealed class SpeedLines(string model, SpeedSettings settings, IProgress<ComparisonProgress>? progress) : IProgress<SpeedProgress>
    {
        public void Report(SpeedProgress value) => progress?.Report(new ComparisonProgress(model, value.Test.Name, value.Run, settings.Repetitions));
    }
}
