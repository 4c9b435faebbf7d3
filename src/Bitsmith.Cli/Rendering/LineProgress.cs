namespace Bitsmith.Cli.Rendering;

/// <summary>Writes each report as one line, at once.</summary>
/// <param name="writer">Receives the lines.</param>
/// <param name="describe">Words a report.</param>
internal sealed class LineProgress<T>(TextWriter writer, Func<T, string> describe) : IProgress<T>
{
    public void Report(T value) => writer.WriteLine(describe(value));
}
