namespace Bitsmith.Quantization.Jobs;

/// <summary>Small files that are either there whole or not at all.</summary>
internal static class AtomicFile
{
    /// <summary>Writes beside the final name, flushes to disk, renames.</summary>
    /// <exception cref="JobException">The system refused.</exception>
    public static void Write(string path, ReadOnlySpan<byte> content)
    {
        string beside = path + ".new";
        try
        {
            using (FileStream file = new(beside, FileMode.Create, FileAccess.Write))
            {
                file.Write(content);
                file.Flush(flushToDisk: true);
            }

            File.Move(beside, path, overwrite: true);
        }
        catch (Exception problem) when (problem is IOException or UnauthorizedAccessException)
        {
            throw new JobException($"{path}: writing failed: {problem.Message} Mend the cause (free space, permissions) and run again.", problem);
        }
    }
}
