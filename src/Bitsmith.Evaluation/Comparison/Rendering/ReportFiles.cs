using System.Text;
using Bitsmith.Checkpoints.Files;

namespace Bitsmith.Evaluation.Comparison.Rendering;

/// <summary>The files of a comparison: the page, the pictures alone, and everything as JSON.</summary>
public static class ReportFiles
{
    /// <summary>Writes the files, each whole or not at all.</summary>
    /// <param name="report">The comparison.</param>
    /// <param name="folder">Where to; made where it is missing.</param>
    /// <returns>The files.</returns>
    /// <exception cref="IOException">The system refused.</exception>
    public static IReadOnlyList<string> Write(ComparisonReport report, string folder)
    {
        ArgumentNullException.ThrowIfNull(report);
        Directory.CreateDirectory(folder);
        List<string> written = [];
        foreach ((string name, string content) in (ReadOnlySpan<(string, string)>)
        [
            ("size.svg", ComparisonCharts.Size(report)),
            ("layers.svg", ComparisonCharts.Layers(report)),
            ("passage.svg", ComparisonCharts.Passage(report)),
            ("report.html", HtmlReport.Create(report)),
            (ComparisonReport.FileName, report.ToJson() + "\n"),
        ])
        {
            string path = Path.Combine(folder, name);
            AtomicFile.Write(path, Encoding.UTF8.GetBytes(content));
            written.Add(path);
        }

        return written;
    }
}
