using System.CommandLine;
using System.CommandLine.Parsing;
using Bitsmith.Evaluation.Speed;

namespace Bitsmith.Cli.Commands;

/// <summary>What speed is measured of, in llama-bench's terms.</summary>
internal sealed class SpeedOptions
{
    private const int DefaultPrompt = 512, DefaultGenerate = 128, DefaultRepetitions = 5;

    private readonly Option<int[]> prompt = new("-p", "--n-prompt") { Description = $"Prompt tokens (pp); 0 leaves the test out. May be repeated. Default: {DefaultPrompt}.", CustomParser = ReadCounts };
    private readonly Option<int[]> generate = new("-n", "--n-gen") { Description = $"Tokens generated one by one from an empty context (tg); 0 leaves the test out. May be repeated. Default: {DefaultGenerate}.", CustomParser = ReadCounts };
    private readonly Option<SpeedTest[]> both = new("--pg", "-pg") { Description = "P,N: a prompt of P tokens and then N generated ones, measured as one. May be repeated.", CustomParser = ReadPairs };
    private readonly Option<int> repetitions = new Option<int>("-r", "--repetitions") { Description = "Measured runs of each test, behind one that is not measured.", DefaultValueFactory = _ => DefaultRepetitions }.AtLeastOne();
    private readonly Option<int> seed = new("--seed") { Description = "Chooses the random tokens." };

    public void AddTo(Command command)
    {
        foreach (Option option in (Option[])[prompt, generate, both, repetitions, seed])
        {
            command.Options.Add(option);
        }
    }

    /// <summary>The tests and how often each is run; null where all are left out.</summary>
    public SpeedSettings? Settings(ParseResult parsed, int threads)
    {
        IReadOnlyList<SpeedTest> tests = Tests(parsed.GetValue(prompt), parsed.GetValue(generate), parsed.GetValue(both));
        return tests.Count == 0 ? null : new SpeedSettings(tests, parsed.GetValue(repetitions), threads, Seed: parsed.GetValue(seed));
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
    }}
