using System.CommandLine;
using Bitsmith.Cli.Rendering;
using Bitsmith.Evaluation.Speed;
using Bitsmith.Quantization.Jobs;

namespace Bitsmith.Cli.Commands;

/// <summary><c>bitsmith bench</c>.</summary>
internal static class BenchCommand
{
    public static Command Create(Terminal terminal)
    {
        Argument<string> model = new("MODEL") { Description = CommonOptions.ModelDescription };
        SpeedOptions speed = new();
        Option<string> activations = CommonOptions.Activations();
        Option<string> cacheType = CommonOptions.CacheType();
        Option<int> threads = CommonOptions.Threads();
        Option<string> format = new("--format") { Description = "table, markdown (llama-bench's columns), csv or json.", DefaultValueFactory = _ => "table" };
        format.AcceptOnlyFromAmong("table", "markdown", "csv", "json");
        Option<bool> json = CommonOptions.Json();
        Command command = new("bench", "Measure how fast a model runs, in tokens per second, as llama-bench does.\n\n  bitsmith bench ./GLM-4.6V-Flash-FP8 -p 512 -n 128\n  bitsmith bench ./GLM-4.6V-Flash-FP8 -p 0 -n 0 --pg 1024,1024 -r 1");
        command.Arguments.Add(model);
        speed.AddTo(command);
        foreach (Option option in (Option[])[activations, cacheType, threads, format, json])
        {
            command.Options.Add(option);
        }

        command.SetAction((parsed, cancellationToken) =>
        {
            SpeedSettings settings = speed.Settings(parsed, parsed.GetValue(threads)) ?? throw new RequestException("Nothing to measure: -p and -n are 0 and there is no --pg.");
            settings = settings with { ExactActivations = parsed.GetValue(activations) == "exact", CacheType = CommonOptions.CacheTypeOf(parsed.GetRequiredValue(cacheType)) };
            LineProgress<SpeedProgress> progress = new(terminal.Error, run => run.Run == 0
                ? $"{run.Test.Name}: warm"
                : $"{run.Test.Name}: run {run.Run} of {settings.Repetitions}, {run.TokensPerSecond:0.00} tokens/s");
            SpeedReport report = SpeedBench.RunBesideMachine(parsed.GetRequiredValue(model), settings, TimeProvider.System, progress, cancellationToken);
            switch (parsed.GetValue(json) ? "json" : parsed.GetRequiredValue(format))
            {
                case "json": terminal.Out.WriteLine(report.ToJson()); break;
                case "markdown": terminal.Out.Write(report.ToMarkdown()); break;
                case "csv": terminal.Out.Write(report.ToCsv()); break;
                default: SpeedTable.Write(terminal, report); break;
            }

            return Task.FromResult(ExitCode.Done);
        });
        return command;
    }
}
