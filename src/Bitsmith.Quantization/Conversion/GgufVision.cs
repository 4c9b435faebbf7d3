using System.Text.Json;
using Bitsmith.Checkpoints;
using Bitsmith.Checkpoints.Gguf;
using Bitsmith.Models.Architectures;
using Bitsmith.Models.Images.Preprocessing;
using Bitsmith.Models.Vision;
using Bitsmith.Models.Weights;

namespace Bitsmith.Quantization.Conversion;

/// <summary>The vision tower of GLM-4.1V and later as llama.cpp's multimodal projector file ("mmproj") holds it.</summary>
internal sealed class GgufVision
{
    private const string Prefix = "model.visual.";

    private readonly ModelWeights weights;
    private readonly GgufTensorType type;
    private readonly HashSet<string> used = new(StringComparer.Ordinal);
    private readonly List<GgufOutput> outputs = [];

    private GgufVision(VisionConfig config, ModelWeights weights, GgufTensorType type)
    {
        (this.weights, this.type) = (weights, type);
        (int hidden, int output, int side) = (config.HiddenSize, config.OutHiddenSize, config.ImageSize / config.PatchSize);
        PatchEmbedding(config);
        Vector("v.norm_embd.weight", "post_conv_layernorm.weight", hidden);
        Vector("v.position_embd.weight", "embeddings.position_embedding.weight", side * side, hidden);
        for (int i = 0; i < config.Depth; i++)
        {
            (string from, string to) = ($"blocks.{i}.", $"v.blk.{i}.");
            Vector(to + "ln1.weight", from + "norm1.weight", hidden);
            Matrix(to + "attn_qkv.weight", from + "attn.qkv", 3 * hidden, hidden);
            Matrix(to + "attn_out.weight", from + "attn.proj", hidden, hidden);
            Vector(to + "ln2.weight", from + "norm2.weight", hidden);
            Matrix(to + "ffn_gate.weight", from + "mlp.gate_proj", output, hidden);
            Matrix(to + "ffn_up.weight", from + "mlp.up_proj", output, hidden);
            Matrix(to + "ffn_down.weight", from + "mlp.down_proj", hidden, output);
        }

        Vector("v.post_ln.weight", "post_layernorm.weight", hidden);
        long[] kernel = [output, hidden, config.SpatialMergeSize, config.SpatialMergeSize];
        Add("mm.patch_merger.weight", kernel, new MatrixSource(Used("downsample.weight"), weights.Kernel(Prefix + "downsample", kernel), null));
        Vector("mm.patch_merger.bias", "downsample.bias", output);
        Matrix("mm.model.fc.weight", "merger.proj", output, output);
        Vector("mm.post_norm.weight", "merger.post_projection_norm.weight", output);
        Vector("mm.post_norm.bias", "merger.post_projection_norm.bias", output);
        Matrix("mm.gate.weight", "merger.gate_proj", config.IntermediateSize, output);
        Matrix("mm.up.weight", "merger.up_proj", config.IntermediateSize, output);
        Matrix("mm.down.weight", "merger.down_proj", output, config.IntermediateSize);
    }

    /// <summary>Lists the tensors and adds the keys.</summary>
    /// <exception cref="CheckpointException">There is no vision tower, or it is another one than llama.cpp knows.</exception>
    public static IReadOnlyList<GgufOutput> Create(DecoderConfig text, ModelWeights weights, string name, GgufTensorType type, GgufMetadata metadata)
    {
        VisionConfig config = VisionConfig.Read(weights.Config, weights.Folder)
            ?? throw new CheckpointException(weights.Folder, "config.json has no vision_config: the model reads no pictures. Convert it without --mmproj.");
        string? activation = weights.Config.VisionModel!.Value.TryGetProperty("hidden_act", out JsonElement found) ? found.GetString() : null;
        if (config.TemporalPatchSize != 2 || activation is not (null or "silu") || config.OutHiddenSize != text.HiddenSize)
        {
            throw new CheckpointException(
                weights.Folder, $"vision_config: temporal_patch_size {config.TemporalPatchSize}, hidden_act {activation}, out_hidden_size {config.OutHiddenSize}; llama.cpp runs 2, silu and {text.HiddenSize}, the hidden_size of the language model.");
        }

        GgufVision list = new(config, weights, type);
        if (weights.Names.FirstOrDefault(tensor => tensor.StartsWith(Prefix, StringComparison.Ordinal) && !list.used.Contains(tensor)) is { } homeless)
        {
            throw new CheckpointException(weights.Folder, $"tensor '{homeless}' has no place in a file of GLM's vision tower. Writing the others would give one that computes something else.");
        }

        AddKeys(config, ImageProcessorSettings.LoadForImages(weights.Folder), name, type, metadata);
        return list.outputs;
    }

    private static void AddKeys(VisionConfig config, ImageProcessorSettings images, string name, GgufTensorType type, GgufMetadata metadata)
    {
        metadata.Add("general.architecture", "clip");
        metadata.Add("general.type", "mmproj");
        metadata.Add("general.name", name);
        metadata.Add(GgufFileType.Key, GgufFileType.NumberOf(type.Name));
        metadata.Add("general.quantization_version", GgufHyperparameters.QuantizationVersion);
        metadata.Add("clip.has_vision_encoder", true);
        metadata.Add("clip.projector_type", "glm4v");
        metadata.Add("clip.use_silu", true);
        Number("projection_dim", config.OutHiddenSize);
        Number("image_size", config.ImageSize);
        Number("patch_size", config.PatchSize);
        Number("embedding_length", config.HiddenSize);
        Number("feed_forward_length", config.IntermediateSize);
        Number("block_count", config.Depth);
        Number("attention.head_count", config.NumHeads);
        Number("spatial_merge_size", config.SpatialMergeSize);
        metadata.Add("clip.vision.attention.layer_norm_epsilon", config.RmsNormEps);
        metadata.Add("clip.vision.image_mean", (float[])[.. images.Mean]);
        metadata.Add("clip.vision.image_std", (float[])[.. images.Deviation]);

        void Number(string key, int value) => metadata.Add($"clip.vision.{key}", (uint)value);
    }

    // The convolution over two equal frames is the sum of two convolutions over one.
    private void PatchEmbedding(VisionConfig config)
    {
        (int hidden, int channels, int side) = (config.HiddenSize, config.InChannels, config.PatchSize);
        var kernel = weights.Kernel(Prefix + "patch_embed.proj", hidden, channels, config.TemporalPatchSize, side, side);
        string name = Used("patch_embed.proj.weight");
        for (int frame = 0; frame < config.TemporalPatchSize; frame++)
        {
            Add(frame == 0 ? "v.patch_embd.weight" : $"v.patch_embd.weight.{frame}", [hidden, channels, side, side], new FrameSource(name, kernel, channels, config.TemporalPatchSize, frame));
        }

        Vector("v.patch_embd.bias", "patch_embed.proj.bias", hidden);
    }

    private void Matrix(string name, string module, int rows, int columns)
    {
        used.Add($"{Prefix}{module}.weight_scale");
        Add(name, [rows, columns], new MatrixSource(Used($"{module}.weight"), weights.Matrix(Prefix + module, rows, columns), null));
    }

    private void Vector(string name, string tensor, params long[] shape) => Add(name, shape, new VectorSource(Used(tensor), weights.Vector(Prefix + tensor, shape)));

    private void Add(string name, long[] shape, TensorSource source)
    {
        // Convolutions take no BF16; the position table is interpolated in F32.
        GgufTensorType own = shape.Length switch
        {
            1 => GgufTensorType.F32,
            4 => type == GgufTensorType.F16 ? type : GgufTensorType.F32,
            _ => source is VectorSource ? GgufTensorType.F32 : type,
        };
        outputs.Add(new GgufOutput(new GgufTensorInfo(name, own, shape), [source]));
    }

    private string Used(string tensor)
    {
        used.Add(Prefix + tensor);
        return Prefix + tensor;
    }
}
