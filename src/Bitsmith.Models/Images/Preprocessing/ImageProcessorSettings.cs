using System.Text;
using System.Text.Json;
using System.Text.Json.Nodes;
using Bitsmith.Checkpoints;
using Bitsmith.Checkpoints.Gguf;
using Bitsmith.Checkpoints.Json;

namespace Bitsmith.Models.Images.Preprocessing;

/// <summary>What a model folder's preprocessor_config.json says about pictures or videos; defaults are those of the transformers classes.</summary>
public sealed record ImageProcessorSettings
{
    /// <summary>The name of a model folder's file with the settings for pictures.</summary>
    public const string FileName = "preprocessor_config.json";

    private const string VisionPrefix = "clip.vision.";
    private const double BytesToUnit = 1 / 255.0;

    /// <summary>Settings of Glm46VImageProcessor and Glm4vImageProcessor for pictures.</summary>
    public static ImageProcessorSettings ImageDefaults { get; } = new();

    /// <summary>Settings of Glm46VVideoProcessor and Glm4vVideoProcessor for videos: the pixel limit counts all frames.</summary>
    public static ImageProcessorSettings VideoDefaults { get; } = new() { Size = new PixelLimits(112 * 112, 28 * 28 * 2 * 30000) };

    /// <summary><c>size</c>: smallest and largest pixel count, all frames or temporal copies counted.</summary>
    public PixelLimits Size { get; init; } = new(112 * 112, 28 * 28 * 15000);

    /// <summary><c>patch_size</c>: side of a patch in pixels.</summary>
    public int PatchSize { get; init; } = 14;

    /// <summary><c>temporal_patch_size</c>: frames in a patch.</summary>
    public int TemporalPatchSize { get; init; } = 2;

    /// <summary><c>merge_size</c>: patches along each side that become one token.</summary>
    public int MergeSize { get; init; } = 2;

    /// <summary><c>rescale_factor</c>: what a byte is multiplied by.</summary>
    public double RescaleFactor { get; init; } = BytesToUnit;

    /// <summary><c>image_mean</c>, for red, green and blue.</summary>
    public IReadOnlyList<float> Mean { get; init; } = [0.48145466f, 0.4578275f, 0.40821073f];

    /// <summary><c>image_std</c>, for red, green and blue.</summary>
    public IReadOnlyList<float> Deviation { get; init; } = [0.26862954f, 0.26130258f, 0.27577711f];

    /// <summary><c>fps</c>: frames that the video processor of GLM-4.1V and GLM-4.5V takes in a second.</summary>
    public double SampledFramesPerSecond { get; init; } = 2;

    /// <summary><c>max_duration</c>: seconds up to which that rate holds.</summary>
    public double MaxDuration { get; init; } = 300;

    /// <summary>Values of one patch, 1176 in all GLM models.</summary>
    public int PatchColumns => 3 * TemporalPatchSize * PatchSize * PatchSize;

    /// <summary>Reads the settings out of a file's content.</summary>
    /// <param name="json">A preprocessor_config.json or video_preprocessor_config.json.</param>
    /// <param name="path">Its name for messages.</param>
    /// <param name="defaults">What holds for keys that are absent: <see cref="ImageDefaults"/> or <see cref="VideoDefaults"/>.</param>
    /// <exception cref="CheckpointException">A key has a value that cannot be followed; the message names it.</exception>
    public static ImageProcessorSettings Read(JsonText json, string path, ImageProcessorSettings defaults)
    {
        ArgumentNullException.ThrowIfNull(json);
        ArgumentNullException.ThrowIfNull(defaults);
        CheckType(json, path);
        foreach (string step in (ReadOnlySpan<string>)["do_resize", "do_rescale", "do_normalize", "do_convert_rgb"])
        {
            if (json.Get(step) is { ValueKind: not (JsonValueKind.True or JsonValueKind.Null) } value)
            {
                throw new CheckpointException(path, $"{step} is {value.GetRawText()}, only true is supported: GLM models need this step.");
            }
        }

        if (json.Get("resample") is { ValueKind: not JsonValueKind.Null } resample && resample.GetRawText() != "3")
        {
            throw new CheckpointException(path, $"resample is {resample.GetRawText()}, only 3 (bicubic) is supported.");
        }

        ImageProcessorSettings settings = new()
        {
            Size = ReadSize(json, path, defaults.Size),
            PatchSize = ReadCount(json, path, "patch_size", defaults.PatchSize),
            TemporalPatchSize = ReadCount(json, path, "temporal_patch_size", defaults.TemporalPatchSize),
            MergeSize = ReadCount(json, path, "merge_size", defaults.MergeSize),
            RescaleFactor = ReadFactor(json, path, "rescale_factor", defaults.RescaleFactor),
            SampledFramesPerSecond = ReadFactor(json, path, "fps", defaults.SampledFramesPerSecond),
            MaxDuration = ReadFactor(json, path, "max_duration", defaults.MaxDuration),
            Mean = ReadChannels(json, path, "image_mean", defaults.Mean),
            Deviation = ReadChannels(json, path, "image_std", defaults.Deviation),
        };
        return settings.Deviation.All(value => value > 0)
            ? settings
            : throw new CheckpointException(path, $"image_std is [{string.Join(", ", settings.Deviation)}], expected positive numbers.");
    }

    /// <summary>Reads the settings for pictures out of the metadata of a GGUF file with a vision tower; what they do not say is as in <see cref="ImageDefaults"/>.</summary>
    /// <param name="metadata">The file's key/value pairs.</param>
    /// <param name="path">The file, for messages.</param>
    /// <exception cref="CheckpointException">A key is missing or has a value that cannot be followed.</exception>
    public static ImageProcessorSettings Read(GgufMetadata metadata, string path)
    {
        ArgumentNullException.ThrowIfNull(metadata);
        (string least, string most) = (VisionPrefix + "image_min_pixels", VisionPrefix + "image_max_pixels");
        JsonObject keys = new()
        {
            ["patch_size"] = metadata.Integer(VisionPrefix + "patch_size"),
            ["merge_size"] = metadata.Integer(VisionPrefix + "spatial_merge_size", ImageDefaults.MergeSize),
            ["image_mean"] = new JsonArray([.. metadata.Items<float>(VisionPrefix + "image_mean", 3).Select(value => JsonValue.Create(value))]),
            ["image_std"] = new JsonArray([.. metadata.Items<float>(VisionPrefix + "image_std", 3).Select(value => JsonValue.Create(value))]),
        };
        if (metadata.Find(least) is not null && metadata.Find(most) is not null)
        {
            // A file counts the pixels of the picture, preprocessor_config.json those of its temporal copies.
            keys["size"] = new JsonObject { ["shortest_edge"] = metadata.Integer(least) * ImageDefaults.TemporalPatchSize, ["longest_edge"] = metadata.Integer(most) * ImageDefaults.TemporalPatchSize };
        }

        return Read(JsonText.Parse(Encoding.UTF8.GetBytes(keys.ToJsonString()), path), path, ImageDefaults);
    }

    /// <summary>The content of a preprocessor_config.json of a GLM-4.1V model, and of those that followed it.</summary>
    public JsonObject ToJson() => new()
    {
        ["image_processor_type"] = "Glm4vImageProcessor",
        ["processor_class"] = "Glm4vProcessor",
        ["size"] = new JsonObject { ["shortest_edge"] = Size.Smallest, ["longest_edge"] = Size.Largest },
        ["patch_size"] = PatchSize,
        ["temporal_patch_size"] = TemporalPatchSize,
        ["merge_size"] = MergeSize,
        ["rescale_factor"] = RescaleFactor,
        ["image_mean"] = new JsonArray([.. Mean.Select(value => JsonValue.Create(value))]),
        ["image_std"] = new JsonArray([.. Deviation.Select(value => JsonValue.Create(value))]),
    };

    /// <summary>
    /// Reads a model folder's settings for pictures: the part <c>image_processor</c> of processor_config.json, where transformers 5 saves it, or else
    /// preprocessor_config.json.
    /// </summary>
    /// <param name="folder">The model folder.</param>
    /// <exception cref="CheckpointException">The file is missing or broken.</exception>
    public static ImageProcessorSettings LoadForImages(string folder) =>
        LoadNested(folder, "image_processor", ImageDefaults) ?? LoadFile(Path.Combine(folder, FileName), ImageDefaults);

    /// <summary>
    /// Reads a model folder's settings for videos: the part <c>video_processor</c> of processor_config.json, or video_preprocessor_config.json, or
    /// else preprocessor_config.json, its <c>size</c> included, as transformers does.
    /// </summary>
    /// <param name="folder">The model folder.</param>
    /// <exception cref="CheckpointException">The file is missing or broken.</exception>
    public static ImageProcessorSettings LoadForVideos(string folder)
    {
        string path = Path.Combine(folder, "video_preprocessor_config.json");
        return LoadNested(folder, "video_processor", VideoDefaults)
            ?? LoadFile(File.Exists(path) ? path : Path.Combine(folder, FileName), VideoDefaults);
    }

    private static ImageProcessorSettings LoadFile(string path, ImageProcessorSettings defaults) => Read(JsonText.Load(path), path, defaults);

    private static ImageProcessorSettings? LoadNested(string folder, string part, ImageProcessorSettings defaults)
    {
        string path = Path.Combine(folder, "processor_config.json");
        return File.Exists(path) && JsonText.Load(path).Get(part) is { ValueKind: JsonValueKind.Object } settings
            ? Read(JsonText.Parse(Encoding.UTF8.GetBytes(settings.GetRawText()), path), $"{path}, {part}", defaults)
            : null;
    }

    private static void CheckType(JsonText json, string path)
    {
        foreach (string key in (ReadOnlySpan<string>)["image_processor_type", "video_processor_type"])
        {
            string? type = json.Get(key) is { ValueKind: JsonValueKind.String } value ? value.GetString() : null;
            if (type is not null && !type.StartsWith("Glm4v", StringComparison.Ordinal) && !type.StartsWith("Glm46V", StringComparison.Ordinal))
            {
                throw new CheckpointException(path, $"{key} is '{type}', expected one of the Glm4v and Glm46V processors.");
            }
        }
    }

    private static PixelLimits ReadSize(JsonText json, string path, PixelLimits defaults)
    {
        if (json.Get("size") is not { ValueKind: not JsonValueKind.Null } size)
        {
            return defaults;
        }

        if (json.Get("size", "shortest_edge") is { ValueKind: JsonValueKind.Number } shortest && shortest.TryGetInt64(out long smallest)
            && json.Get("size", "longest_edge") is { ValueKind: JsonValueKind.Number } longest && longest.TryGetInt64(out long largest)
            && smallest > 0 && largest >= smallest)
        {
            return new PixelLimits(smallest, largest);
        }

        throw new CheckpointException(
            path,
            $"size is {size.GetRawText()}, expected {{\"shortest_edge\": fewest pixels, \"longest_edge\": most pixels}}, positive and in this order.");
    }

    private static int ReadCount(JsonText json, string path, string key, int fallback)
    {
        const int Most = 1024;
        return json.Get(key) is not { ValueKind: not JsonValueKind.Null } value ? fallback
            : value.ValueKind == JsonValueKind.Number && value.TryGetInt32(out int count) && count is >= 1 and <= Most ? count
            : throw new CheckpointException(path, $"{key} is {value.GetRawText()}, expected a whole number from 1 to {Most}.");
    }

    private static double ReadFactor(JsonText json, string path, string key, double fallback) =>
        json.Get(key) is not { ValueKind: not JsonValueKind.Null } value ? fallback
            : value.ValueKind == JsonValueKind.Number && value.TryGetDouble(out double factor) && factor > 0 && double.IsFinite(factor) ? factor
            : throw new CheckpointException(path, $"{key} is {value.GetRawText()}, expected a positive number.");

    private static IReadOnlyList<float> ReadChannels(JsonText json, string path, string key, IReadOnlyList<float> fallback)
    {
        if (json.Get(key) is not { ValueKind: not JsonValueKind.Null } list)
        {
            return fallback;
        }

        if (list.ValueKind == JsonValueKind.Array && list.GetArrayLength() == 3
            && list.EnumerateArray().All(
                value => value.ValueKind == JsonValueKind.Number && value.TryGetDouble(out double number) && float.IsFinite((float)number)))
        {
            return [.. list.EnumerateArray().Select(value => (float)value.GetDouble())];
        }

        throw new CheckpointException(path, $"{key} is {list.GetRawText()}, expected three numbers.");
    }
}
