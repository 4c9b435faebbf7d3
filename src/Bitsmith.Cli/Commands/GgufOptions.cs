using System.CommandLine;
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

    private Option[] All => [Imatrix, TensorType, Pure, OutputType, EmbeddingType, AllowRequantize, AllowNoImatrix];

    public void AddTo(Command command)
    {
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

    private static void Refuse(ParseResult parsed, IEnumerable<Option> options, string container)
    {
        if (options.FirstOrDefault(option => parsed.GetResult(option) is { Implicit: false }) is { } given)
        {
            throw new RequestException($"{given.Name} has no meaning for {container}. Leave it out, or choose another container by the name of the result (NAME.gguf, or a folder).");
        }
    }
}
