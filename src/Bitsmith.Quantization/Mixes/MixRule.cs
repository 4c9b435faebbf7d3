using Bitsmith.Tensors.Formats.Ggml;

namespace Bitsmith.Quantization.Mixes;

/// <summary>Where a tensor stands, as far as rules ask.</summary>
/// <param name="Index">The number of its layer, or how many of its kind came before it.</param>
/// <param name="Count">The number of layers, or of tensors of its kind.</param>
/// <param name="HeadsPerKeyValue">Query heads for each key/value head.</param>
/// <param name="Experts">Routed experts of a layer; 0 in a dense model.</param>
/// <param name="HasImportance">An importance matrix is used.</param>
internal readonly record struct MixPlace(int Index, int Count, int HeadsPerKeyValue, int Experts, bool HasImportance);

/// <summary>A condition of a rule.</summary>
/// <param name="Words">The condition in words; empty where there is none.</param>
/// <param name="Holds">Decides.</param>
internal sealed record MixCondition(string Words, Func<MixPlace, bool> Holds)
{
    public static readonly MixCondition Always = new(string.Empty, _ => true);

    public static readonly MixCondition FirstEighth = new("the first eighth", at => at.Index < at.Count / 8);

    public static readonly MixCondition FirstSixteenth = new("the first sixteenth", at => at.Index < at.Count / 16);

    public static readonly MixCondition FirstTwo = new("the first two", at => at.Index < 2);

    public static readonly MixCondition FirstFour = new("the first four", at => at.Index < 4);

    public static readonly MixCondition Middle = new("between the first and the last eighth", at => at.Index >= at.Count / 8 && at.Index < 7 * at.Count / 8);

    public static readonly MixCondition MoreBits = new(
        "the first and last eighth and every third between", at => at.Index < at.Count / 8 || at.Index >= 7 * at.Count / 8 || (at.Index - (at.Count / 8)) % 3 == 2);

    public static readonly MixCondition SharedHeads = new("four or more heads share a value head", at => at.HeadsPerKeyValue >= 4);

    public static readonly MixCondition SharedHeadsOrExperts = new("four or more heads share a value head, or there are experts", at => at.HeadsPerKeyValue >= 4 || at.Experts >= 4);

    public static readonly MixCondition EightExperts = new("eight experts", at => at.Experts == 8);

    public static readonly MixCondition WithoutImportance = new("no importance matrix", at => !at.HasImportance);

    public static readonly MixCondition WithImportance = new("an importance matrix", at => at.HasImportance);

    /// <summary>Both.</summary>
    public MixCondition And(MixCondition other) => new($"{Words}, {other.Words}", at => Holds(at) && other.Holds(at));

    /// <summary>This condition gives a type.</summary>
    public MixRule Gives(GgmlType type) => new(this, type);
}

/// <summary>A type for tensors of one role; the first rule whose condition holds decides.</summary>
/// <param name="Condition">When it applies.</param>
/// <param name="Type">The type that it gives.</param>
internal sealed record MixRule(MixCondition Condition, GgmlType Type);
