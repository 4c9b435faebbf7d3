using System.Security.Cryptography;

namespace Bitsmith.Quantization.Manifests;

/// <summary>Hashes of whole files.</summary>
internal static class FileHash
{
    /// <summary>Reads a file from front to back.</summary>
    public static FileDigest Compute(string path)
    {
        using FileStream file = new(path, FileMode.Open, FileAccess.Read, FileShare.Read, 1 << 20, FileOptions.SequentialScan);
        byte[] hash = SHA256.HashData(file);
        return new FileDigest(Path.GetFileName(path), file.Length, Convert.ToHexStringLower(hash));
    }

    /// <summary>Compares files with what was recorded of them.</summary>
    /// <param name="folder">Where they are.</param>
    /// <param name="recorded">What was recorded.</param>
    /// <param name="differs">Told of each file that is missing or another; called from several threads.</param>
    /// <param name="threads">Threads.</param>
    /// <param name="cancellationToken">Stops between files.</param>
    public static void Compare(string folder, IReadOnlyList<FileDigest> recorded, Action<string, string> differs, int threads, CancellationToken cancellationToken) => Parallel.ForEach(
        recorded,
        new ParallelOptions { MaxDegreeOfParallelism = threads, CancellationToken = cancellationToken },
        file =>
        {
            string path = Path.Combine(folder, file.File);
            if (!File.Exists(path))
            {
                differs(file.File, "is missing");
                return;
            }

            FileDigest found = Compute(path);
            if (found.Bytes != file.Bytes || found.Sha256 != file.Sha256)
            {
                differs(file.File, $"has {found.Bytes} bytes with SHA-256 {found.Sha256}, recorded are {file.Bytes} with {file.Sha256}");
            }
        });
}
