using System.Security.Cryptography;
using System.Text;
using System.Text.Json;
using System.Text.Json.Serialization;
using Bitsmith.Checkpoints;
using Bitsmith.Quantization.Jobs;

namespace Bitsmith.Quantization.Manifests;

/// <summary>Reads and writes bitsmith.json.</summary>
public static class ManifestFile
{
    private static readonly string NoDigest = new('0', 64);

    /// <summary>The file's bytes; the digest is computed here.</summary>
    public static byte[] Write(Manifest manifest)
    {
        ArgumentNullException.ThrowIfNull(manifest);
        string text = JsonSerializer.Serialize(manifest with { Digest = NoDigest }, JobJson.Default.Manifest).ReplaceLineEndings("\n") + "\n";
        string digest = Convert.ToHexStringLower(SHA256.HashData(Encoding.UTF8.GetBytes(text)));
        int place = text.LastIndexOf(NoDigest, StringComparison.Ordinal);
        return Encoding.UTF8.GetBytes(string.Concat(text.AsSpan(0, place), digest, text.AsSpan(place + NoDigest.Length)));
    }

    /// <summary>Reads a file.</summary>
    /// <exception cref="CheckpointException">It is missing or not well formed, or its digest does not fit its content.</exception>
    public static Manifest Load(string path)
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

        Manifest? manifest;
        try
        {
            manifest = JsonSerializer.Deserialize(bytes, JobJson.Default.Manifest);
        }
        catch (Exception problem) when (problem is JsonException or NotSupportedException)
        {
            throw new CheckpointException(path, $"is no manifest of Bitsmith: {problem.Message}", problem);
        }

        if (manifest is not { Format: Manifest.CurrentFormat })
        {
            throw new CheckpointException(path, $"has format {manifest?.Format}; this Bitsmith reads format {Manifest.CurrentFormat}.");
        }

        byte[] digest = Encoding.UTF8.GetBytes(manifest.Digest);
        int place = bytes.AsSpan().LastIndexOf(digest);
        if (digest.Length == NoDigest.Length && place >= 0)
        {
            Encoding.ASCII.GetBytes(NoDigest).CopyTo(bytes.AsSpan(place));
        }

        return Convert.ToHexStringLower(SHA256.HashData(bytes)) == manifest.Digest
            ? manifest
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
