using System.CommandLine;
using Bitsmith.Evaluation;

namespace Bitsmith.Cli.Commands;

/// <summary>The model that a verb of <c>eval</c> measures, and how it is run.</summary>
internal sealed class EvaluationOptions
{
    private readonly Option<string> activations = CommonOptions.ActivationsOrBFloat16();
    private readonly Option<string> cacheType = CommonOptions.CacheType();
    private readonly Option<int> threads = CommonOptions.Threads();

    public Argument<string> Model { get; } = new("MODEL") { Description = CommonOptions.ModelDescription };

    public Option<bool> Json { get; } = CommonOptions.Json();

    public void AddTo(Command command)
    {
        command.Arguments.Add(Model);
        AddSettingsTo(command);
    }

    /// <summary>Adds how models are run, for a verb that names them otherwise.</summary>
    public void AddSettingsTo(Command command)
    {
        foreach (Option option in (Option[])[activations, cacheType, threads, Json])
        {
            command.Options.Add(option);
        }
    }

    public EvaluatedModel Open(ParseResult parsed) => EvaluatedModel.Open(parsed.GetRequiredValue(Model), Settings(parsed));

    /// <summary>Prints a report: as JSON where that was asked for, else as a table.</summary>
    public int Print(ParseResult parsed, Terminal terminal, Func<string> json, Action table)
    {
        if (parsed.GetValue(Json))
        {
            terminal.Out.WriteLine(json());
        }
        else
        {
            table();
        }

        return ExitCode.Done;
    }

    /// <summary>How to run models; one that rounds to BF16 has a BF16 cache where none was asked for.</summary>
    public EvaluationSettings Settings(ParseResult parsed)
    {
        ActivationMode mode = ModeOf(parsed.GetRequiredValue(activations));
        bool rounds = mode == ActivationMode.BFloat16 && (parsed.GetResult(cacheType)?.Implicit ?? true);
        return new EvaluationSettings(parsed.GetValue(threads), mode, CommonOptions.CacheTypeOf(rounds ? CommonOptions.BFloat16 : parsed.GetRequiredValue(cacheType)));
    }

    /// <summary>What a value of --activations stands for.</summary>
    public static ActivationMode ModeOf(string value) => value switch { "exact" => ActivationMode.Exact, CommonOptions.BFloat16 => ActivationMode.BFloat16, _ => ActivationMode.Scheme };
}
