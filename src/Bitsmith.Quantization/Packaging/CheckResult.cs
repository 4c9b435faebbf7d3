namespace Bitsmith.Quantization.Packaging;

/// <summary>The outcome of a packaging check.</summary>
public enum Verdict
{
    /// <summary>All named clients read the folder well.</summary>
    Pass,

    /// <summary>A client has a limit that no repair within the format removes.</summary>
    Warning,

    /// <summary>The folder was wrong for a client and has been repaired.</summary>
    Fixed,

    /// <summary>A client misreads the folder; <c>--fix</c> repairs it, or the evidence says why it cannot.</summary>
    Fail,
}

/// <summary>A check with its outcome.</summary>
/// <param name="Name">Stable name, for example <c>rope-fields</c>.</param>
/// <param name="Verdict">The outcome.</param>
/// <param name="Evidence">What was found.</param>
/// <param name="Repair">What repairs it or was done; null where nothing is needed.</param>
/// <param name="Modules">The modules that a client cannot read.</param>
public sealed record CheckResult(
    string Name, Verdict Verdict, string Evidence, string? Repair = null, IReadOnlyList<string>? Modules = null);
