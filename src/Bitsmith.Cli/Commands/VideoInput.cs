using Bitsmith.Models;
using Bitsmith.Models.Images;
using Bitsmith.Models.Images.Preprocessing;
using Bitsmith.Models.Vision;

namespace Bitsmith.Cli.Commands;

/// <summary>Reads a video and says which of its frames the model sees.</summary>
internal static class VideoInput
{
    public static VisionInput Read(Terminal terminal, GlmModel model, VideoFrames video)
    {
        VisionInput input = model.ReadVideo(video);
        string rate = video.FramesPerSecond is double given ? $"{given} frames a second" : $"no rate given, so all are taken and {VideoTimes.AssumedFramesPerSecond} frames a second assumed for their times";
        terminal.Error.WriteLine($"{video.Source}: {input.Frames.Distinct().Count()} of {video.Count} frames, {rate}");
        return input;
    }
}
