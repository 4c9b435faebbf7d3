using System.Text.Json.Nodes;
using Bitsmith.Checkpoints.Gguf;
using Bitsmith.Quantization.Mixes;

namespace Bitsmith.Quantization.Tests.Mixes;

/// <summary>A model by its shapes alone: what mixes look at.</summary>
internal sealed record ShapedModel(MixModel Model, IReadOnlyList<GgufTensorInfo> Tensors)
{
    /// <summary>A model of the golden dry runs.</summary>
    public static ShapedModel Read(JsonNode golden)
    {
        JsonNode shape = golden["shape"]!;
        string architecture = (string)golden["arch"]!;
        int hidden = Size("h"), width = Size("f"), heads = Size("nh"), keyValue = Size("kv"), head = Size("hd"), vocabulary = Size("V"), experts = Size("E"), expertWidth = Size("fe"), dense = Size("dense");
        bool mixture = experts > 0;
        int layers = Size("L") + (mixture ? 1 : 0);
        List<GgufTensorInfo> tensors = [];
        Matrix("token_embd.weight", vocabulary, hidden);
        Matrix("output.weight", vocabulary, hidden);
        Vector("output_norm.weight", hidden);
        for (int layer = 0; layer < layers; layer++)
        {
            string at = $"blk.{layer}.";
            Vector(at + "attn_norm.weight", hidden);
            if (Size("fused") == 1)
            {
                Matrix(at + "attn_qkv.weight", (heads + (2 * keyValue)) * head, hidden);
                Vector(at + "attn_qkv.bias", (heads + (2 * keyValue)) * head);
            }
            else
            {
                Projection("q", heads);
                Projection("k", keyValue);
                Projection("v", keyValue);
            }

            Matrix(at + "attn_output.weight", hidden, heads * head);
            Vector(at + (mixture ? "post_attention_norm.weight" : "ffn_norm.weight"), hidden);
            if (architecture == "glm4")
            {
                Vector(at + "post_attention_norm.weight", hidden);
                Vector(at + "post_ffw_norm.weight", hidden);
            }

            if (Size("qk") == 1)
            {
                Vector(at + "attn_q_norm.weight", head);
                Vector(at + "attn_k_norm.weight", head);
            }

            if (!mixture)
            {
                Matrix(at + "ffn_up.weight", 2 * width, hidden);
                Matrix(at + "ffn_down.weight", hidden, width);
            }
            else if (layer < dense)
            {
                Gated(at, string.Empty, width);
            }
            else
            {
                tensors.Add(new GgufTensorInfo(at + "ffn_gate_inp.weight", GgufTensorType.F32, [experts, hidden]));
                Vector(at + "exp_probs_b.bias", experts);
                Gated(at, "_exps", expertWidth, experts);
                Gated(at, "_shexp", expertWidth);
            }

            void Projection(string name, int count) => Matrix($"{at}attn_{name}.weight", count * head, hidden);
        }

        if (mixture)
        {
            string at = $"blk.{layers - 1}.nextn.";
            Matrix(at + "eh_proj.weight", hidden, 2 * hidden);
            Matrix(at + "embed_tokens.weight", vocabulary, hidden);
            Matrix(at + "shared_head_head.weight", vocabulary, hidden);
            Vector(at + "enorm.weight", hidden);
            Vector(at + "hnorm.weight", hidden);
            Vector(at + "shared_head_norm.weight", hidden);
        }

        return new ShapedModel(new MixModel(layers, heads / keyValue, experts), tensors);

        int Size(string key) => (int?)shape[key] ?? 0;

        void Matrix(string name, params long[] sizes) => tensors.Add(new GgufTensorInfo(name, GgufTensorType.F16, sizes));

        void Vector(string name, long size) => tensors.Add(new GgufTensorInfo(name, GgufTensorType.F32, [size]));

        void Gated(string at, string suffix, long inner, long? count = null)
        {
            Matrix($"{at}ffn_gate{suffix}.weight", [.. Stack(count), inner, hidden]);
            Matrix($"{at}ffn_up{suffix}.weight", [.. Stack(count), inner, hidden]);
            Matrix($"{at}ffn_down{suffix}.weight", [.. Stack(count), hidden, inner]);
        }

        static long[] Stack(long? count) => count is { } number ? [number] : [];
    }
}
