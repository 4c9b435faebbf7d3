namespace Bitsmith.Models.Images.Preprocessing;

/// <summary>How a picture or video is cut into patches: <c>image_grid_thw</c> or <c>video_grid_thw</c>.</summary>
/// <param name="Frames">Temporal patches: 1 for a picture, one for each pair of frames of a video.</param>
/// <param name="Height">Patches from top to bottom.</param>
/// <param name="Width">Patches from left to right.</param>
public readonly record struct VisionGrid(int Frames, int Height, int Width)
{
    /// <summary>Number of patches, that is rows of pixel values.</summary>
    public int Patches => checked(Frames * Height * Width);

    /// <summary>Number of tokens that the language model sees.</summary>
    /// <param name="mergeSize">Patches that become one token, along each side; 2 in all GLM models.</param>
    public int Tokens(int mergeSize) => Patches / (mergeSize * mergeSize);
}

/// <summary>A picture or video as the vision tower takes it.</summary>
/// <param name="Values">Normalised samples, [grid.Patches, Columns] in row-major order.</param>
/// <param name="Grid">How many patches there are in each direction.</param>
/// <param name="Columns">Values of a patch: 3 channels x temporal patch size x patch size x patch size, 1176 in all GLM models.</param>
public sealed record PixelRows(float[] Values, VisionGrid Grid, int Columns);
