using System.CommandLine;
using System.Globalization;
using Bitsmith.Quantization.Calibration;
using Bitsmith.Quantization.Jobs;
using Bitsmith.Quantization.Manifests;
using Bitsmith.Quantization.Mixes;
using Bitsmith.Quantization.Recipes;
using Bitsmith.Tensors.Formats;

namespace Bitsmith.Cli.Commands;

/// <summary>Options that plan and quantize share, and how they become a <see cref="JobOptions"/>.</summary>
internal sealed class SharedOptions
{
    public Argument<string> Model { get; } = new("MODEL") { Description = "A Hugging Face model folder (safetensors); for results in GGUF also a .gguf file." };

    public Option<string?> Scheme { get; } = new("--scheme")
    {
        Description = $"For a folder, a preset: {string.Join("; ", Presets.All.Select(preset => $"{preset.Name} ({preset.Summary})"))}. For a .gguf file, one of llama.cpp's: {string.Join(", ", GgufMix.All.Select(mix => mix.Name))}.",
    };

    public Option<string?> RecipeFile { get; } = new("--recipe") { Description = "A recipe in llm-compressor's YAML form, or the bitsmith.json of an earlier result to make the same bytes again." };

    public Option<string[]> Ignore { get; } = new("--ignore") { Description = "A module to leave as it is: its name, its class, or re:PATTERN. May be repeated.", AllowMultipleArgumentsPerToken = false, DefaultValueFactory = _ => [] };

    public Option<bool> AllowUnmatched { get; } = new("--allow-unmatched") { Description = "A pattern that matches no module is a warning instead of an error." };

    public Option<bool> Fix { get; } = new("--fix") { Description = "Make the repairs of the packaging checks, and keep weights as they are that transformers would misread." };

    public Option<WeightEncoder?> Encoder { get; } = new("--encoder") { Description = "library: the bytes that compressed-tensors writes (default for FP8). best: the scales of least squared error (default where 4-bit weights are written)." };

    public Option<int[]?> GroupSizes { get; } = new("--group-size")
    {
        Description = "Columns that share a scale in w4a16 and w4a16-asym: 32, 64 or 128 (default). Several, as 32,64,128, make a folder each from one calibration, in which layers see what the original ones compute.",
        CustomParser = result =>
        {
            string text = result.Tokens[^1].Value;
            List<int> sizes = [];
            foreach (string part in text.Split(','))
            {
                if (!int.TryParse(part, NumberStyles.None, CultureInfo.InvariantCulture, out int size))
                {
                    result.AddError($"--group-size: '{text}' is no list of whole numbers such as 32,64,128.");
                    return null;
                }

                sizes.Add(size);
            }

            return [.. sizes];
        },
    };

    public Option<long?> MaxShardSize { get; } = CommonOptions.Size("--max-shard-size", "Largest weight file, for example 5GB (the default for folders; GGUF results are one file without it).");

    public Option<long?> MaxMemory { get; } = CommonOptions.Size("--max-memory", "The most memory the job may use, for example 2GiB.");

    public Option<int> Threads { get; } = CommonOptions.Threads();

    public Option<bool> Json { get; } = CommonOptions.Json();

    public CalibrationCommandOptions Calibration { get; } = new();

    /// <summary>Options without a meaning for GGUF files.</summary>
    public IReadOnlyList<Option> FolderOnly => [RecipeFile, Ignore, Fix, Encoder, GroupSizes, .. Calibration.All];

    /// <summary>Options of which one says what becomes of the weights.</summary>
    public List<Option> Deciding { get; } = [];

    /// <summary>True for the name of a scheme for folders.</summary>
    public static bool IsPreset(string scheme) => Presets.All.Any(preset => preset.Name.Equals(scheme, StringComparison.OrdinalIgnoreCase));

    public void AddTo(Command command)
    {
        command.Arguments.Add(Model);
        Deciding.InsertRange(0, [Scheme, RecipeFile]);
        foreach (Option option in (Option[])[Scheme, RecipeFile, Ignore, AllowUnmatched, Fix, Encoder, GroupSizes, .. Calibration.All, MaxShardSize, MaxMemory, Threads, Json])
        {
            command.Options.Add(option);
        }

        command.Validators.Add(result =>
        {
            if (Deciding.Count(option => result.GetResult(option) is { Implicit: false }) != 1)
            {
                result.AddError($"Exactly one of {string.Join(", ", Deciding[..^1].Select(option => option.Name))} and {Deciding[^1].Name} is needed.");
            }
        });
    }

    /// <summary>The group sizes where there are several; otherwise <see cref="Read"/> has what was asked for.</summary>
    public IReadOnlyList<int>? Several(ParseResult parsed) => parsed.GetValue(GroupSizes) is { Length: > 1 } sizes ? sizes : null;

    /// <summary>Reads the options; a recipe that is a bitsmith.json brings its own defaults.</summary>
    public JobOptions Read(ParseResult parsed, string output)
    {
        string? file = parsed.GetValue(RecipeFile);
        Manifest? manifest = file is not null && file.EndsWith(".json", StringComparison.OrdinalIgnoreCase) ? ManifestFile.Load(file) : null;
        Recipe recipe = manifest?.Recipe ?? (file is null ? Presets.Get(parsed.GetValue(Scheme)!) : RecipeYaml.Load(file) with { Source = Path.GetFileName(file) });
        if (parsed.GetValue(GroupSizes) is { Length: 1 } size)
        {
            recipe = Presets.WithGroupSize(recipe, size[0]);
        }

        return new JobOptions
        {
            Model = parsed.GetRequiredValue(Model),
            Output = output,
            Recipe = recipe with { Ignore = [.. recipe.Ignore, .. parsed.GetValue(Ignore) ?? []] },
            Calibration = Calibration.Read(parsed, recipe, manifest?.Calibration, parsed.GetValue(Encoder), Several(parsed) is null ? Propagation.Quantized : Propagation.Original),
            Encoder = parsed.GetValue(Encoder) ?? manifest?.Options.Encoder ?? recipe.DefaultEncoder,
            MaxShardBytes = parsed.GetValue(MaxShardSize) ?? manifest?.Options.MaxShardBytes ?? JobOptions.DefaultMaxShardBytes,
            Threads = parsed.GetValue(Threads),
            Fix = parsed.GetValue(Fix) || manifest?.Options.Fix == true,
            AllowUnmatched = parsed.GetValue(AllowUnmatched) || manifest?.Options.AllowUnmatched == true,
            MaxMemoryBytes = parsed.GetValue(MaxMemory),
        };
    }
}
