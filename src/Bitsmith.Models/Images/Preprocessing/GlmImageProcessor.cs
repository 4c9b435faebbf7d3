namespace Bitsmith.Models.Images.Preprocessing;

/// <summary>
/// Turns pictures and videos into the rows of numbers that the vision tower of a GLM model takes, bit for bit as Glm4vImageProcessor and
/// Glm46VImageProcessor of transformers do with their torchvision backend.
/// </summary>
public sealed class GlmImageProcessor
{
    private const int Channels = 3;
    private readonly float[] normalized;

    /// <summary>Makes a processor.</summary>
    /// <param name="settings">Settings for pictures.</param>
    /// <param name="videoSettings">Settings for videos; those for pictures when null.</param>
    public GlmImageProcessor(ImageProcessorSettings settings, ImageProcessorSettings? videoSettings = null)
    {
        ArgumentNullException.ThrowIfNull(settings);
        Settings = settings;
        VideoSettings = videoSettings ?? settings;
        normalized = NormalizedBytes(settings);
    }

    /// <summary>Settings for pictures.</summary>
    public ImageProcessorSettings Settings { get; }

    /// <summary>Settings for videos.</summary>
    public ImageProcessorSettings VideoSettings { get; }

    /// <summary>
    /// Makes a processor from the settings in a model folder, see <see cref="ImageProcessorSettings.LoadForImages"/> and
    /// <see cref="ImageProcessorSettings.LoadForVideos"/>.
    /// </summary>
    /// <param name="folder">The model folder.</param>
    /// <exception cref="Bitsmith.Checkpoints.CheckpointException">A file is missing or broken.</exception>
    public static GlmImageProcessor Load(string folder) =>
        new(ImageProcessorSettings.LoadForImages(folder), ImageProcessorSettings.LoadForVideos(folder));

    /// <summary>How a picture of this size will be cut, without touching its pixels: what a server needs to count tokens.</summary>
    /// <param name="width">Width in pixels.</param>
    /// <param name="height">Height in pixels.</param>
    /// <param name="source">What to call the picture in messages.</param>
    /// <exception cref="ImageException">One side is more than 200 times as long as the other.</exception>
    public VisionGrid GridOf(int width, int height, string source = "picture") => GridOf(Settings, Settings.TemporalPatchSize, width, height, source);

    /// <summary>Scales, normalises and cuts a picture, see <see cref="PixelRows"/>.</summary>
    /// <param name="image">The picture, upright.</param>
    /// <exception cref="ImageException">One side is more than 200 times as long as the other.</exception>
    public PixelRows Process(RgbImage image)
    {
        ArgumentNullException.ThrowIfNull(image);
        return Cut([image], Settings, GridOf(image.Width, image.Height, image.Source), normalized);
    }

    /// <summary>Scales, normalises and cuts the sampled frames of a video. Where the last patch lacks frames, the last frame is repeated.</summary>
    /// <param name="frames">Frames of one size, in order; at least as many as one patch takes.</param>
    /// <exception cref="ImageException">The frames differ in size, are too few, or one side is more than 200 times as long as the other.</exception>
    public PixelRows ProcessVideo(IReadOnlyList<RgbImage> frames)
    {
        ArgumentNullException.ThrowIfNull(frames);
        if (frames.Count == 0)
        {
            throw new ImageException("video", ImageProblem.Unsuitable, "has no frames.");
        }

        RgbImage first = frames[0];
        foreach (RgbImage frame in frames)
        {
            if (frame.Width != first.Width || frame.Height != first.Height)
            {
                throw new ImageException(frame.Source, ImageProblem.Unsuitable,
                    $"this frame has {frame.Width} x {frame.Height} pixels, the first has {first.Width} x {first.Height}; all frames of a video need one size.");
            }
        }

        VisionGrid grid = GridOf(VideoSettings, frames.Count, first.Width, first.Height, first.Source);
        return Cut(frames, VideoSettings, grid, NormalizedBytes(VideoSettings));
    }

    private static VisionGrid GridOf(ImageProcessorSettings settings, int frames, int width, int height, string source)
    {
        (int newHeight, int newWidth) = SmartResize.Fit(
            frames, height, width, settings.TemporalPatchSize, settings.PatchSize * settings.MergeSize, settings.Size, source);
        int temporal = (frames + settings.TemporalPatchSize - 1) / settings.TemporalPatchSize;
        return new VisionGrid(temporal, newHeight / settings.PatchSize, newWidth / settings.PatchSize);
    }

    /// <summary>
    /// What each byte becomes, [3, 256]. Scaling and normalising are one step in transformers: (x - mean * 255) / (deviation * 255) in
    /// float32; in two steps the last bits would differ.
    /// </summary>
    private static float[] NormalizedBytes(ImageProcessorSettings settings)
    {
        float scale = (float)(1 / settings.RescaleFactor);
        float[] table = new float[Channels * 256];
        for (int i = 0; i < table.Length; i++)
        {
            table[i] = ((i & 255) - (settings.Mean[i >> 8] * scale)) / (settings.Deviation[i >> 8] * scale);
        }

        return table;
    }

    /// <summary>
    /// Row order: block row, block column, row in the block, column in the block, so that the patches of one token follow each other. Inside a row: channel,
    /// frame, y, x.
    /// </summary>
    private static PixelRows Cut(IReadOnlyList<RgbImage> frames, ImageProcessorSettings settings, VisionGrid grid, float[] normalized)
    {
        int patch = settings.PatchSize, columns = settings.PatchColumns;
        float[] values = new float[checked(grid.Patches * columns)];
        for (int slot = 0; slot < grid.Frames * settings.TemporalPatchSize; slot++)
        {
            (int pair, int copy) = Math.DivRem(slot, settings.TemporalPatchSize);
            Span<float> pairValues = values.AsSpan(pair * grid.Height * grid.Width * columns, grid.Height * grid.Width * columns);
            if (slot >= frames.Count)
            {
                Repeat(pairValues, copy, patch * patch, columns);
                continue;
            }

            RgbImage image = BicubicResize.Resize(frames[slot], grid.Width * patch, grid.Height * patch);
            for (int y = 0; y < image.Height; y++)
            {
                ReadOnlySpan<byte> row = image.Row(y);
                int patchRow = y / patch, inPatch = (copy * patch * patch) + (y % patch * patch);
                for (int patchColumn = 0; patchColumn < grid.Width; patchColumn++)
                {
                    int target = (RowOf(patchRow, patchColumn, grid, settings.MergeSize) * columns) + inPatch;
                    ReadOnlySpan<byte> source = row.Slice(patchColumn * patch * Channels, patch * Channels);
                    for (int channel = 0; channel < Channels; channel++)
                    {
                        Span<float> part = pairValues.Slice(target + (channel * settings.TemporalPatchSize * patch * patch), patch);
                        for (int x = 0; x < part.Length; x++)
                        {
                            part[x] = normalized[(channel << 8) | source[(x * Channels) + channel]];
                        }
                    }
                }
            }
        }

        return new PixelRows(values, grid, columns);
    }

    /// <summary>Copies the frame before into this one, in every patch and channel.</summary>
    private static void Repeat(Span<float> pairValues, int copy, int frameSize, int columns)
    {
        for (int start = 0; start < pairValues.Length; start += columns)
        {
            int channelSize = columns / Channels;
            for (int channel = start; channel < start + columns; channel += channelSize)
            {
                pairValues.Slice(channel + ((copy - 1) * frameSize), frameSize).CopyTo(pairValues[(channel + (copy * frameSize))..]);
            }
        }
    }

    private static int RowOf(int patchRow, int patchColumn, VisionGrid grid, int merge)
    {
        (int blockRow, int y) = Math.DivRem(patchRow, merge);
        (int blockColumn, int x) = Math.DivRem(patchColumn, merge);
        return (((blockRow * (grid.Width / merge)) + blockColumn) * merge * merge) + (y * merge) + x;
    }
}
