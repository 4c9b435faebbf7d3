using System.CommandLine;
using System.CommandLine.Parsing;
using Bitsmith.Cli.Rendering;
using Bitsmith.Evaluation;
using Bitsmith.Evaluation.Comparison;
using Bitsmith.Evaluation.Comparison.Rendering;
using Bitsmith.Evaluation.Tasks;

namespace Bitsmith.Cli.Commands;

/// <summary><c>bitsmith compare</c>.</summary>
internal sealed class CompareCommand
{
    public const string Name = "compare";

    private readonly Argument<string> baseModel = new("BASE") { Description = $"The model that the others were made from. {CommonOptions.ModelDescription}" };
    private readonly Argument<string[]> models = new("QUANT") { Description = "Models made from it, folders or GGUF files.", Arity = ArgumentArity.OneOrMore };
    private readonly Option<string> output = new("--output", "-o") { Description = "The folder for report.html, report.json, the pictures as SVG, and measurements, which are kept for the next run.", Required = true };
    private readonly EvaluationOptions evaluation = new();
    private readonly Option<bool> weightsOnly = new("--weights-only") { Description = "One more row for each model whose scheme quantizes activations, measured with exact ones: what the weights alone have lost." };
    private readonly Option<string> baseActivations = CommonOptions.ActivationsOrBFloat16("--base-activations", "exact");
    private readonly TextOptions text = new(required: true);
    private readonly Option<int> passage = new Option<int>("--passage") { Description = "The chunk of the text whose tokens and layers are shown one by one.", DefaultValueFactory = _ => 1 }.AtLeastOne();
    private readonly Option<(EvaluationTask Task, string File)[]> tasks = TaskOptions.Tasks(required: false);
    private readonly TaskOptions taskOptions = new(besideOthers: true);
    private readonly SpeedOptions speed = new();
    private readonly Option<bool> force = new("--force") { Description = "Measure again what was measured before." };
    private readonly Terminal terminal;

    private CompareCommand(Terminal terminal) => this.terminal = terminal;

    public static Command Create(Terminal terminal) => new CompareCommand(terminal).Create();

    private Command Create()
    {
        Command command = new(Name, "Measure quantized models beside the model they were made from: size, perplexity, KL divergence, layers, task scores, speed; one table, an HTML report with pictures, and JSON. Repeated, it measures only what is new or has changed.\n\n  bitsmith compare ./GLM-4.6V-Flash *.gguf -f wiki.test.raw -o report\n  bitsmith compare ./GLM-4.6V-Flash ./GLM-4.6V-Flash-FP8 GLM-4.6V-Flash-Q4_K_M.gguf -f wiki.test.raw --weights-only \\\n    --task arc=arc-easy.bin --task arc=arc-challenge.bin --task hellaswag=hellaswag.txt --pg 1024,1024 -o report");
        command.Arguments.Add(baseModel);
        command.Arguments.Add(models);
        command.Options.Add(output);
        text.AddTo(command);
        command.Options.Add(passage);
        command.Options.Add(tasks);
        taskOptions.AddTo(command);
        speed.AddTo(command);
        evaluation.AddSettingsTo(command);
        command.Options.Add(weightsOnly);
        command.Options.Add(baseActivations);
        command.Options.Add(force);
        command.Validators.Add(Check);
        command.SetAction((parsed, cancellationToken) =>
        {
            string folder = parsed.GetRequiredValue(output);
            ComparisonReport report = ModelComparison.Run(Read(parsed), folder, TimeProvider.System, ComparisonLines.Progress(terminal), cancellationToken);
            foreach (string file in ReportFiles.Write(report, folder))
            {
                terminal.Error.WriteLine($"wrote {file}");
            }

            return Task.FromResult(evaluation.Print(parsed, terminal, report.ToJson, () => ComparisonLines.Write(terminal, report)));
        });
        return command;
    }

    private ComparisonRequest Read(ParseResult parsed)
    {
        EvaluationSettings settings = evaluation.Settings(parsed);
        return new ComparisonRequest(parsed.GetRequiredValue(baseModel), parsed.GetRequiredValue(models), parsed.GetValue(text.File)!, text.Settings(parsed), settings)
        {
            AlsoExact = parsed.GetValue(weightsOnly),
            BaseActivations = EvaluationOptions.ModeOf(parsed.GetRequiredValue(baseActivations)),
            Passage = parsed.GetValue(passage),
            Tasks = TaskOptions.Requests(parsed.GetValue(tasks) ?? []),
            TaskSettings = taskOptions.Settings(parsed),
            Speed = speed.Settings(parsed, settings.Threads),
            Anew = parsed.GetValue(force),
        };
    }

    private void Check(CommandResult result)
    {
        foreach (IGrouping<string, string> path in (result.GetValue(models) ?? []).GroupBy(Path.GetFullPath).Where(paths => paths.Count() > 1))
        {
            result.AddError($"{path.First()} is named twice.");
        }
    }
}
