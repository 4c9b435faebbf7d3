using System.CommandLine;
using System.CommandLine.Parsing;
using Bitsmith.Cli.Rendering;
using Bitsmith.Evaluation;
using Bitsmith.Evaluation.Tasks;

namespace Bitsmith.Cli.Commands;

/// <summary><c>bitsmith eval arc</c>, <c>hellaswag</c>, <c>mmlu</c>, <c>truthfulqa</c>, <c>winogrande</c>, and several of them with their average, <c>bitsmith eval tasks</c>.</summary>
internal sealed class EvalTasksCommand
{
    private static readonly TaskSettings Defaults = new();

    private readonly EvaluationOptions evaluation = new();
    private readonly Option<int> most = new Option<int>("--tasks", "-n") { Description = "Most items of a task.", DefaultValueFactory = _ => Defaults.Most }.AtLeastOne();
    private readonly Option<int> context = new Option<int>("--ctx-size", "-c") { Description = "Most tokens of an item with one of its choices; a longer one is an error. Scores do not depend on it.", DefaultValueFactory = _ => Defaults.ContextSize }.AtLeastOne();
    private readonly Option<uint> seed = new("--seed") { Description = "Draws the items; with 1 those that llama-perplexity draws from the same file.", DefaultValueFactory = _ => Defaults.Seed };
    private readonly Option<bool> dropLastRow = new("--drop-last-row") { Description = "Leave out the last row of WinoGrande's CSV without a header, as llama-perplexity does. Without it the row counts, and other items may be drawn." };
    private readonly Terminal terminal;

    private EvalTasksCommand(Terminal terminal) => this.terminal = terminal;

    public static void AddTo(Command eval, Terminal terminal)
    {
        foreach (EvaluationTask task in Enum.GetValues<EvaluationTask>())
        {
            eval.Subcommands.Add(new EvalTasksCommand(terminal).One(task));
        }

        eval.Subcommands.Add(new EvalTasksCommand(terminal).Several());
    }

    private Command One(EvaluationTask task)
    {
        Option<string[]> files = new("--file", "-f") { Description = "The items. May be repeated; the files count as one, and each apart.", Required = true, AllowMultipleArgumentsPerToken = true };
        (string what, string example) = task switch
        {
            EvaluationTask.Arc => ("questions of science exams: Easy and Challenge together, and each apart", "-f arc-easy-validation.parquet -f arc-challenge-validation.parquet"),
            EvaluationTask.HellaSwag => ("how a description goes on", "-f hellaswag_val_full.txt"),
            EvaluationTask.Mmlu => ("exam questions of 57 subjects", "-f mmlu-validation.bin"),
            EvaluationTask.TruthfulQa => ("questions that people answer wrongly (MC1)", "-f truthful-qa-validation.bin"),
            _ => ("which of two words a blank stands for", "-f winogrande-debiased-eval.csv"),
        };
        return Create(
            task.Name(),
            $"Score {task.Title()}, {what}, as llama-perplexity does, from its files or the published data set (.jsonl, .json, .csv, .parquet).\n\n  bitsmith eval {task.Name()} GLM-4.6V-Flash-Q4_K_M.gguf {example}",
            files, parsed => [new TaskRequest(task, parsed.GetRequiredValue(files))]);
    }

    private Command Several()
    {
        Option<(EvaluationTask Task, string File)[]> tasks = new("--task", "-t")
        {
            Description = $"NAME=FILE, with NAME one of {string.Join(", ", Enum.GetValues<EvaluationTask>().Select(task => task.Name()))}. Repeated for each task, and for each file of a task.",
            Required = true,
            CustomParser = ReadTasks,
        };
        return Create(
            "tasks",
            "Score several tasks and their average, as published tables have them.\n\n  bitsmith eval tasks GLM-4.6V-Flash-Q4_K_M.gguf --task arc=arc-easy.bin --task arc=arc-challenge.bin --task hellaswag=hellaswag.txt \\\n    --task mmlu=mmlu.bin --task truthfulqa=truthful-qa.bin --task winogrande=winogrande.csv --json",
            tasks, parsed => [.. parsed.GetRequiredValue(tasks).GroupBy(task => task.Task, (task, files) => new TaskRequest(task, [.. files.Select(file => file.File)]))]);
    }

    private Command Create(string name, string description, Option items, Func<ParseResult, IReadOnlyList<TaskRequest>> requests)
    {
        Command command = new(name, description);
        evaluation.AddTo(command);
        foreach (Option option in (Option[])[items, most, context, seed, dropLastRow])
        {
            command.Options.Add(option);
        }

        command.SetAction((parsed, cancellationToken) =>
        {
            TaskSettings settings = new(parsed.GetValue(most), parsed.GetValue(context), parsed.GetValue(seed), parsed.GetValue(dropLastRow));
            using EvaluatedModel model = evaluation.Open(parsed);
            TasksReport report = TaskEvaluation.Run(model, requests(parsed), settings, TimeProvider.System, TaskTable.Progress(terminal), cancellationToken);
            if (parsed.GetValue(evaluation.Json))
            {
                terminal.Out.WriteLine(report.ToJson());
            }
            else
            {
                TaskTable.Write(terminal, report);
            }

            return Task.FromResult(ExitCode.Done);
        });
        return command;
    }

    private static (EvaluationTask Task, string File)[] ReadTasks(ArgumentResult result)
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
                result.AddError($"--task {token.Value}: write NAME=FILE with NAME one of {string.Join(", ", Enum.GetValues<EvaluationTask>().Select(known => known.Name()))}.");
            }
        }

        return [.. tasks];
    }
}
