using System.CommandLine;
using Bitsmith.Cli.Rendering;
using Bitsmith.Quantization.Allocation;
using Bitsmith.Quantization.Jobs;
using Bitsmith.Quantization.Mixes;

namespace Bitsmith.Cli.Commands;

/// <summary>Options of plan and quantize for results in GGUF, and how they become a <see cref="GgufJobOptions"/>.</summary>
internal sealed class GgufOptions
{
    public Option<string?> Imatrix { get; } = new("--imatrix") { Description = "GGUF: an importance matrix, GGUF or .dat, as bitsmith imatrix and llama-imatrix write them." };

    public Option<string[]> TensorType { get; } = new("--tensor-type") { Description = "GGUF: RE=TYPE, a type for tensors whose names the regular expression finds something in; the first that matches decides. May be repeated.", DefaultValueFactory = _ => [] };

    public Option<bool> Pure { get; } = new("--pure") { Description = "GGUF: every matrix takes the scheme's base type." };

    public Option<string?> OutputType { get; } = new("--output-tensor-type") { Description = "GGUF: the type of the output head." };

    public Option<string?> EmbeddingType { get; } = new("--token-embedding-type") { Description = "GGUF: the type of the token embedding." };

    public Option<bool> AllowRequantize { get; } = new("--allow-requantize") { Description = "GGUF: MODEL may be quantized already; the result is worse than one from the original." };

    public Option<bool> AllowNoImatrix { get; } = new("--allow-no-imatrix") { Description = "GGUF: types of so few bits that they need an importance matrix may do without." };

    public Option<double?> TargetBits { get; } = Positive(new("--target-bpw") { Description = "GGUF: choose each tensor's type so that all tensors together have at most so many bits for each weight and lose least." });

    public Option<long?> TargetSize { get; } = CommonOptions.Size("--target-size", "GGUF: the same, so that all files together have at most so many bytes, for example 5.2GB.");

    public Option<string?> Allocation { get; } = new("--allocation") { Description = "GGUF: the types of an allocation.json, as quantize and plan write it for a target, perhaps changed." };

    public Option<string?> TypeFile { get; } = new("--write-tensor-type-file") { Description = "GGUF, with a target: writes the chosen types for llama-quantize's --tensor-type-file." };

    public Option<string?> Types { get; } = new("--types") { Description = "GGUF, with a target: the types to choose from, for example q3_k,q4_k,q5_k,q6_k." };

    public Option<bool> NoImportance { get; } = new("--no-importance") { Description = "GGUF, with --method weight-error: only the head counts ten times." };

    private Option[] Targets => [TargetBits, TargetSize, Allocation];

    private Option[] All => [Imatrix, TensorType, Pure, OutputType, EmbeddingType, AllowRequantize, AllowNoImatrix, .. Targets, Types, TypeFile, NoImportance];

    public void AddTo(Command command, SharedOptions shared)
    {
        shared.Deciding.AddRange(Targets);
        foreach (Option option in All)
        {
            command.Options.Add(option);
        }
    }

    /// <summary>The mix that the command line asks for, or null where the result is a folder.</summary>
    /// <param name="parsed">The command line.</param>
    /// <param name="shared">The options that both containers have.</param>
    /// <param name="output">The name of the result; null where it has none, and the scheme alone decides.</param>
    /// <exception cref="RequestException">The container lacks the scheme or an option.</exception>
    public GgufMix? MixOf(ParseResult parsed, SharedOptions shared, string? output)
    {
        if (Array.Find(Targets, option => parsed.GetResult(option) is { Implicit: false }) is { } target)
        {
            Refuse(parsed, shared.FolderOnly.Except([shared.Calibration.Method]), "GGUF files");
            return output is null || output.EndsWith(".gguf", StringComparison.OrdinalIgnoreCase)
                ? GgufMix.All.First(known => known.Name == "Q4_K_M") // tensors that are not allocated follow no mix: they stay, or were given a type
                : throw new RequestException($"{target.Name} is for GGUF files, and {output} is to be a folder. Name the result, for example, {output}.gguf.");
        }

        if (Array.Find((Option[])[Types, TypeFile, NoImportance], option => parsed.GetResult(option) is { Implicit: false }) is { } aside)
        {
            throw new RequestException($"{aside.Name} has a meaning only with --target-bpw or --target-size.");
        }

        string? scheme = parsed.GetValue(shared.Scheme);
        bool isMix = GgufMix.TryParse(scheme ?? string.Empty, out GgufMix? mix), isFile = output?.EndsWith(".gguf", StringComparison.OrdinalIgnoreCase) ?? (isMix && !SharedOptions.IsPreset(scheme!));
        if (isFile)
        {
            Refuse(parsed, shared.FolderOnly, "GGUF files");
            return mix ?? throw new RequestException($"{(scheme is null ? "a recipe" : $"--scheme {scheme}")} is not for GGUF files ({output}). They take {string.Join(", ", GgufMix.All.Select(known => known.Name))}; other schemes make a folder.");
        }

        if (isMix && !SharedOptions.IsPreset(scheme!))
        {
            throw new RequestException($"--scheme {scheme} is for GGUF files, and {output} is to be a folder. Name the result, for example, {output}.gguf.");
        }

        Refuse(parsed, All, "folders");
        return null;
    }

    /// <summary>Reads the options.</summary>
    public GgufJobOptions Read(ParseResult parsed, SharedOptions shared, GgufMix mix, string output) => new()
    {
        Model = parsed.GetRequiredValue(shared.Model),
        Output = output,
        Mix = mix,
        MixOptions = new MixOptions(
            [.. parsed.GetValue(TensorType)!.Select(text => new TensorTypeOverride(text))],
            parsed.GetValue(Pure),
            parsed.GetValue(OutputType) is { } head ? MixOptions.ParseType(head) : null,
            parsed.GetValue(EmbeddingType) is { } embedding ? MixOptions.ParseType(embedding) : null,
            parsed.GetValue(shared.AllowUnmatched)),
        Imatrix = parsed.GetValue(Imatrix),
        AllowRequantize = parsed.GetValue(AllowRequantize),
        AllowNoImatrix = parsed.GetValue(AllowNoImatrix),
        MaxFileBytes = parsed.GetValue(shared.MaxShardSize),
        Threads = parsed.GetValue(shared.Threads),
        MaxMemoryBytes = parsed.GetValue(shared.MaxMemory),
    };

    /// <summary>Whether types are allocated, or were.</summary>
    public bool HasTarget(ParseResult parsed) => Array.Exists(Targets, option => parsed.GetResult(option) is { Implicit: false });

    /// <summary>The types that a target gives, or the file of an earlier allocation.</summary>
    /// <param name="parsed">The command line.</param>
    /// <param name="shared">The options that both containers have.</param>
    /// <param name="job">The job.</param>
    /// <param name="terminal">Where progress goes.</param>
    /// <param name="cancellationToken">Stops it.</param>
    /// <exception cref="RequestException">The target is too small, or types are not known.</exception>
    /// <exception cref="Checkpoints.CheckpointException">The model or the allocation is broken.</exception>
    public AllocationPlan Allocate(ParseResult parsed, SharedOptions shared, GgufJobOptions job, Terminal terminal, CancellationToken cancellationToken)
    {
        if (parsed.GetValue(Allocation) is { } file)
        {
            return AllocationPlan.Load(file);
        }

        AllocationOptions options = new()
        {
            Target = parsed.GetValue(TargetBits) is { } bits ? AllocationTarget.Bits(bits) : AllocationTarget.Bytes(parsed.GetValue(TargetSize)!.Value),
            Method = parsed.GetValue(shared.Calibration.Method) is { } name ? AllocationMethods.Parse(name) : AllocationMethod.OutputError,
            Types = parsed.GetValue(Types)?.Split(',').Select(type => MixOptions.ParseType(type.Trim())).ToArray(),
            NoImportance = parsed.GetValue(NoImportance),
        };
        return ProgressDisplay.Run<AllocationPlan>(terminal, "allocate", progress => GgufAllocator.Allocate(job, options, progress, cancellationToken));
    }

    private static Option<double?> Positive(Option<double?> option)
    {
        option.Validators.Add(result =>
        {
            if (result.GetValueOrDefault<double?>() is double value && !(value > 0 && double.IsFinite(value)))
            {
                result.AddError($"{option.Name} must be above 0.");
            }
        });
        return option;
    }

    private static void Refuse(ParseResult parsed, IEnumerable<Option> options, string container)
    {
        if (options.FirstOrDefault(option => parsed.GetResult(option) is { Implicit: false }) is { } given)
        {
            throw new RequestException($"{given.Name} has no meaning for {container}. Leave it out, or choose another container by the name of the result (NAME.gguf, or a folder).");
        }
    }
}
