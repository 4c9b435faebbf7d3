using System.CommandLine;
using System.Text.Json;
using Bitsmith.Checkpoints;
using Bitsmith.Models;
using Bitsmith.Models.Generation;
using Bitsmith.Tensors.Matrices;

namespace Bitsmith.Cli.Commands;

/// <summary>The model and the sampling settings that run and chat share.</summary>
internal sealed class GenerationOptions
{
    private readonly Argument<string> model = new("MODEL") { Description = CommonOptions.ModelDescription };
    private readonly Option<string?> mmproj = CommonOptions.Mmproj();
    private readonly Option<int?> maxTokens = new("--max-tokens", "-n") { Description = "Most tokens of an answer." };
    private readonly Option<double?> temperature = new("--temperature") { Description = "0 takes the most likely token each time." };
    private readonly Option<int?> seed = new("--seed") { Description = "Makes answers repeatable." };
    private readonly Option<string?> generation = new("--override-generation-config") { Description = "JSON merged over the model's generation_config.json or GGUF metadata, for example {\"temperature\": 0.8, \"min_p\": 0.05}." };
    private readonly Option<string> activations = CommonOptions.ActivationsOrBFloat16();
    private readonly Option<string> cacheType = CommonOptions.CacheType();
    private readonly Option<int> threads = CommonOptions.Threads();

    public void AddTo(Command command)
    {
        command.Arguments.Add(model);
        foreach (Option option in (Option[])[mmproj, maxTokens, temperature, seed, generation, activations, cacheType, threads])
        {
            command.Options.Add(option);
        }
    }

    public GlmModel Open(ParseResult parsed)
    {
        bool exact = parsed.GetValue(activations) == "exact", rounds = Rounds(parsed);
        return GlmModel.Open(parsed.GetRequiredValue(model), ComputeOptions.On(parsed.GetValue(threads), exact || rounds) with { BFloat16Results = rounds }, exact, parsed.GetValue(mmproj));
    }

    /// <summary>A session with the cache that was asked for; a run that rounds to BF16 has a BF16 cache where none was.</summary>
    public GenerationSession NewSession(ParseResult parsed, GlmModel model) =>
        model.NewSession(CommonOptions.CacheTypeOf(Rounds(parsed) && (parsed.GetResult(cacheType)?.Implicit ?? true) ? CommonOptions.BFloat16 : parsed.GetRequiredValue(cacheType)));

    /// <summary>The model's defaults, the override merged over them, single options over that.</summary>
    public SamplingSettings Settings(ParseResult parsed, GlmModel model)
    {
        SamplingSettings settings = Override(model.Defaults, parsed.GetValue(generation));
        return settings with
        {
            MaxTokens = parsed.GetValue(maxTokens) ?? settings.MaxTokens,
            Temperature = parsed.GetValue(temperature) ?? settings.Temperature,
            Seed = parsed.GetValue(seed) ?? settings.Seed,
        };
    }

    private bool Rounds(ParseResult parsed) => parsed.GetValue(activations) == CommonOptions.BFloat16;

    private static SamplingSettings Override(SamplingSettings defaults, string? json)
    {
        if (json is null)
        {
            return defaults;
        }

        const string Source = "--override-generation-config";
        try
        {
            using JsonDocument document = JsonDocument.Parse(json);
            return defaults.With(document.RootElement, Source);
        }
        catch (JsonException problem)
        {
            throw new CheckpointException(Source, $"is no JSON: {problem.Message}", problem);
        }
    }
}
