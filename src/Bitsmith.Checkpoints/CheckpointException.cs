namespace Bitsmith.Checkpoints;

/// <summary>
/// An input file is broken or is not what it must be. The message names the file, the place in it, what was found, what was expected
/// and what to do.
/// </summary>
/// <param name="path">The file or folder.</param>
/// <param name="problem">Place, finding, expectation and remedy.</param>
/// <param name="inner">The cause, if another exception told of it.</param>
public sealed class CheckpointException(string path, string problem, Exception? inner = null)
    : Exception($"{path}: {problem}", inner)
{
    /// <summary>The file or folder.</summary>
    public string Path { get; } = path;
}
