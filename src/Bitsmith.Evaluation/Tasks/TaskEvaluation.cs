using Bitsmith.Checkpoints;

namespace Bitsmith.Evaluation.Tasks;

/// <summary>A task and the files of its items, several of which count as one behind the other.</summary>
/// <param name="Task">The task.</param>
/// <param name="Files">The files, as <see cref="TaskFiles"/> reads them.</param>
public sealed record TaskRequest(EvaluationTask Task, IReadOnlyList<string> Files);

/// <summary>How tasks are evaluated; the defaults are those by which published tables are made.</summary>
/// <param name="Most">Most items of a task.</param>
/// <param name="ContextSize">Most tokens of a text; where the model's context is smaller, that counts.</param>
/// <param name="Seed">Draws the items.</param>
/// <param name="WithoutLastRow">Leaves out the last row of WinoGrande's CSV, as llama-perplexity does.</param>
public sealed record TaskSettings(int Most = 750, int ContextSize = 768, uint Seed = ItemDraws.DefaultSeed, bool WithoutLastRow = false);

/// <summary>What is done.</summary>
/// <param name="Task">The task.</param>
/// <param name="Done">Items done.</param>
/// <param name="Total">Items drawn.</param>
/// <param name="Correct">Answered rightly so far.</param>
public readonly record struct TaskProgress(EvaluationTask Task, int Done, int Total, int Correct);

/// <summary>Evaluates a model by tasks. Files are read and checked before the first item is run.</summary>
public static class TaskEvaluation
{
    /// <summary>Evaluates tasks.</summary>
    /// <param name="model">The model.</param>
    /// <param name="requests">The tasks.</param>
    /// <param name="settings">How.</param>
    /// <param name="clock">Tells the time.</param>
    /// <param name="progress">Told after each item.</param>
    /// <param name="cancellationToken">Stops between passes.</param>
    /// <exception cref="ItemTooLongException">A text is longer than the context.</exception>
    /// <exception cref="CheckpointException">A file is damaged, or an item cannot be scored.</exception>
    public static TasksReport Run(
        EvaluatedModel model, IReadOnlyList<TaskRequest> requests, TaskSettings settings, TimeProvider clock, IProgress<TaskProgress>? progress = null, CancellationToken cancellationToken = default)
    {
        ArgumentNullException.ThrowIfNull(model);
        ArgumentNullException.ThrowIfNull(requests);
        ArgumentNullException.ThrowIfNull(settings);
        ArgumentNullException.ThrowIfNull(clock);
        (TaskRequest Request, ItemFile[] Files)[] read = [.. requests.Select(request => (request, (ItemFile[])[.. request.Files.Select(file => TaskFiles.Read(request.Task, file, settings.WithoutLastRow))]))];
        int context = Math.Min(settings.ContextSize, model.Language.Config.MaxPositionEmbeddings);
        using TaskScoring scoring = new(model.Language, model.Tokenizer, context, model.Settings.CacheType);
        long start = clock.GetTimestamp();
        TaskResult[] results = [.. read.Select(task => Run(scoring, task.Request, task.Files, settings, progress, cancellationToken))];
        return new TasksReport(model.Conditions, context, clock.GetElapsedTime(start).TotalSeconds, results);
    }

    private static TaskResult Run(TaskScoring scoring, TaskRequest request, ItemFile[] files, TaskSettings settings, IProgress<TaskProgress>? progress, CancellationToken cancellationToken)
    {
        ChoiceItem[] all = [.. files.SelectMany(file => file.Items)];
        ChoiceItem[] drawn = [.. files[0].Draw.Draw(all.Length, settings.Most, settings.Seed).Select(number => all[number])];
        List<ItemResult> results = new(drawn.Length);
        int correct = 0;
        foreach (ItemResult result in scoring.Score(drawn, cancellationToken))
        {
            results.Add(result);
            correct += result.Correct ? 1 : 0;
            progress?.Report(new TaskProgress(request.Task, results.Count, drawn.Length, correct));
        }

        TaskPart[] parts = request.Files.Count > 1
            ? [.. results.GroupBy(result => result.Place.File).OrderBy(group => request.Files.ToList().IndexOf(group.Key)).Select(group => new TaskPart(group.Key, Score(group)))]
            : [];
        return new TaskResult(
            request.Task, string.Join(", ", files.Select(file => file.Format).Distinct()), all.Length, settings.Seed, Score(results), parts, results, [.. files.SelectMany(file => file.Notes)]);
    }

    private static TaskScore Score(IEnumerable<ItemResult> results)
    {
        ItemResult[] items = [.. results];
        return new TaskScore(items.Length, items.Count(item => item.Correct), items.Sum(item => item.Scores.Count));
    }
}
