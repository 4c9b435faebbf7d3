using Bitsmith.Checkpoints;

namespace Bitsmith.Evaluation.Tasks;

/// <summary>
/// llama-perplexity's file for <c>--winogrande</c>: rows of index, sentence, two choices and the number of the right one, without a header. Commas between double quotes do not part fields; the
/// quotes around a sentence are dropped, those inside it stay as they are. It leaves out the row at the file's end; here it counts unless that is asked for.
/// </summary>
internal static class WinoGrandeCsv
{
    private const int Commas = 4;

    /// <summary>Whether a file is CSV without the header of the published data set.</summary>
    public static bool IsHeadless(string path)
    {
        if (!path.EndsWith(".csv", StringComparison.OrdinalIgnoreCase))
        {
            return false;
        }

        string text = TaskFiles.Text(path);
        int end = text.IndexOf('\n', StringComparison.Ordinal);
        return !(end < 0 ? text : text[..end]).Contains("option1", StringComparison.OrdinalIgnoreCase);
    }

    public static ItemFile Read(string path, bool withoutLastRow)
    {
        string[] lines = TaskFiles.Text(path).Split('\n');
        int count = withoutLastRow ? lines.Length - 1 : lines.Length;
        ChoiceItem[] items = [.. Enumerable.Range(0, count).Where(line => !string.IsNullOrWhiteSpace(lines[line])).Select(line => Item(path, line + 1, lines[line]))];
        string[] notes = string.IsNullOrWhiteSpace(lines[^1]) ? []
            : withoutLastRow ? [$"{Path.GetFileName(path)}: the last row, line {lines.Length}, is left out, as llama-perplexity leaves it out."]
            : [$"{Path.GetFileName(path)}: the last row, line {lines.Length}, counts; llama-perplexity leaves it out and has {items.Length - 1} items."];
        return new ItemFile(items, "llama-perplexity's CSV", ItemDraw.Some, notes);
    }

    private static ChoiceItem Item(string path, int number, string line)
    {
        List<int> commas = [];
        bool quoted = false;
        for (int i = 0; i < line.Length && commas.Count < Commas; i++)
        {
            quoted ^= line[i] == '"';
            if (!quoted && line[i] == ',')
            {
                commas.Add(i);
            }
        }

        if (commas.Count < Commas)
        {
            throw new CheckpointException(path, $"line {number}: has {commas.Count + 1} fields, expected index, sentence, choice, choice and the number of the right one. Put a sentence with commas between double quotes.");
        }

        string sentence = line[(commas[0] + 1)..commas[1]], answer = line[(commas[3] + 1)..].Trim();
        if (sentence.Length > 1 && sentence[0] == '"')
        {
            sentence = sentence[1..^1];
        }

        return Item(new ItemPlace(path, $"line {number}"), sentence, line[(commas[1] + 1)..commas[2]], line[(commas[2] + 1)..commas[3]], answer);
    }

    /// <summary>An item of a sentence with a blank.</summary>
    /// <exception cref="CheckpointException">There is no blank, a choice is empty, or the answer is neither 1 nor 2.</exception>
    public static ChoiceItem Item(ItemPlace place, string sentence, string first, string second, string answer)
    {
        int blank = sentence.IndexOf('_', StringComparison.Ordinal);
        string? problem = blank < 0 ? $"the sentence '{sentence}' has no blank (_)"
            : first.Length == 0 || second.Length == 0 ? "a choice is empty"
            : answer is not ("1" or "2") ? $"the answer is '{answer}', expected 1 or 2 (a test set has none; take the validation set)"
            : null;
        if (problem is not null)
        {
            throw new CheckpointException(place.File, $"{place.Where}: {problem}.");
        }

        return new ChoiceItem(place, sentence[..blank], [first, second], sentence[(blank + 1)..], [answer == "1", answer == "2"]);
    }
}
