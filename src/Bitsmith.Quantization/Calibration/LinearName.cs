using System.Globalization;

namespace Bitsmith.Quantization.Calibration;

/// <summary>What the names of Linears say of their inputs.</summary>
internal static class LinearName
{
    private const string Experts = ".mlp.experts.", Layers = ".layers.";

    /// <summary>The number of the decoder layer that a Linear is of, or null.</summary>
    public static int? LayerOf(string name) => NumberBehind(Layers, name);

    /// <summary>The number of the routed expert that a Linear is of, or null.</summary>
    public static int? ExpertOf(string name) => NumberBehind(Experts, name);

    /// <summary>The Linear whose input another one takes too: that of q for k and v, of gate for up, and where every expert sees every token, of the shared experts' gate for every expert's.</summary>
    /// <param name="name">The Linear.</param>
    /// <param name="expertsAlike">Every expert's gate and up see the same rows, weighed alike.</param>
    public static string SharedInput(string name, bool expertsAlike)
    {
        string first = Ending(".self_attn.k_proj", ".self_attn.q_proj") ?? Ending(".self_attn.v_proj", ".self_attn.q_proj") ?? Ending(".up_proj", ".gate_proj") ?? name;
        return expertsAlike && first.EndsWith(".gate_proj", StringComparison.Ordinal) && ExpertOf(first) is not null
            ? first[..first.IndexOf(Experts, StringComparison.Ordinal)] + ".mlp.shared_experts.gate_proj"
            : first;

        string? Ending(string ending, string other) => name.EndsWith(ending, StringComparison.Ordinal) ? name[..^ending.Length] + other : null;
    }

    private static int? NumberBehind(string part, string name)
    {
        int start = name.IndexOf(part, StringComparison.Ordinal) + part.Length;
        return start >= part.Length && name.IndexOf('.', start) is > 0 and int end && int.TryParse(name.AsSpan(start, end - start), NumberStyles.None, CultureInfo.InvariantCulture, out int number) ? number : null;
    }
}
