using Bitsmith.Checkpoints;

namespace Bitsmith.Evaluation.Tasks;

/// <summary>llama-perplexity's file for <c>--hellaswag</c>: for each item six lines, the context, the number of the right ending from 0 on, and four endings.</summary>
internal static class HellaSwagText
{
    private const int Lines = 6, Endings = 4;

    public static ItemFile Read(string path)
    {
        string text = TaskFiles.Text(path);
        string[] lines = (text.EndsWith('\n') ? text[..^1] : text).Split('\n');
        if (lines.Length % Lines != 0)
        {
            throw new CheckpointException(path, $"has {lines.Length} lines; expected {Lines} for each item: the context, the number of the right ending (0 to 3), and four endings.");
        }

        int carriage = Array.FindIndex(lines, line => line.EndsWith('\r'));
        if (carriage >= 0)
        {
            throw new CheckpointException(path, $"line {carriage + 1}: ends in a carriage return, which the model would read as part of the text. Convert the file to line feeds alone.");
        }

        List<ChoiceItem> items = [];
        for (int first = 0; first < lines.Length; first += Lines)
        {
            if (!int.TryParse(lines[first + 1], out int right) || right is < 0 or >= Endings)
            {
                throw new CheckpointException(path, $"line {first + 2}: is '{lines[first + 1]}'; expected the number of the right ending, 0 to 3.");
            }

            items.Add(new ChoiceItem(
                new ItemPlace(path, $"line {first + 1}"),
                $"{lines[first]} ",
                lines[(first + 2)..(first + Lines)],
                null,
                [.. Enumerable.Range(0, Endings).Select(ending => ending == right)]));
        }

        return new ItemFile(items, "llama-perplexity's text of six lines an item", ItemDraw.Shuffled, []);
    }
}
