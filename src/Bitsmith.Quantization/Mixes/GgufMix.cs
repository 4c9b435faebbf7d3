using System.Diagnostics.CodeAnalysis;
using Bitsmith.Checkpoints.Gguf;
using Bitsmith.Tensors.Formats.Ggml;
using static Bitsmith.Quantization.Mixes.MixCondition;
using static Bitsmith.Tensors.Formats.Ggml.GgmlType;

namespace Bitsmith.Quantization.Mixes;

/// <summary>
/// A file type of llama.cpp: which type most tensors take, and which tensors take another. The rules are those of llama-quantize 0.7.0.
/// </summary>
public sealed class GgufMix
{
    // Of the mixes for two bits and fewer: value heads are few and carry much.
    private static readonly MixRule[] LowValue = [SharedHeadsOrExperts.Gives(Q4_K), Always.Gives(Q2_K)], LowMediumValue = [SharedHeadsOrExperts.Gives(Q4_K), Always.Gives(IQ3_S)];
    private static readonly MixRule[] LowDown = [FirstEighth.Gives(Q2_K)], LowMediumDown = [FirstEighth.Gives(IQ3_S)];

    // The single place to add a mix.
    private static readonly GgufMix[] Rows =
    [
        new("F32", F32), new("F16", F16), new("BF16", BF16),
        new("Q4_0", Q4_0) { Down = [WithImportance.And(FirstEighth).Gives(Q4_1)] },
        new("Q4_1", Q4_1),
        new("Q5_0", Q5_0) { Down = [WithImportance.And(FirstEighth).Gives(Q5_1)] },
        new("Q5_1", Q5_1),
        new("Q8_0", Q8_0) { Output = Q8_0 },
        new("Q2_K", Q2_K) { Value = [SharedHeads.Gives(Q4_K), Always.Gives(Q3_K)], AttentionOutput = [Always.Gives(Q3_K)], Down = [Always.Gives(Q3_K)], EightExpertsOutput = true },
        new("Q2_K_S", Q2_K) { Value = [SharedHeads.Gives(Q4_K)], Down = [FirstEighth.Gives(Q4_K)] },
        new("Q3_K_S", Q3_K) { EightExpertsOutput = true },
        new("Q3_K_M", Q3_K)
        {
            Value = [FirstTwo.Gives(Q5_K), Always.Gives(Q4_K)], AttentionOutput = [Always.Gives(Q4_K)], Down = [FirstSixteenth.Gives(Q5_K), Always.Gives(Q4_K)], EightExpertsOutput = true,
        },
        new("Q3_K_L", Q3_K) { Value = [Always.Gives(Q5_K)], AttentionOutput = [Always.Gives(Q5_K)], Down = [Always.Gives(Q5_K)] },
        new("Q4_K_S", Q4_K) { Value = [FirstFour.Gives(Q5_K)], Down = [FirstEighth.Gives(Q5_K)], EightExpertsOutput = true },
        new("Q4_K_M", Q4_K) { Value = [MoreBits.Gives(Q6_K)], Down = [MoreBits.Gives(Q6_K)], EightExpertsOutput = true },
        new("Q5_K_S", Q5_K),
        new("Q5_K_M", Q5_K) { Value = [MoreBits.Gives(Q6_K)], Down = [MoreBits.Gives(Q6_K)] },
        new("Q6_K", Q6_K),
        new("IQ1_S", IQ1_S) { IsLow = true, Output = Q5_K, Embedding = Q2_K, Value = LowValue, AttentionOutput = [Always.Gives(IQ2_XXS)], Down = LowDown },
        new("IQ1_M", IQ1_M) { IsLow = true, Output = Q5_K, Embedding = Q2_K, Value = LowValue, AttentionOutput = [Always.Gives(IQ2_XXS)], Down = LowDown },
        new("IQ2_XXS", IQ2_XXS) { IsLow = true, Output = Q5_K, Embedding = Q2_K, Value = LowValue, Down = LowDown },
        new("IQ2_XS", IQ2_XS) { IsLow = true, Output = Q5_K, Embedding = Q2_K, Value = LowValue, Down = LowDown },
        new("IQ2_S", IQ2_XS) { IsLow = true, Output = Q5_K, Embedding = IQ3_S, Value = LowMediumValue, AttentionOutput = [Always.Gives(IQ3_S)], Down = LowMediumDown },
        new("IQ2_M", IQ2_S) { IsLow = true, Output = Q5_K, Embedding = IQ3_S, Value = LowMediumValue, AttentionOutput = [Always.Gives(IQ3_S)], Down = LowMediumDown },
        new("IQ3_XXS", IQ3_XXS)
        {
            Output = Q5_K,
            Embedding = IQ3_S,
            Value = [SharedHeads.Gives(Q4_K), WithoutImportance.Gives(IQ3_S)],
            QueryKey = [Always.Gives(IQ2_S)],
            AttentionOutput = [Always.Gives(IQ3_S)],
            Down = [WithoutImportance.And(FirstEighth).Gives(Q4_K), WithoutImportance.Gives(Q3_K)],
            EightExpertsOutput = true,
        },
        new("IQ3_XS", IQ3_S) { Value = [SharedHeads.Gives(Q4_K)], QueryKey = [Always.Gives(IQ3_XXS)], GateUp = [Middle.Gives(IQ3_XXS)], EightExpertsOutput = true },
        new("IQ3_S", IQ3_S) { Value = [SharedHeads.Gives(Q4_K)], EightExpertsOutput = true },
        new("IQ3_M", IQ3_S)
        {
            Value = [Always.Gives(Q4_K)], AttentionOutput = [Always.Gives(Q4_K)], Down = [FirstEighth.Gives(Q4_K), EightExperts.And(MoreBits).Gives(Q4_K)], EightExpertsOutput = true,
        },
        new("IQ4_NL", IQ4_NL) { Value = [SharedHeads.Gives(Q5_K)], Down = [WithoutImportance.And(FirstEighth).Gives(Q5_K)], EightExpertsOutput = true },
        new("IQ4_XS", IQ4_XS) { Value = [SharedHeads.Gives(Q5_K)], Down = [WithoutImportance.And(FirstEighth).Gives(Q5_K)], EightExpertsOutput = true },
        new("TQ1_0", TQ1_0) { Embedding = Q4_K }, new("TQ2_0", TQ2_0) { Embedding = Q4_K },
        new("MXFP4_MOE", MXFP4) { Output = Q8_0, ExpertsOnly = Q8_0 },
        new("NVFP4", NVFP4), new("Q1_0", Q1_0), new("Q2_0", Q2_0) { Embedding = Q4_K },
    ];

    private static readonly Dictionary<string, string> Aliases = new(StringComparer.OrdinalIgnoreCase) { ["Q3_K"] = "Q3_K_M", ["Q4_K"] = "Q4_K_M", ["Q5_K"] = "Q5_K_M", ["MXFP4"] = "MXFP4_MOE" };

    private GgufMix(string name, GgmlType type) => (Name, Base, FileType) = (name, type, GgufFileType.NumberOf(name));

    /// <summary>Every mix; a fixed order.</summary>
    public static IReadOnlyList<GgufMix> All => Rows;

    /// <summary>llama.cpp's name, for example <c>Q4_K_M</c>.</summary>
    public string Name { get; }

    /// <summary>The number under <c>general.file_type</c>.</summary>
    public uint FileType { get; }

    /// <summary>The type of tensors that no rule gives another.</summary>
    public GgmlType Base { get; }

    /// <summary>The type of the output head, and of an embedding that is the head too.</summary>
    internal GgmlType Output { get; private init; } = Q6_K;

    /// <summary>The type of an embedding of its own; null for the base type.</summary>
    internal GgmlType? Embedding { get; private init; }

    /// <summary>One of the mixes around two bits: its rules count ffn_down tensors where the others go by layer.</summary>
    internal bool IsLow { get; private init; }

    /// <summary>Attention outputs take Q5_K in a model of eight experts.</summary>
    internal bool EightExpertsOutput { get; private init; }

    /// <summary>Where set, only stacked experts take the base type, and other matrices this.</summary>
    internal GgmlType? ExpertsOnly { get; private init; }

    internal IReadOnlyList<MixRule> Value { get; private init; } = [];

    internal IReadOnlyList<MixRule> QueryKey { get; private init; } = [];

    internal IReadOnlyList<MixRule> AttentionOutput { get; private init; } = [];

    internal IReadOnlyList<MixRule> Down { get; private init; } = [];

    internal IReadOnlyList<MixRule> GateUp { get; private init; } = [];

    /// <summary>True where matrices become F32, F16 or BF16.</summary>
    internal bool IsFloat => Base is F32 or F16 or BF16;

    /// <summary>Finds a mix by llama.cpp's name or alias, in any case; false where there is none.</summary>
    public static bool TryParse(string name, [NotNullWhen(true)] out GgufMix? mix)
    {
        string full = Aliases.GetValueOrDefault(name, name);
        mix = Array.Find(Rows, row => row.Name.Equals(full, StringComparison.OrdinalIgnoreCase));
        return mix is not null;
    }

    /// <summary>The rules for tensors of a role.</summary>
    internal IEnumerable<MixRule> RulesFor(TensorRole role) => role switch
    {
        TensorRole.Value => IsLow ? Value : [EightExperts.Gives(Q8_0), .. Value],
        TensorRole.Key => [EightExperts.Gives(IsLow ? Q4_K : Q8_0), .. QueryKey],
        TensorRole.Query => QueryKey,
        TensorRole.AttentionOutput => [EightExperts.Gives(IsLow || EightExpertsOutput ? Q5_K : Base), .. AttentionOutput],
        TensorRole.Down => Down,
        TensorRole.Gate or TensorRole.Up => GateUp,
        TensorRole.Embedding => Embedding is { } type ? [Always.Gives(type)] : [],
        _ => [],
    };
}
