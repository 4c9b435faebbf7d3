using System.CommandLine;
using System.CommandLine.Parsing;
using Bitsmith.Cli.Rendering;
using Bitsmith.Evaluation.Speed;
using Bitsmith.Quantization.Jobs;

namespace Bitsmith.Cli.Commands;

/// <summary><c>bitsmith bench</c>.</summary>
internal static class BenchCommand
{
    private const int DefaultPrompt = 512, DefaultGenerate = 128, DefaultRepetitions = 5;

    public static Command Create(Terminal terminal)
    {
        Argument<string> model = new("MODEL") { Description = CommonOptions.ModelDescription };
        Option<int[]> prompt = new("-p", "--n-prompt") { Description = $"Prompt tokens (pp); 0 leaves the test out. May be repeated. Default: {DefaultPrompt}.", CustomParser = ReadCounts };
        Option<int[]> generate = new("-n", "--n-gen") { Description = $"Tokens generated one by one from an empty context (tg); 0 leaves the test out. May be repeated. Default: {DefaultGenerate}.", CustomParser = ReadCounts };
        Option<SpeedTest[]> both = new("--pg", "-pg") { Description = "P,N: a prompt of P tokens and then N generated ones, measured as one. May be repeated.", CustomParser = ReadPairs };
        Option<int> repetitions = new Option<int>("-r", "--repetitions") { Description = "Measured runs of each test, behind one that is not measured.", DefaultValueFactory = _ => DefaultRepetitions }.AtLeastOne();
        Option<int> seed = new("--seed") { Description = "Chooses the random tokens." };
        Option<string> activations = CommonOptions.Activations();
        Option<string> cacheType = CommonOptions.CacheType();
        Option<int> threads = CommonOptions.Threads();
        Option<bool> json = CommonOptions.Json();
        Command command = new("bench", "Measure how fast a model runs, in tokens per second, as llama-bench does.\n\n  bitsmith bench ./GLM-4.6V-Flash-FP8 -p 512 -n 128\n  bitsmith bench ./GLM-4.6V-Flash-FP8 -p 0 -n 0 --pg 1024,1024 -r 1");
        command.Arguments.Add(model);
        foreach (Option option in (Option[])[prompt, generate, both, repetitions, seed, activations, cacheType, threads, json])
        {
            command.Options.Add(option);
        }

        command.SetAction((parsed, cancellationToken) =>
        {
            SpeedSettings settings = new(
                Tests(parsed.GetValue(prompt), parsed.GetValue(generate), parsed.GetValue(both)),
                parsed.GetValue(repetitions),
                parsed.GetValue(threads),
                parsed.GetValue(activations) == "exact",
                parsed.GetValue(seed),
                CommonOptions.CacheTypeOf(parsed.GetRequiredValue(cacheType)));
            if (settings.Tests.Count == 0)
            {
                throw new RequestException("Nothing to measure: -p and -n are 0 and there is no --pg.");
            }

            LineProgress<SpeedProgress> progress = new(terminal.Error, run => run.Run == 0
                ? $"{run.Test.Name}: warm"
                : $"{run.Test.Name}: run {run.Run} of {settings.Repetitions}, {run.TokensPerSecond:0.00} tokens/s");
            SpeedReport report = SpeedBench.Run(parsed.GetRequiredValue(model), settings, TimeProvider.System, progress, cancellationToken);
            if (parsed.GetValue(json))
            {
                terminal.Out.WriteLine(report.ToJson());
            }
            else
            {
                SpeedTable.Write(terminal, report);
            }

            return Task.FromResult(ExitCode.Done);
        });
        return command;
    }

    private static IReadOnlyList<SpeedTest> Tests(int[]? prompt, int[]? generate, SpeedTest[]? both) =>
    [
        .. (prompt is { Length: > 0 } ? prompt : [DefaultPrompt]).Where(count => count != 0).Select(count => new SpeedTest(count, 0)),
        .. (generate is { Length: > 0 } ? generate : [DefaultGenerate]).Where(count => count != 0).Select(count => new SpeedTest(0, count)),
        .. both ?? [],
    ];

    private static int[] ReadCounts(ArgumentResult result)
    {
        List<int> counts = [];
        foreach (Token token in result.Tokens)
        {
            if (int.TryParse(token.Value, out int count) && count >= 0)
            {
                counts.Add(count);
            }
            else
            {
                result.AddError($"'{token.Value}' is no number of tokens; write 0 or more.");
            }
        }

        return [.. counts];
    }

    private static SpeedTest[] ReadPairs(ArgumentResult result)
    {
        List<SpeedTest> tests = [];
        foreach (Token token in result.Tokens)
        {
            if (token.Value.Split(',') is [string p, string n] && int.TryParse(p, out int prompt) && int.TryParse(n, out int generate) && prompt > 0 && generate > 0)
            {
                tests.Add(new SpeedTest(prompt, generate));
            }
            else
            {
                result.AddError($"--pg {token.Value}: write two numbers of tokens, for example --pg 1024,128.");
            }
        }

        return [.. tests];
    }
}
