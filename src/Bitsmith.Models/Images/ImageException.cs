namespace Bitsmith.Models.Images;

/// <summary>Why a picture cannot be used.</summary>
public enum ImageProblem
{
    /// <summary>There is no such file, or the system refuses to read it.</summary>
    Unreadable,

    /// <summary>The file breaks a rule of its own format; a fresh copy may help.</summary>
    Damaged,

    /// <summary>The file may be sound, but nothing here reads this format or this part of it; saving it as another format helps.</summary>
    NotSupported,

    /// <summary>The picture is larger than the limit that the caller set, see <see cref="ImageLimits"/>.</summary>
    TooLarge,

    /// <summary>The picture is sound, but the model takes none of this shape.</summary>
    Unsuitable,
}

/// <summary>
/// A picture cannot be used. The message names the file, the place in it, what was found, what was expected and what to do.
/// Reading a picture throws nothing else for a bad file.
/// </summary>
/// <param name="source">The file or whatever names the picture.</param>
/// <param name="problem">Which kind of problem it is.</param>
/// <param name="message">Place, finding, expectation and remedy.</param>
/// <param name="inner">The cause, if another exception told of it.</param>
public sealed class ImageException(string source, ImageProblem problem, string message, Exception? inner = null)
    : Exception($"{source}: {message}", inner)
{
    /// <summary>The file or whatever names the picture.</summary>
    public string Picture { get; } = source;

    /// <summary>Which kind of problem it is.</summary>
    public ImageProblem Problem { get; } = problem;

    internal static ImageException Damaged(string source, string finding, Exception? inner = null) =>
        new(source, ImageProblem.Damaged, $"{finding} The file is damaged; get it again or save it anew.", inner);

    internal static ImageException NotSupported(string source, string finding) =>
        new(source, ImageProblem.NotSupported, $"{finding} Save it as PNG, or as a baseline or progressive JPEG with 8 bits, and try again.");
}
