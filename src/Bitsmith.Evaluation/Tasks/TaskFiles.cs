using System.Text;
using Bitsmith.Checkpoints;
using Bitsmith.Checkpoints.Datasets;

namespace Bitsmith.Evaluation.Tasks;

/// <summary>Reads files of tasks: llama-perplexity's own, and the data sets as they are published.</summary>
public static class TaskFiles
{
    /// <summary>Reads a file.</summary>
    /// <param name="task">The task.</param>
    /// <param name="path">
    /// <c>.jsonl</c>, <c>.json</c>, <c>.csv</c> or <c>.parquet</c> for a published data set. Otherwise a file of llama-perplexity: of HellaSwag six lines for each item, unless it ends in
    /// <c>.bin</c>; of WinoGrande CSV without a header, which may end in <c>.csv</c> too; of others the binary form.
    /// </param>
    /// <param name="withoutLastRow">Leaves out the last row of WinoGrande's CSV without a header, as llama-perplexity does.</param>
    /// <exception cref="CheckpointException">The file cannot be read or is damaged, an item lacks something, or there is none.</exception>
    public static ItemFile Read(EvaluationTask task, string path, bool withoutLastRow = false)
    {
        ArgumentNullException.ThrowIfNull(path);
        bool binary = path.EndsWith(".bin", StringComparison.OrdinalIgnoreCase);
        ItemFile file = task switch
        {
            EvaluationTask.WinoGrande when !Dataset.HasFormat(path) || WinoGrandeCsv.IsHeadless(path) => WinoGrandeCsv.Read(path, withoutLastRow),
            _ when Dataset.HasFormat(path) => DatasetItems.Read(task, path),
            EvaluationTask.HellaSwag when !binary => HellaSwagText.Read(path),
            _ => MultipleChoiceFile.Read(path),
        };
        return file.Items.Count > 0 ? file : throw new CheckpointException(path, "has no items. Take another file.");
    }

    /// <summary>The text of a file without the newline at its end, which llama-perplexity drops.</summary>
    internal static string Text(string path)
    {
        try
        {
            string text = new UTF8Encoding(encoderShouldEmitUTF8Identifier: false, throwOnInvalidBytes: true).GetString(File.ReadAllBytes(path));
            return text.EndsWith('\n') ? text[..^1] : text;
        }
        catch (Exception problem) when (problem is IOException or UnauthorizedAccessException or DecoderFallbackException)
        {
            throw new CheckpointException(path, problem is DecoderFallbackException ? "is no UTF-8 text. Convert it first, or take the file of the task." : $"cannot be read: {problem.Message}", problem);
        }
    }
}
