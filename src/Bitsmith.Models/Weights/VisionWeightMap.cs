using Bitsmith.Models.Vision;

namespace Bitsmith.Models.Weights;

/// <summary>The names of the vision tower's tensors in a Hugging Face checkpoint on one side, in llama.cpp's multimodal projector file ("mmproj") on the other, in the order of the model.</summary>
public static class VisionWeightMap
{
    /// <summary>Start of the checkpoint's names.</summary>
    public const string Prefix = "model.visual.";

    /// <summary>
    /// The kernel of the patches in the checkpoint: [D, channels, frames, side, side]. It is not in the list, because the file holds it as one kernel [D, channels, side, side] for each frame,
    /// <see cref="FrameKernel"/>: the convolution over two equal frames is the sum of two convolutions over one.
    /// </summary>
    public const string PatchKernel = Prefix + "patch_embed.proj.weight";

    /// <summary>The name of a frame's part of <see cref="PatchKernel"/> in the file.</summary>
    public static string FrameKernel(int frame) => frame == 0 ? "v.patch_embd.weight" : $"v.patch_embd.weight.{frame}";

    /// <summary>Lists the tensors but <see cref="PatchKernel"/>; kernels have four sizes, output channels first.</summary>
    public static IReadOnlyList<MappedWeight> Create(VisionConfig config)
    {
        ArgumentNullException.ThrowIfNull(config);
        List<MappedWeight> weights = [];
        (int hidden, int output, int inner, int merge, int side) = (config.HiddenSize, config.OutHiddenSize, config.IntermediateSize, config.SpatialMergeSize, config.ImageSize / config.PatchSize);
        Add("v.patch_embd.bias", "patch_embed.proj.bias", hidden);
        Add("v.norm_embd.weight", "post_conv_layernorm.weight", hidden);
        Add("v.position_embd.weight", "embeddings.position_embedding.weight", side * side, hidden);
        for (int i = 0; i < config.Depth; i++)
        {
            (string from, string to) = ($"blocks.{i}.", $"v.blk.{i}.");
            Add(to + "ln1.weight", from + "norm1.weight", hidden);
            Add(to + "attn_qkv.weight", from + "attn.qkv.weight", 3 * hidden, hidden);
            Add(to + "attn_out.weight", from + "attn.proj.weight", hidden, hidden);
            Add(to + "ln2.weight", from + "norm2.weight", hidden);
            Add(to + "ffn_gate.weight", from + "mlp.gate_proj.weight", output, hidden);
            Add(to + "ffn_up.weight", from + "mlp.up_proj.weight", output, hidden);
            Add(to + "ffn_down.weight", from + "mlp.down_proj.weight", hidden, output);
        }

        Add("v.post_ln.weight", "post_layernorm.weight", hidden);
        Add("mm.patch_merger.weight", "downsample.weight", output, hidden, merge, merge);
        Add("mm.patch_merger.bias", "downsample.bias", output);
        Add("mm.model.fc.weight", "merger.proj.weight", output, output);
        Add("mm.post_norm.weight", "merger.post_projection_norm.weight", output);
        Add("mm.post_norm.bias", "merger.post_projection_norm.bias", output);
        Add("mm.gate.weight", "merger.gate_proj.weight", inner, output);
        Add("mm.up.weight", "merger.up_proj.weight", inner, output);
        Add("mm.down.weight", "merger.down_proj.weight", output, inner);
        return weights;

        void Add(string gguf, string name, params long[] shape) => weights.Add(new MappedWeight(gguf, [Prefix + name], shape, null, false));
    }

    /// <summary>True for the position table, a matrix that is looked up and not multiplied.</summary>
    public static bool IsTable(MappedWeight weight)
    {
        ArgumentNullException.ThrowIfNull(weight);
        return weight.Gguf == "v.position_embd.weight";
    }
}
