using System.Text.Json;
using Bitsmith.Checkpoints;
using Bitsmith.Checkpoints.HuggingFace;
using Bitsmith.Models.Architectures;

namespace Bitsmith.Models.Vision;

/// <summary>The numbers of the vision tower, read from <c>vision_config</c>; names are the file's.</summary>
/// <param name="Depth">Blocks.</param>
/// <param name="HiddenSize">Width of a patch's state.</param>
/// <param name="NumHeads">Attention heads.</param>
/// <param name="InChannels">Colours.</param>
/// <param name="PatchSize">Side of a patch in pixels.</param>
/// <param name="TemporalPatchSize">Frames in a patch.</param>
/// <param name="ImageSize">Side in pixels of the picture that the position table was learned for.</param>
/// <param name="SpatialMergeSize">Patches along a side that become one token.</param>
/// <param name="OutHiddenSize">Width of a token: the language model's hidden size, and the width of the blocks' MLPs.</param>
/// <param name="IntermediateSize">Width of the merger's MLP.</param>
/// <param name="RmsNormEps">Added to the mean square in norms.</param>
public sealed record VisionConfig(
    int Depth, int HiddenSize, int NumHeads, int InChannels, int PatchSize, int TemporalPatchSize, int ImageSize, int SpatialMergeSize, int OutHiddenSize, int IntermediateSize, float RmsNormEps)
{
    /// <summary>Values of one patch: channels × frames × height × width.</summary>
    public int PatchValues => InChannels * TemporalPatchSize * PatchSize * PatchSize;

    /// <summary>Reads the numbers; null where the model has no vision tower.</summary>
    /// <exception cref="CheckpointException">A number is missing or makes no sense.</exception>
    public static VisionConfig? Read(ModelConfig config)
    {
        ArgumentNullException.ThrowIfNull(config);
        if (config.VisionModel is not JsonElement vision)
        {
            return null;
        }

        ConfigFields fields = new(vision, config.Text.Path);
        VisionConfig read = new(
            fields.Integer("depth", 24),
            fields.Integer("hidden_size", 1536),
            fields.Integer("num_heads", 12),
            fields.Integer("in_channels", 3),
            fields.Integer("patch_size", 14),
            fields.Integer("temporal_patch_size", 2),
            fields.Integer("image_size", 336),
            fields.Integer("spatial_merge_size", 2),
            fields.Integer("out_hidden_size", 4096),
            fields.Integer("intermediate_size", 13696),
            (float)fields.Number("rms_norm_eps", 1e-5));
        fields.Require(
            read.HiddenSize % (4 * read.NumHeads) == 0 && read.ImageSize % read.PatchSize == 0,
            $"vision_config: hidden_size {read.HiddenSize} must be a multiple of 4 × num_heads {read.NumHeads}, and image_size {read.ImageSize} of patch_size {read.PatchSize}");
        return read;
    }
}
