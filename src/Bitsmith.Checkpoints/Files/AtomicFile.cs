namespace Bitsmith.Checkpoints.Files;

/// <summary>Writes small files so that they are there whole or not at all.</summary>
public static class AtomicFile
{
    /// <summary>Writes beside the final name, flushes to disk, renames.</summary>
    /// <exception cref="IOException">The system refused.</exception>
    /// <exception cref="UnauthorizedAccessException">The system refused.</exception>
    public static void Write(string path, ReadOnlySpan<byte> content)
    {
        string beside = path + ".new";
        using (FileStream file = new(beside, FileMode.Create, FileAccess.Write))
        {
            file.Write(content);
            file.Flush(flushToDisk: true);
        }

        File.Move(beside, path, overwrite: true);
    }
}
