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
}
