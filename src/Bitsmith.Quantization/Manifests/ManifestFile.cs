using System.Security.Cryptography;
using System.Text;
using System.Text.Json;
using System.Text.Json.Serialization;
using System.Text.Json.Serialization.Metadata;
using Bitsmith.Checkpoints;
using Bitsmith.Quantization.Jobs;

namespace Bitsmith.Quantization.Manifests;

/// <summary>Reads and writes bitsmith.json, and the manifests of GGUF files.</summary>
public static class ManifestFile
{
    private static readonly string NoDigest = new('0', 64);

    /// <summary>The file's bytes; the digest is computed here.</summary>
    public static byte[] Write(Manifest manifest)
    {
        ArgumentNullException.ThrowIfNull(manifest);
        return WithDigest(JsonSerializer.Serialize(manifest with { Digest = NoDigest }, JobJson.Default.Manifest));
    }

    /// <summary>The file's bytes; the digest is computed here.</summary>
    public static byte[] Write(GgufManifest manifest)
    {
        ArgumentNullException.ThrowIfNull(manifest);
        return WithDigest(JsonSerializer.Serialize(manifest with { Digest = NoDigest }, JobJson.Default.GgufManifest));
    }

    /// <summary>Reads the manifest of a folder.</summary>
    /// <exception cref="CheckpointException">It is missing or not well formed, or its digest does not fit its content.</exception>
    public static Manifest Load(string path) => Load(path, JobJson.Default.Manifest, Manifest.CurrentFormat, manifest => (manifest.Format, manifest.Digest));

    /// <summary>Reads the manifest of a GGUF file.</summary>
    /// <exception cref="CheckpointException">It is missing or not well formed, or its digest does not fit its content.</exception>
    public static GgufManifest LoadGguf(string path) => Load(path, JobJson.Default.GgufManifest, GgufManifest.CurrentFormat, manifest => (manifest.Format, manifest.Digest));

    /// <summary>Records a file of a result that was replaced on purpose, or came later, so that verification knows it.</summary>
    /// <param name="folder">The result.</param>
    /// <param name="file">The file, relative to it.</param>
    /// <exception cref="CheckpointException">The manifest is damaged.</exception>
    /// <exception cref="JobException">The system refused.</exception>
    public static void Record(string folder, string file)
    {
        string path = Path.Combine(folder, Manifest.FileName);
        Manifest manifest = Load(path);
        FileDigest digest = FileHash.Compute(Path.Combine(folder, file)) with { File = file };
        DurableFile.WriteAtomically(path, Write(manifest with { Output = [.. manifest.Output.Where(known => known.File != file).Append(digest).OrderBy(known => known.File, StringComparer.Ordinal)] }));
    }

    private static byte[] WithDigest(string json)
    {
        string text = json.ReplaceLineEndings("\n") + "\n";
        string digest = Convert.ToHexStringLower(SHA256.HashData(Encoding.UTF8.GetBytes(text)));
        int place = text.LastIndexOf(NoDigest, StringComparison.Ordinal);
        return Encoding.UTF8.GetBytes(string.Concat(text.AsSpan(0, place), digest, text.AsSpan(place + NoDigest.Length)));
    }

    private static T Load<T>(string path, JsonTypeInfo<T> type, int currentFormat, Func<T, (int Format, string Digest)> describe)
        where T : class
    {
        byte[] bytes;
        try
        {
            bytes = File.ReadAllBytes(path);
        }
        catch (Exception problem) when (problem is IOException or UnauthorizedAccessException)
        {
            throw new CheckpointException(path, $"cannot be read: {problem.Message}", problem);
        }

        T? manifest;
        try
        {
            manifest = JsonSerializer.Deserialize(bytes, type);
        }
        catch (Exception problem) when (problem is JsonException or NotSupportedException)
        {
            throw new CheckpointException(path, $"is no manifest of Bitsmith: {problem.Message}", problem);
        }

        (int format, string text) = manifest is null ? (0, string.Empty) : describe(manifest);
        if (format != currentFormat)
        {
            throw new CheckpointException(path, $"has format {format}; this Bitsmith reads format {currentFormat}.");
        }

        byte[] digest = Encoding.UTF8.GetBytes(text);
        int place = bytes.AsSpan().LastIndexOf(digest);
        if (digest.Length == NoDigest.Length && place >= 0)
        {
            Encoding.ASCII.GetBytes(NoDigest).CopyTo(bytes.AsSpan(place));
        }

        return Convert.ToHexStringLower(SHA256.HashData(bytes)) == text
            ? manifest!
            : throw new CheckpointException(path, "its digest does not fit its content: the file was changed or damaged.");
    }
}

/// <summary>JSON of manifests and journals, by source generation.</summary>
[JsonSourceGenerationOptions(
    WriteIndented = true,
    PropertyNamingPolicy = JsonKnownNamingPolicy.SnakeCaseLower,
    UseStringEnumConverter = true,
    RespectNullableAnnotations = true,
    RespectRequiredConstructorParameters = true)]
[JsonSerializable(typeof(Manifest))]
[JsonSerializable(typeof(GgufManifest))]
internal sealed partial class JobJson : JsonSerializerContext;

/// <summary>JSON of journal lines: one line each, non-finite sums allowed.</summary>
[JsonSourceGenerationOptions(
    WriteIndented = false,
    PropertyNamingPolicy = JsonKnownNamingPolicy.SnakeCaseLower,
    DefaultIgnoreCondition = JsonIgnoreCondition.WhenWritingNull,
    NumberHandling = JsonNumberHandling.AllowNamedFloatingPointLiterals,
    UseStringEnumConverter = true)]
[JsonSerializable(typeof(JournalEntry))]
[JsonSerializable(typeof(Fingerprint))]
internal sealed partial class JournalJson : JsonSerializerContext;
