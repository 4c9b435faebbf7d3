using System.CommandLine;
using Bitsmith.Cli.Rendering;
using Bitsmith.Evaluation;
using Bitsmith.Evaluation.Tasks;

namespace Bitsmith.Cli.Commands;

/// <summary><c>bitsmith eval arc</c>, <c>hellaswag</c>, <c>mmlu</c>, <c>truthfulqa</c>, <c>winogrande</c>, and several of them with their average, <c>bitsmith eval tasks</c>.</summary>
internal sealed class EvalTasksCommand
{
    private readonly EvaluationOptions evaluation = new();
    private readonly TaskOptions options = new();
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
        Option<(EvaluationTask Task, string File)[]> tasks = TaskOptions.Tasks(required: true);
        return Create(
            "tasks",
            "Score several tasks and their average, as published tables have them.\n\n  bitsmith eval tasks GLM-4.6V-Flash-Q4_K_M.gguf --task arc=arc-easy.bin --task arc=arc-challenge.bin --task hellaswag=hellaswag.txt \\\n    --task mmlu=mmlu.bin --task truthfulqa=truthful-qa.bin --task winogrande=winogrande.csv --json",
            tasks, parsed => TaskOptions.Requests(parsed.GetRequiredValue(tasks)));
    }

    private Command Create(string name, string description, Option items, Func<ParseResult, IReadOnlyList<TaskRequest>> requests)
    {
        Command command = new(name, description);
        evaluation.AddTo(command);
        command.Options.Add(items);
        options.AddTo(command);

        command.SetAction((parsed, cancellationToken) =>
        {
            using EvaluatedModel model = evaluation.Open(parsed);
            TasksReport report = TaskEvaluation.Run(model, requests(parsed), options.Settings(parsed), TimeProvider.System, TaskTable.Progress(terminal), cancellationToken);
            return Task.FromResult(evaluation.Print(parsed, terminal, report.ToJson, () => TaskTable.Write(terminal, report)));
        });
        return command;
    }
}
