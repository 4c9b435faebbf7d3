using System.Globalization;
using System.Text.RegularExpressions;
using Bitsmith.Checkpoints.Gguf;

namespace Bitsmith.Quantization.Mixes;

/// <summary>What a tensor of a GGUF model is for, as far as the rules of mixes ask.</summary>
internal enum TensorRole
{
    Other,
    Embedding,
    Output,
    Query,
    Key,
    Value,
    AttentionOutput,
    Gate,
    Up,
    Down,
}

/// <summary>Tells tensors apart by their names, as llama-quantize 0.7.0 does.</summary>
internal static partial class TensorRoles
{
    // The first part of a name that matches decides; a fused query, key and value follows the rules of the value.
    private static readonly (string Part, TensorRole Role, string Word)[] ByPart =
    [
        ("attn_qkv.weight", TensorRole.Value, "attn_qkv"),
        ("attn_kv_b.weight", TensorRole.Value, "attn_kv_b"),
        ("attn_v.weight", TensorRole.Value, "attn_v"),
        ("attn_k.weight", TensorRole.Key, "attn_k"),
        ("attn_q.weight", TensorRole.Query, "attn_q"),
        ("attn_output.weight", TensorRole.AttentionOutput, "attn_output"),
        ("ffn_up", TensorRole.Up, "ffn_up"),
        ("ffn_gate", TensorRole.Gate, "ffn_gate"),
        ("ffn_down", TensorRole.Down, "ffn_down"),
    ];

    // Parts of the names of matrices that stay as they are, with the reason.
    private static readonly (string Part, string Reason)[] Untouched =
    [
        ("_norm.weight", "a norm"),
        ("ffn_gate_inp.weight", "the router"),
        (".position_embd", "a position table"),
        (".patch_embd", "the patch embedding of a vision tower"),
        (".patch_merger", "the patch merger of a vision tower"),
        ("indexer.k_proj.weight", "an indexer"),
        ("indexer.q_proj.weight", "an indexer"),
    ];

    /// <summary>What a tensor is for, and the word that rules use for it.</summary>
    public static (TensorRole Role, string Word) Of(string name)
    {
        foreach ((string part, TensorRole role, string word) in ByPart)
        {
            if (name.Contains(part, StringComparison.Ordinal))
            {
                return (role, word);
            }
        }

        return name switch
        {
            "token_embd.weight" => (TensorRole.Embedding, "token_embd"),
            "output.weight" => (TensorRole.Output, "output"),
            _ => (TensorRole.Other, "other"),
        };
    }

    /// <summary>Why a tensor stays as it is in every mix, or null where it is quantized.</summary>
    public static string? WhyUntouched(GgufTensorInfo tensor)
    {
        // ggml does not count outer sizes of 1.
        if (tensor.Shape.SkipWhile(size => size == 1).Count() < 2)
        {
            return "a vector";
        }

        return !tensor.Name.EndsWith("weight", StringComparison.Ordinal)
            ? "no weight by its name"
            : Untouched.FirstOrDefault(entry => tensor.Name.Contains(entry.Part, StringComparison.Ordinal)).Reason;
    }

    /// <summary>The layer that a name states, or -1.</summary>
    public static int LayerOf(string name) => Layer().Match(name) is { Success: true } match ? int.Parse(match.Groups[1].ValueSpan, CultureInfo.InvariantCulture) : -1;

    /// <summary>llama-quantize's order of tensors: those outside layers by name, then layer by layer by name.</summary>
    public static IEnumerable<T> InOrder<T>(IEnumerable<T> tensors, Func<T, string> nameOf) =>
        tensors.OrderBy(tensor => LayerOf(nameOf(tensor))).ThenBy(nameOf, StringComparer.Ordinal);

    [GeneratedRegex(@"^blk\.([0-9]{1,6})\.")]
    private static partial Regex Layer();
}
