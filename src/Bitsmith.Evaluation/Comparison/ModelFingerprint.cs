using System.Globalization;
using System.Security.Cryptography;
using System.Text;
using Bitsmith.Checkpoints.Inspection;

namespace Bitsmith.Evaluation.Comparison;

/// <summary>Tells whether files are those that were measured, without reading them whole. Where they lie does not count.</summary>
/// <param name="Content">SHA-256 of names, lengths and samples of the content, which a copy keeps.</param>
/// <param name="Times">SHA-256 of the times of change as well, so that no change of the content goes unseen.</param>
public sealed record ModelFingerprint(string Content, string Times)
{
    // Of each file the first and last bytes, and pages at equal distances between them.
    private const int EdgeBytes = 1 << 16, PageBytes = 1 << 12, Pages = 256;

    /// <summary>The fingerprint of a model: its weight files and, in a folder, the JSON files beside them.</summary>
    /// <param name="path">A Hugging Face folder or a GGUF file.</param>
    /// <param name="summary">What is in it.</param>
    /// <exception cref="IOException">A file cannot be read.</exception>
    public static ModelFingerprint Of(string path, CheckpointSummary summary)
    {
        ArgumentNullException.ThrowIfNull(summary);
        bool isFolder = Directory.Exists(path);
        string folder = isFolder ? path : Path.GetDirectoryName(Path.GetFullPath(path))!;

        // What Bitsmith says of a folder in its manifest is no part of the model.
        IEnumerable<string> settings = isFolder ? Directory.EnumerateFiles(path, "*.json").Select(file => Path.GetFileName(file)).Where(file => file != "bitsmith.json") : [];
        return Of(summary.Files.Select(file => file.File).Concat(settings).Distinct().Order(StringComparer.Ordinal).Select(name => Path.Combine(folder, name)));
    }

    /// <summary>The fingerprint of files.</summary>
    /// <exception cref="IOException">A file cannot be read.</exception>
    public static ModelFingerprint Of(IEnumerable<string> files)
    {
        ArgumentNullException.ThrowIfNull(files);
        using IncrementalHash content = IncrementalHash.CreateHash(HashAlgorithmName.SHA256), times = IncrementalHash.CreateHash(HashAlgorithmName.SHA256);
        byte[] bytes = new byte[EdgeBytes];
        foreach (string file in files)
        {
            using FileStream stream = new(file, FileMode.Open, FileAccess.Read, FileShare.Read, bufferSize: 0);
            long length = stream.Length;
            content.AppendData(Encoding.UTF8.GetBytes(string.Create(CultureInfo.InvariantCulture, $"{Path.GetFileName(file)}\n{length}\n")));
            times.AppendData(Encoding.UTF8.GetBytes(string.Create(CultureInfo.InvariantCulture, $"{File.GetLastWriteTimeUtc(file).Ticks}\n")));
            Append(0, EdgeBytes);
            for (int page = 1; page <= Pages && length > 2 * EdgeBytes; page++)
            {
                Append(length / (Pages + 1) * page, PageBytes);
            }

            Append(Math.Max(0, length - EdgeBytes), EdgeBytes);

            void Append(long position, int count)
            {
                stream.Position = position;
                content.AppendData(bytes, 0, stream.ReadAtLeast(bytes.AsSpan(0, count), count, throwOnEndOfStream: false));
            }
        }

        string digest = Convert.ToHexStringLower(content.GetHashAndReset());
        times.AppendData(Encoding.ASCII.GetBytes(digest));
        return new ModelFingerprint(digest, Convert.ToHexStringLower(times.GetHashAndReset()));
    }
}
