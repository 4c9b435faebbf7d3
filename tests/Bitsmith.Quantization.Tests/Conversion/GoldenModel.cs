using System.Text.Json.Nodes;
using System.Text.RegularExpressions;
using Bitsmith.Checkpoints.Gguf;
using Bitsmith.Checkpoints.Safetensors;
using Bitsmith.Tensors.ElementTypes;

namespace Bitsmith.Quantization.Tests.Conversion;

/// <summary>
/// A GGUF file written with the gguf package, which llama.cpp runs to the logits of the model that it was made from, and the checkpoint of that model: the
/// tensors of the file under Hugging Face's names.
/// </summary>
internal sealed partial class GoldenModel : IDisposable
{
    // Of both architectures; what differs is below.
    private static readonly Dictionary<string, string> Modules = new()
    {
        ["attn_norm"] = "input_layernorm",
        ["attn_q"] = "self_attn.q_proj",
        ["attn_k"] = "self_attn.k_proj",
        ["attn_v"] = "self_attn.v_proj",
        ["attn_output"] = "self_attn.o_proj",
        ["attn_q_norm"] = "self_attn.q_norm",
        ["attn_k_norm"] = "self_attn.k_norm",
        ["ffn_norm"] = "post_attention_layernorm",
        ["post_ffw_norm"] = "post_mlp_layernorm",
        ["ffn_gate"] = "mlp.gate_proj",
        ["ffn_down"] = "mlp.down_proj",
        ["ffn_gate_inp"] = "mlp.gate",
        ["ffn_gate_shexp"] = "mlp.shared_experts.gate_proj",
        ["ffn_up_shexp"] = "mlp.shared_experts.up_proj",
        ["ffn_down_shexp"] = "mlp.shared_experts.down_proj",
        ["nextn.eh_proj"] = "eh_proj",
        ["nextn.enorm"] = "enorm",
        ["nextn.hnorm"] = "hnorm",
        ["nextn.shared_head_norm"] = "shared_head.norm",
    };

    private readonly DirectoryInfo root = Directory.CreateTempSubdirectory("bitsmith-golden-");
    private readonly List<(TensorInfo Info, byte[] Data)> tensors = [];

    public GoldenModel(string name)
    {
        File = GgufModel.Open(Path.Combine(AppContext.BaseDirectory, "gguf", $"{name}-f16.gguf"));
        bool mixture = File.Metadata.Text("general.architecture") == "glm4moe";
        foreach (GgufTensor tensor in File.Tensors)
        {
            AddTensor(tensor, File.Files[0].View(tensor), mixture);
        }

        Directory.CreateDirectory(Folder);
        Config = Numbers(File.Metadata, mixture);
        System.IO.File.Copy(Path.Combine(AppContext.BaseDirectory, "gguf", "tokenizer.json"), Path.Combine(Folder, "tokenizer.json"));
        System.IO.File.WriteAllText(Path.Combine(Folder, "tokenizer_config.json"), new JsonObject
        {
            ["eos_token"] = "<|endoftext|>",
            ["pad_token"] = new JsonObject { ["content"] = "<|endoftext|>" },
            ["chat_template"] = File.Metadata.Text("tokenizer.chat_template"),
        }.ToJsonString());
        Save();
    }

    /// <summary>The golden file.</summary>
    public GgufModel File { get; }

    /// <summary>config.json; <see cref="Save"/> writes changes.</summary>
    public JsonObject Config { get; }

    public string Folder => Path.Combine(root.FullName, "tiny");

    public string Output => Path.Combine(root.FullName, "out.gguf");

    /// <summary>Replaces, adds or (data null) removes a tensor.</summary>
    public void Change(TensorInfo tensor, byte[]? data)
    {
        tensors.RemoveAll(entry => entry.Info.Name == tensor.Name);
        if (data is not null)
        {
            tensors.Add((tensor, data));
        }

        Save();
    }

    public void Save()
    {
        System.IO.File.WriteAllText(Path.Combine(Folder, "config.json"), Config.ToJsonString());
        SafetensorsLayout layout = SafetensorsLayout.Create([.. tensors.Select(tensor => tensor.Info)], new Dictionary<string, string>());
        System.IO.File.WriteAllBytes(Path.Combine(Folder, "model.safetensors"), [.. layout.HeaderBytes.Span, .. tensors.SelectMany(tensor => tensor.Data)]);
    }

    public void Dispose()
    {
        File.Dispose();
        root.Delete(recursive: true);
    }

    private static JsonObject Numbers(GgufMetadata metadata, bool mixture)
    {
        string architecture = metadata.Text("general.architecture");
        long mtp = metadata.Integer($"{architecture}.nextn_predict_layers", 0);
        JsonObject config = new()
        {
            ["model_type"] = mixture ? "glm4_moe" : "glm4",
            ["vocab_size"] = Number("vocab_size"),
            ["hidden_size"] = Number("embedding_length"),
            ["intermediate_size"] = Number("feed_forward_length"),
            ["num_hidden_layers"] = Number("block_count") - mtp,
            ["num_nextn_predict_layers"] = mtp,
            ["num_attention_heads"] = Number("attention.head_count"),
            ["num_key_value_heads"] = Number("attention.head_count_kv"),
            ["head_dim"] = Number("attention.key_length"),
            ["attention_bias"] = true,
            ["max_position_embeddings"] = Number("context_length"),
            ["rms_norm_eps"] = 1e-5,
            ["rope_theta"] = 10000.0,
            ["partial_rotary_factor"] = 0.5,
            ["tie_word_embeddings"] = false,
        };
        if (mixture)
        {
            config["use_qk_norm"] = true;
            config["n_routed_experts"] = Number("expert_count");
            config["num_experts_per_tok"] = Number("expert_used_count");
            config["n_shared_experts"] = Number("expert_shared_count");
            config["moe_intermediate_size"] = Number("expert_feed_forward_length");
            config["first_k_dense_replace"] = Number("leading_dense_block_count");
            config["routed_scaling_factor"] = 1.5;
            config["norm_topk_prob"] = true;
        }

        return config;

        long Number(string key) => metadata.Integer($"{architecture}.{key}");
    }

    private void AddTensor(GgufTensor tensor, ReadOnlySpan<byte> data, bool mixture)
    {
        ElementType type = tensor.Type == GgufTensorType.F32 ? ElementType.F32 : ElementType.F16;
        if (Block().Match(tensor.Name) is not { Success: true } match)
        {
            string name = tensor.Name switch { "token_embd.weight" => "model.embed_tokens.weight", "output_norm.weight" => "model.norm.weight", _ => "lm_head.weight" };
            tensors.Add((new TensorInfo(name, type, tensor.Shape), data.ToArray()));
            return;
        }

        (string layer, string part, string kind) = ($"model.layers.{match.Groups[1].Value}.", match.Groups[2].Value, match.Groups[3].Value);
        if (part.EndsWith("_exps", StringComparison.Ordinal))
        {
            int bytes = data.Length / (int)tensor.Shape[0];
            for (int expert = 0; expert < tensor.Shape[0]; expert++)
            {
                string name = $"{layer}mlp.experts.{expert}.{part["ffn_".Length..^"_exps".Length]}_proj.weight";
                tensors.Add((new TensorInfo(name, type, [tensor.Shape[1], tensor.Shape[2]]), data.Slice(expert * bytes, bytes).ToArray()));
            }

            return;
        }

        string module = part switch
        {
            "exp_probs_b" => "mlp.gate.e_score_correction",
            "post_attention_norm" => mixture ? "post_attention_layernorm" : "post_self_attn_layernorm",
            "ffn_up" => mixture ? "mlp.up_proj" : "mlp.gate_up_proj",
            _ => Modules[part],
        };
        tensors.Add((new TensorInfo($"{layer}{module}{(part == "exp_probs_b" ? "_bias" : $".{kind}")}", type, tensor.Shape), data.ToArray()));
    }

    [GeneratedRegex(@"^blk\.(\d+)\.(.+)\.(weight|bias)$")]
    private static partial Regex Block();
}
