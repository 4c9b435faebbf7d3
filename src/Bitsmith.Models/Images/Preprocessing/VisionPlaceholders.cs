using System.Text;

namespace Bitsmith.Models.Images.Preprocessing;

/// <summary>A video's part in a prompt.</summary>
/// <param name="Grid">How it is cut.</param>
/// <param name="Times">Seconds at which each temporal patch begins, see <see cref="VideoTimes.Of"/>; one for each.</param>
public sealed record VideoPlace(VisionGrid Grid, IReadOnlyList<double> Times);

/// <summary>Makes room for pictures and videos in a prompt, and finds that room again among its tokens.</summary>
public static class VisionPlaceholders
{
    /// <summary>Stands for a picture, and after expansion for one token of a picture or video.</summary>
    public const string Image = "<|image|>";

    /// <summary>Stands for a video before expansion.</summary>
    public const string Video = "<|video|>";

    /// <summary>The token before a video.</summary>
    public const string BeginOfVideo = "<|begin_of_video|>";

    /// <summary>The token behind a video.</summary>
    public const string EndOfVideo = "<|end_of_video|>";

    internal const string BeginOfImage = "<|begin_of_image|>";
    internal const string EndOfImage = "<|end_of_image|>";

    /// <summary>
    /// Writes as many placeholders as each picture has tokens; a video becomes, for each frame pair, the placeholders between begin and end of image and the
    /// time behind them. Video tokens are written as image tokens.
    /// </summary>
    /// <param name="prompt">A prompt with one <see cref="Image"/> for each picture and one <see cref="Video"/> for each video.</param>
    /// <param name="images">The pictures' grids, in order.</param>
    /// <param name="videos">The videos, in order.</param>
    /// <param name="mergeSize">Patches that become one token, along each side.</param>
    /// <param name="family">How times are written.</param>
    /// <exception cref="ArgumentException">The prompt has other numbers of placeholders than there are pictures and videos.</exception>
    public static string Expand(string prompt, IReadOnlyList<VisionGrid> images, IReadOnlyList<VideoPlace> videos, int mergeSize, ProcessorFamily family)
    {
        ArgumentNullException.ThrowIfNull(prompt);
        ArgumentNullException.ThrowIfNull(images);
        ArgumentNullException.ThrowIfNull(videos);
        ArgumentOutOfRangeException.ThrowIfLessThan(mergeSize, 1);
        StringBuilder expanded = new();
        int image = 0, video = 0, done = 0;
        while (true)
        {
            int nextImage = prompt.IndexOf(Image, done, StringComparison.Ordinal), nextVideo = prompt.IndexOf(Video, done, StringComparison.Ordinal);
            if (nextImage < 0 && nextVideo < 0)
            {
                break;
            }

            bool isImage = nextVideo < 0 || (nextImage >= 0 && nextImage < nextVideo);
            int next = isImage ? nextImage : nextVideo;
            expanded.Append(prompt, done, next - done);
            done = next + (isImage ? Image : Video).Length;
            if (isImage)
            {
                if (image < images.Count)
                {
                    Repeat(expanded, images[image].Tokens(mergeSize));
                }

                image++;
            }
            else
            {
                if (video < videos.Count)
                {
                    AppendVideo(expanded, videos[video], mergeSize, family);
                }

                video++;
            }
        }

        return image == images.Count && video == videos.Count
            ? expanded.Append(prompt, done, prompt.Length - done).ToString()
            : throw new ArgumentException(
                $"The prompt has {image} {Image} and {video} {Video}, but there are {images.Count} pictures and {videos.Count} videos. "
                + "Each needs one placeholder.",
                nameof(prompt));
    }

    /// <summary>
    /// Says for each token what it stands for: <c>mm_token_type_ids</c>. Video tokens are image tokens between begin and end of video.
    /// </summary>
    /// <param name="tokens">The tokens of the expanded prompt.</param>
    /// <param name="imageToken">config.json <c>image_token_id</c>.</param>
    /// <param name="videoStart">config.json <c>video_start_token_id</c>.</param>
    /// <param name="videoEnd">config.json <c>video_end_token_id</c>.</param>
    public static TokenModality[] Modalities(ReadOnlySpan<int> tokens, int imageToken, int videoStart, int videoEnd)
    {
        TokenModality[] modalities = new TokenModality[tokens.Length];
        int open = 0;
        for (int i = 0; i < tokens.Length; i++)
        {
            open += tokens[i] == videoStart ? 1 : tokens[i] == videoEnd ? -1 : 0;
            modalities[i] = tokens[i] != imageToken ? TokenModality.Text : open > 0 ? TokenModality.Video : TokenModality.Image;
        }

        return modalities;
    }

    private static void AppendVideo(StringBuilder prompt, VideoPlace video, int mergeSize, ProcessorFamily family)
    {
        if (video.Times.Count != video.Grid.Frames)
        {
            throw new ArgumentException($"A video of {video.Grid.Frames} frame pairs has {video.Times.Count} times, expected one for each.", nameof(video));
        }

        foreach (double time in video.Times)
        {
            prompt.Append(BeginOfImage);
            Repeat(prompt, (video.Grid with { Frames = 1 }).Tokens(mergeSize));
            prompt.Append(EndOfImage).Append(VideoTimes.Format(time, family));
        }
    }

    private static void Repeat(StringBuilder prompt, int tokens) => prompt.Insert(prompt.Length, Image, tokens);
}

/// <summary>What a token stands for; the numbers are those of <c>mm_token_type_ids</c>.</summary>
public enum TokenModality
{
    /// <summary>Text.</summary>
    Text = 0,

    /// <summary>A part of a picture.</summary>
    Image = 1,

    /// <summary>A part of a video.</summary>
    Video = 2,
}
