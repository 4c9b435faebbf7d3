using System.CommandLine;
using System.CommandLine.Parsing;
using Bitsmith.Evaluation.Tasks;

namespace Bitsmith.Cli.Commands;

/// <summary>Which items of tasks are scored, and how.</summary>
internal sealed class TaskOptions
{
    private static readonly TaskSettings Defaults = new();

    private readonly Option<int> most, context;
    private readonly Option<uint> seed;
    private readonly Option<bool> dropLastRow = new("--drop-last-row") { Description = "Leave out the last row of WinoGrande's CSV without a header, as llama-perplexity does. Without it the row counts, and other items may be drawn." };

    /// <summary>Options under their short names, or, beside others of the same meaning, with a prefix.</summary>
    public TaskOptions(bool besideOthers = false)
    {
        most = (besideOthers ? new Option<int>("--tasks") : new Option<int>("--tasks", "-n")).AtLeastOne();
        (most.Description, most.DefaultValueFactory) = ("Most items of a task.", _ => Defaults.Most);
        context = (besideOthers ? new Option<int>("--task-ctx-size") : new Option<int>("--ctx-size", "-c")).AtLeastOne();
        (context.Description, context.DefaultValueFactory) = ("Most tokens of an item with one of its choices; a longer one is an error. Scores do not depend on it.", _ => Defaults.ContextSize);
        seed = new Option<uint>(besideOthers ? "--task-seed" : "--seed") { Description = "Draws the items; with 1 those that llama-perplexity draws from the same file.", DefaultValueFactory = _ => Defaults.Seed };
    }

    /// <summary>NAME=FILE, repeated.</summary>
    public static Option<(EvaluationTask Task, string File)[]> Tasks(bool required) => new("--task", "-t")
    {
        Description = $"NAME=FILE, with NAME one of {Names}. Repeated for each task, and for each file of a task.",
        Required = required,
        CustomParser = Read,
    };

    private static string Names => string.Join(", ", Enum.GetValues<EvaluationTask>().Select(task => task.Name()));

    public void AddTo(Command command)
    {
        foreach (Option option in (Option[])[most, context, seed, dropLastRow])
        {
            command.Options.Add(option);
        }
    }

    public TaskSettings Settings(ParseResult parsed) => new(parsed.GetValue(most), parsed.GetValue(context), parsed.GetValue(seed), parsed.GetValue(dropLastRow));

    /// <summary>The files of each task together, in the order asked for.</summary>
    public static IReadOnlyList<TaskRequest> Requests((EvaluationTask Task, string File)[] tasks) =>
        [.. tasks.GroupBy(task => task.Task, (task, files) => new TaskRequest(task, [.. files.Select(file => file.File)]))];

    private static (EvaluationTask Task, string File)[] Read(ArgumentResult result)
    {
        List<(EvaluationTask Task, string File)> tasks = [];
        foreach (Token token in result.Tokens)
        {
            if (token.Value.Split('=', 2) is [string name, { Length: > 0 } file] && EvaluationTasks.Find(name) is { } task)
            {
                tasks.Add((task, file));
            }
            else
            {
                result.AddError($"--task {token.Value}: write NAME=FILE with NAME one of {Names}.");
            }
        }

        return [.. tasks];
    }
}
