using Bitsmith.Checkpoints.Inspection;
using Bitsmith.Evaluation.Comparison.Rendering;

namespace Bitsmith.Publishing.Cards;

/// <summary>Which parts of a model are stored how.</summary>
internal static class Components
{
    private static readonly string[] ParameterSuffixes = ["_scale", "_zero_point", "_shape", "_g_idx"];

    // The order in which parts are listed; the first whose mark a name, with a dot before it, holds counts. Hugging Face names and GGUF names.
    private static readonly (string Component, string[] Marks)[] Parts =
    [
        ("vision tower", [".visual.", ".v.", ".mm."]),
        ("token embedding", [".embed_tokens.", ".token_embd."]),
        ("output head", [".lm_head.", ".output.weight"]),
        ("router", [".mlp.gate.", ".ffn_gate_inp.", ".exp_probs_b."]),
        ("routed experts", [".mlp.experts.", "_exps."]),
        ("shared experts", [".shared_experts.", "_shexp."]),
        ("attention", [".self_attn.", ".attn_"]),
        ("MLP", [".mlp.", ".ffn_"]),
    ];

    /// <summary>One row for each part and type.</summary>
    public static ReportTable Table(CheckpointSummary summary)
    {
        // Scales and zero points count as bytes of the weight that they belong to: 'x.weight_scale' to 'x.weight'.
        ILookup<string, TensorSummary> parameters = summary.Tensors.Where(IsParameter).ToLookup(tensor => tensor.Name[..ParameterSuffixes.Where(suffix => tensor.Name.EndsWith(suffix, StringComparison.Ordinal)).Select(suffix => tensor.Name.Length - suffix.Length).First()]);
        var rows = summary.Tensors
            .Where(tensor => !IsParameter(tensor))
            .GroupBy(tensor => (Part: PartOf(tensor), tensor.Type))
            .Select(group => (group.Key.Part, group.Key.Type, Tensors: group.Count(), Parameters: group.Sum(Elements), Bytes: group.Sum(tensor => tensor.Bytes + parameters[tensor.Name].Sum(parameter => parameter.Bytes))))
            .OrderBy(row => Array.FindIndex(Parts, part => part.Component == row.Part) is int place && place >= 0 ? place : Parts.Length)
            .ThenByDescending(row => row.Bytes);
        return ReportTable.Create(
            "What is stored how",
            ["part", "stored as", ">tensors", ">parameters", ">bytes"],
            rows.Select(row => (IReadOnlyList<string>)[row.Part, row.Type, $"{row.Tensors}", $"{row.Parameters:N0}", $"{row.Bytes:N0}"]));
    }

    private static string PartOf(TensorSummary tensor)
    {
        string part = Parts.FirstOrDefault(part => part.Marks.Any(mark => $".{tensor.Name}".Contains(mark, StringComparison.Ordinal))).Component ?? "other";
        return tensor.Shape.Count <= 1 && part is not ("vision tower" or "router") ? "norms and biases" : part;
    }

    private static bool IsParameter(TensorSummary tensor) => ParameterSuffixes.Any(suffix => tensor.Name.EndsWith(suffix, StringComparison.Ordinal));

    private static long Elements(TensorSummary tensor) => tensor.Shape.Aggregate(1L, (product, size) => product * size);
}
