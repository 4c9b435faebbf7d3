using Bitsmith.Checkpoints.HuggingFace;
using Bitsmith.Checkpoints.Json;
using Bitsmith.Checkpoints.Safetensors;
using Bitsmith.Quantization.Jobs;
using Bitsmith.Quantization.Modules;
using Bitsmith.Quantization.Recipes;
using Bitsmith.Tensors.ElementTypes;

namespace Bitsmith.Quantization.Tests;

/// <summary>A small checkpoint of random weights in a temporary folder, removed at the end of the test.</summary>
internal sealed class TestCheckpoint : IDisposable
{
    private readonly DirectoryInfo root = Directory.CreateTempSubdirectory("bitsmith-test-");

    private TestCheckpoint(string config, IReadOnlyList<TensorInfo> tensors, int shards, int seed)
    {
        Directory.CreateDirectory(Model);
        Tensors = tensors;
        File.WriteAllText(PathOf("config.json"), config);
        File.WriteAllText(PathOf("tokenizer_config.json"), """{"model_input_names": ["input_ids", "attention_mask"]}""");
        File.WriteAllText(PathOf("generation_config.json"), """{ "eos_token_id": [1, 2] }""");
        Random random = new(seed);
        TensorInfo[][] files = [.. tensors.Chunk((tensors.Count + shards - 1) / shards)];
        List<(string, string)> places = [];
        for (int i = 0; i < files.Length; i++)
        {
            string name = files.Length == 1 ? Sharding.SingleFileName : $"model-{i + 1:D5}-of-{files.Length:D5}.safetensors";
            Write(PathOf(name), files[i], random);
            places.AddRange(files[i].Select(tensor => (tensor.Name, name)));
        }

        if (files.Length > 1)
        {
            File.WriteAllBytes(PathOf(Sharding.IndexFileName), Sharding.WriteIndex(places, tensors.Sum(tensor => tensor.Bytes)));
        }
    }

    public string Root => root.FullName;

    public string Model => Path.Combine(root.FullName, "model");

    public string Output => Path.Combine(root.FullName, "out");

    public IReadOnlyList<TensorInfo> Tensors { get; }

    /// <summary>A dense text model, 2 layers; all shapes are whole 32-blocks, q_proj and others ragged at 128.</summary>
    public static TestCheckpoint Dense(int shards = 1, int seed = 1, ElementType type = ElementType.BF16) => new(
        """
        {
          "architectures": ["Glm4ForCausalLM"],
          "model_type": "glm4",
          "hidden_size": 256, "num_hidden_layers": 2, "num_attention_heads": 4,
          "x_unknown": {"b": 1e-05, "a": [1, 2]},
          "partial_rotary_factor": 0.5, "rope_theta": 10000.0
        }
        """,
        [
            new("lm_head.weight", type, [320, 256]),
            new("model.embed_tokens.weight", type, [320, 256]),
            .. Enumerable.Range(0, 2).SelectMany(layer => Layer($"model.layers.{layer}", type)),
            new("model.norm.weight", type, [256]),
        ],
        shards,
        seed);

    /// <summary>A vision-language model: one text layer of whole 128-blocks, one vision block, all side files that clients want.</summary>
    public static TestCheckpoint Vision()
    {
        TestCheckpoint checkpoint = VisionWithoutProcessor();
        File.WriteAllText(checkpoint.PathOf("preprocessor_config.json"), """{"image_processor_type": "Glm46VImageProcessor", "processor_class": "Glm46VProcessor"}""");
        return checkpoint;
    }

    public static TestCheckpoint VisionWithoutProcessor() => new(
        """
        {
          "architectures": ["Glm4vForConditionalGeneration"],
          "model_type": "glm4v",
          "text_config": {
            "hidden_size": 256, "num_hidden_layers": 1, "num_attention_heads": 4, "num_key_value_heads": 2,
            "rope_parameters": {"rope_type": "default", "rope_theta": 500000.0, "partial_rotary_factor": 0.5, "mrope_section": [4, 6, 6]}
          },
          "vision_config": {"hidden_size": 128}
        }
        """,
        [
            new("lm_head.weight", ElementType.BF16, [320, 256]),
            new("model.language_model.embed_tokens.weight", ElementType.BF16, [320, 256]),
            .. Layer("model.language_model.layers.0", ElementType.BF16, 384),
            new("model.language_model.norm.weight", ElementType.BF16, [256]),
            new("model.visual.blocks.0.attn.proj.weight", ElementType.BF16, [128, 128]),
            new("model.visual.blocks.0.attn.qkv.weight", ElementType.BF16, [384, 128]),
            new("model.visual.blocks.0.mlp.down_proj.weight", ElementType.BF16, [128, 256]),
            new("model.visual.blocks.0.mlp.gate_proj.weight", ElementType.BF16, [256, 128]),
            new("model.visual.blocks.0.mlp.up_proj.weight", ElementType.BF16, [256, 128]),
            new("model.visual.blocks.0.norm1.weight", ElementType.BF16, [128]),
            new("model.visual.downsample.weight", ElementType.BF16, [256, 128, 2, 2]),
            new("model.visual.embeddings.position_embedding.weight", ElementType.BF16, [64, 128]),
            new("model.visual.merger.post_projection_norm.bias", ElementType.BF16, [256]),
            new("model.visual.merger.post_projection_norm.weight", ElementType.BF16, [256]),
            new("model.visual.merger.proj.weight", ElementType.BF16, [256, 256]),
            new("model.visual.patch_embed.proj.weight", ElementType.BF16, [128, 3, 2, 14, 14]),
        ],
        shards: 1,
        seed: 2);

    /// <summary>A mixture of experts: one dense layer, one MoE layer of two experts, an MTP layer.</summary>
    public static TestCheckpoint Moe() => new(
        """
        {
          "architectures": ["Glm4MoeForCausalLM"],
          "model_type": "glm4_moe",
          "hidden_size": 256, "num_hidden_layers": 2, "num_attention_heads": 4, "head_dim": 64,
          "num_nextn_predict_layers": 1, "rope_theta": 1000000, "partial_rotary_factor": 0.5
        }
        """,
        [
            new("lm_head.weight", ElementType.BF16, [320, 256]),
            new("model.embed_tokens.weight", ElementType.BF16, [320, 256]),
            new("model.layers.0.mlp.down_proj.weight", ElementType.BF16, [256, 384]),
            new("model.layers.0.mlp.gate_proj.weight", ElementType.BF16, [384, 256]),
            new("model.layers.0.mlp.up_proj.weight", ElementType.BF16, [384, 256]),
            new("model.layers.0.self_attn.q_proj.weight", ElementType.BF16, [256, 256]),
            new("model.layers.1.mlp.gate.e_score_correction_bias", ElementType.F32, [2]),
            new("model.layers.1.mlp.gate.weight", ElementType.BF16, [2, 256]),
            .. Experts("model.layers.1"),
            .. Experts("model.layers.2"),
            new("model.layers.2.eh_proj.weight", ElementType.BF16, [256, 512]),
            new("model.layers.2.enorm.weight", ElementType.BF16, [256]),
            new("model.layers.2.shared_head.head.weight", ElementType.BF16, [320, 256]),
            new("model.norm.weight", ElementType.BF16, [256]),
        ],
        shards: 1,
        seed: 3);

    /// <summary>A file of the model.</summary>
    public string PathOf(string file) => Path.Combine(Model, file);

    public ModuleTree Modules() => ModuleTree.Build(ModelConfig.Load(PathOf("config.json")), Tensors, Model);

    public void EditConfig(Func<JsonText, JsonText> edit) =>
        File.WriteAllBytes(PathOf("config.json"), edit(JsonText.Load(PathOf("config.json"))).Utf8.ToArray());

    public JobOptions Options(string scheme = "fp8-block") =>
        new() { Model = Model, Output = Output, Recipe = Presets.Get(scheme), Threads = 2 };

    /// <summary>Quantizes and returns the files of the result.</summary>
    public Dictionary<string, byte[]> Quantize(JobOptions? options = null)
    {
        options ??= Options();
        using (QuantizationJob job = QuantizationJob.Prepare(options))
        {
            job.Run(null, CancellationToken.None);
        }

        return Files(options.Output);
    }

    public static Dictionary<string, byte[]> Files(string folder) => Directory.EnumerateFiles(folder, "*", SearchOption.AllDirectories)
        .ToDictionary(file => Path.GetRelativePath(folder, file), File.ReadAllBytes);

    public static void AssertSame(Dictionary<string, byte[]> expected, Dictionary<string, byte[]> actual)
    {
        Assert.Equal(expected.Keys.Order(), actual.Keys.Order());
        foreach ((string file, byte[] bytes) in expected)
        {
            Assert.True(bytes.AsSpan().SequenceEqual(actual[file]), $"{file} differs");
        }
    }

    /// <summary>Overwrites one element of a BF16 tensor.</summary>
    public void Poke(string tensor, int element, float value)
    {
        using CheckpointFolder folder = CheckpointFolder.Open(Model);
        SafetensorsFile file = folder.Files.Single(file => file.Header.Tensors.Any(entry => entry.Name == tensor));
        StoredTensor place = file.Header.Tensors.Single(entry => entry.Name == tensor);
        using FileStream stream = new(file.Path, FileMode.Open, FileAccess.Write, FileShare.ReadWrite);
        stream.Position = place.Offset + (2 * element);
        stream.Write(BitConverter.GetBytes(BFloat16.FromSingle(value).Bits));
    }

    public void Dispose() => root.Delete(recursive: true);

    private static TensorInfo[] Layer(string prefix, ElementType type, int width = 416) =>
    [
        new($"{prefix}.input_layernorm.weight", type, [256]),
        new($"{prefix}.mlp.down_proj.weight", type, [256, width]),
        new($"{prefix}.mlp.gate_up_proj.weight", type, [2 * width, 256]),
        new($"{prefix}.self_attn.k_proj.bias", type, [128]),
        new($"{prefix}.self_attn.k_proj.weight", type, [128, 256]),
        new($"{prefix}.self_attn.o_proj.weight", type, [256, 256]),
        new($"{prefix}.self_attn.q_proj.weight", type, [256, 256]),
        new($"{prefix}.self_attn.v_proj.weight", type, [128, 256]),
    ];

    private static IEnumerable<TensorInfo> Experts(string prefix) => Enumerable.Range(0, 2).SelectMany(expert => (TensorInfo[])
    [
        new($"{prefix}.mlp.experts.{expert}.down_proj.weight", ElementType.BF16, [256, 128]),
        new($"{prefix}.mlp.experts.{expert}.gate_proj.weight", ElementType.BF16, [128, 256]),
        new($"{prefix}.mlp.experts.{expert}.up_proj.weight", ElementType.BF16, [128, 256]),
    ]);

    private static void Write(string path, IReadOnlyList<TensorInfo> tensors, Random random)
    {
        SafetensorsLayout layout = SafetensorsLayout.Create(tensors, new Dictionary<string, string> { ["format"] = "pt" });
        using FileStream file = File.Create(path);
        file.Write(layout.HeaderBytes.Span);
        foreach (TensorInfo tensor in tensors)
        {
            float[] values = new float[tensor.Elements];
            for (int i = 0; i < values.Length; i++)
            {
                values[i] = 0.02f * (float)(random.NextDouble() + random.NextDouble() + random.NextDouble() - 1.5);
            }

            byte[] bytes = new byte[tensor.Bytes];
            ElementConversion.FromSingle(tensor.Type, values, bytes);
            file.Write(bytes);
        }
    }
}
