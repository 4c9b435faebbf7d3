using System.Text.Json;
using Bitsmith.Checkpoints;
using Bitsmith.Checkpoints.Gguf;
using Bitsmith.Models.Architectures;
using Bitsmith.Models.Images.Preprocessing;
using Bitsmith.Models.Vision;
using Bitsmith.Models.Weights;
using Bitsmith.Tensors.Matrices;

namespace Bitsmith.Quantization.Conversion;

/// <summary>The vision tower of GLM-4.1V and later as llama.cpp's multimodal projector file ("mmproj") holds it.</summary>
internal static class GgufVision
{
    private const string Weight = ".weight";

    /// <summary>Lists the tensors and adds the keys.</summary>
    /// <exception cref="CheckpointException">There is no vision tower, or it is another one than llama.cpp knows.</exception>
    public static IReadOnlyList<GgufOutput> Create(DecoderConfig text, ModelWeights weights, string name, GgufTensorType type, GgufMetadata metadata)
    {
        VisionConfig config = VisionConfig.Read(weights.Config)
            ?? throw new CheckpointException(weights.Path, "config.json has no vision_config: the model reads no pictures. Convert it without --mmproj.");
        string? activation = weights.Config.VisionModel!.Value.TryGetProperty("hidden_act", out JsonElement found) ? found.GetString() : null;
        if (config.TemporalPatchSize != 2 || activation is not (null or "silu") || config.OutHiddenSize != text.HiddenSize)
        {
            throw new CheckpointException(
                weights.Path, $"vision_config: temporal_patch_size {config.TemporalPatchSize}, hidden_act {activation}, out_hidden_size {config.OutHiddenSize}; llama.cpp runs 2, silu and {text.HiddenSize}, the hidden_size of the language model.");
        }

        GgufOutput[] outputs = [.. FrameKernels(config, weights, type), .. VisionWeightMap.Create(config).Select(weight => Output(weight, weights, type))];
        HashSet<string> used = [.. outputs.SelectMany(output => output.Parts).SelectMany(part => (string[])[part.Name, part.Name + "_scale"])];
        if (weights.Names.FirstOrDefault(tensor => tensor.StartsWith(VisionWeightMap.Prefix, StringComparison.Ordinal) && !used.Contains(tensor)) is { } homeless)
        {
            throw new CheckpointException(weights.Path, $"tensor '{homeless}' has no place in a file of GLM's vision tower. Writing the others would give one that computes something else.");
        }

        AddKeys(config, ImageProcessorSettings.LoadForImages(weights.Path), name, type, metadata);
        return outputs;
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
        // The pixels of the picture; the settings count those of its temporal copies.
        Number("image_min_pixels", checked((int)(images.Size.Smallest / images.TemporalPatchSize)));
        Number("image_max_pixels", checked((int)(images.Size.Largest / images.TemporalPatchSize)));
        metadata.Add("clip.vision.image_mean", (float[])[.. images.Mean]);
        metadata.Add("clip.vision.image_std", (float[])[.. images.Deviation]);

        void Number(string key, int value) => metadata.Add($"clip.vision.{key}", (uint)value);
    }

    private static IEnumerable<GgufOutput> FrameKernels(VisionConfig config, ModelWeights weights, GgufTensorType type)
    {
        (int hidden, int channels, int frames, int side) = (config.HiddenSize, config.InChannels, config.TemporalPatchSize, config.PatchSize);
        WeightMatrix kernel = weights.Kernel(VisionWeightMap.PatchKernel[..^Weight.Length], hidden, channels, frames, side, side);
        return Enumerable.Range(0, frames).Select(frame => new GgufOutput(
            new GgufTensorInfo(VisionWeightMap.FrameKernel(frame), ConvolutionType(type), [hidden, channels, side, side]), [new FrameSource(VisionWeightMap.PatchKernel, kernel, channels, frames, frame)]));
    }

    private static GgufOutput Output(MappedWeight weight, ModelWeights weights, GgufTensorType type)
    {
        string name = weight.Parts[0];
        long[] shape = [.. weight.Shape];
        return shape.Length switch
        {
            // The position table is interpolated in F32.
            1 => Whole(GgufTensorType.F32, new VectorSource(name, weights.Vector(name, shape))),
            2 when VisionWeightMap.IsTable(weight) => Whole(GgufTensorType.F32, new VectorSource(name, weights.Vector(name, shape))),
            2 => Whole(type, new MatrixSource(name, weights.Matrix(name[..^Weight.Length], (int)shape[0], (int)shape[1]), null)),
            _ => Whole(ConvolutionType(type), new MatrixSource(name, weights.Kernel(name[..^Weight.Length], shape), null)),
        };

        GgufOutput Whole(GgufTensorType own, TensorSource source) => new(new GgufTensorInfo(weight.Gguf, own, weight.Shape), [source]);
    }

    // llama.cpp's convolutions take no BF16.
    private static GgufTensorType ConvolutionType(GgufTensorType type) => type == GgufTensorType.F16 ? type : GgufTensorType.F32;
}
