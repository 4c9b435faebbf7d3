using Bitsmith.Checkpoints.Files;

namespace Bitsmith.Quantization.Jobs;

/// <summary>Operations on files that a job writes.</summary>
internal static class DurableFile
{
    /// <summary>Runs a file operation; what the system reports becomes an error that says what to do.</summary>
    public static void Attempt(string path, Action operation) => Attempt(path, () =>
    {
        operation();
        return true;
    });

    /// <summary>Runs a file operation; what the system reports becomes an error that says what to do.</summary>
    public static T Attempt<T>(string path, Func<T> operation)
    {
        try
        {
            return operation();
        }
        catch (Exception problem) when (problem is IOException or UnauthorizedAccessException)
        {
            throw new JobException($"{path}: writing failed: {problem.Message} Mend the cause (free space, permissions) and run the command again; quantize goes on with --resume.", problem);
        }
    }

    /// <summary>Writes a small file beside its final name, flushes to disk, renames: it is there whole or not at all.</summary>
    /// <exception cref="JobException">The system refused.</exception>
    public static void WriteAtomically(string path, ReadOnlySpan<byte> content)
    {
        byte[] copy = content.ToArray();
        Attempt(path, () => AtomicFile.Write(path, copy));
    }
}
