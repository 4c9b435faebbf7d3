using System.Runtime.InteropServices;
using System.Security.Cryptography;
using Bitsmith.Models.Images.Preprocessing;

namespace Bitsmith.Models.Vision;

/// <summary>A picture, or a pair of frames of a video: what one run of placeholder tokens stands for. Its features are computed when they are first needed, and kept.</summary>
public sealed class VisionPart
{
    private readonly Lazy<float[]> features;

    internal VisionPart(VisionTower tower, ReadOnlyMemory<float> pixels, VisionGrid grid)
    {
        Grid = grid;
        Tokens = grid.Tokens(tower.Config.SpatialMergeSize);
        Identity = Convert.ToHexStringLower(SHA256.HashData(MemoryMarshal.AsBytes(pixels.Span)));
        features = new Lazy<float[]>(() => tower.Forward(pixels, grid));
    }

    /// <summary>Its patches.</summary>
    public VisionGrid Grid { get; }

    /// <summary>Tokens that stand for it.</summary>
    public int Tokens { get; }

    /// <summary>SHA-256 of its pixel values: two parts of the same identity and grid have the same features.</summary>
    public string Identity { get; }

    /// <summary>True once the features were computed.</summary>
    internal bool HasFeatures => features.IsValueCreated;

    /// <summary>What stands in place of the tokens' embeddings [tokens × D].</summary>
    internal float[] Features => features.Value;
}

/// <summary>A picture or video, made ready for a model by <see cref="GlmModel.ReadPicture"/> or <see cref="GlmModel.ReadVideo"/>.</summary>
/// <param name="Kind">Picture or video.</param>
/// <param name="Grid">How it is cut into patches.</param>
/// <param name="Parts">The picture, or the video's frame pairs.</param>
/// <param name="Frames">The frames of the video that the model sees, by index; empty for a picture.</param>
/// <param name="Times">Seconds at which each frame pair begins; empty for a picture.</param>
public sealed record VisionInput(TokenModality Kind, VisionGrid Grid, IReadOnlyList<VisionPart> Parts, IReadOnlyList<int> Frames, IReadOnlyList<double> Times);

/// <summary>Makes pictures and videos ready for a model.</summary>
/// <param name="tower">Computes their features.</param>
/// <param name="processor">Scales, normalizes and cuts them.</param>
/// <param name="classes">The model's processors; null where the model does not say, and so takes no videos.</param>
internal sealed class VisionReader(VisionTower tower, GlmImageProcessor processor, ProcessorClasses? classes)
{
    public int MergeSize => tower.Config.SpatialMergeSize;

    /// <summary>How times are written.</summary>
    public ProcessorFamily Prompt => classes?.Prompt ?? default;

    public VisionInput Read(Images.RgbImage picture)
    {
        PixelRows rows = processor.Process(picture);
        return new VisionInput(TokenModality.Image, rows.Grid, [new VisionPart(tower, rows.Values, rows.Grid)], [], []);
    }

    public VisionInput Read(Images.VideoFrames video)
    {
        ProcessorFamily family = classes?.Video ?? throw new Images.ImageException(
            video.Source, Images.ImageProblem.Unsuitable, "a GGUF file does not say which frames of a video its model takes. Leave the video out, or run the Hugging Face folder.");
        int[] frames = VideoSampling.Of(video.Count, video.FramesPerSecond, family, processor.VideoSettings);
        PixelRows rows = processor.ProcessVideo([.. frames.Select(video.Load)]);
        VisionGrid pair = rows.Grid with { Frames = 1 };
        VisionPart[] parts = [.. Enumerable.Range(0, rows.Grid.Frames)
            .Select(index => new VisionPart(tower, rows.Values.AsMemory(index * pair.Patches * rows.Columns, pair.Patches * rows.Columns), pair))];
        return new VisionInput(TokenModality.Video, rows.Grid, parts, frames, VideoTimes.Of(frames, video.FramesPerSecond ?? VideoTimes.AssumedFramesPerSecond, rows.Grid.Frames));
    }
}
