using System.Buffers.Binary;
using System.Text;
using System.Text.Unicode;
using Bitsmith.Checkpoints;

namespace Bitsmith.Evaluation.Tasks;

/// <summary>
/// llama-perplexity's file for <c>--multiple-choice</c>. All numbers are 32 bits, little-endian: the number of items and the place of each; then the items: the question; the answers of which one is
/// right; those of which several are, which are not used. A text is its length and its bytes; answers are their number, the texts, and a label for each, 1 for a right one.
/// </summary>
internal static class MultipleChoiceFile
{
    public static ItemFile Read(string path)
    {
        byte[] bytes;
        try
        {
            bytes = File.ReadAllBytes(path);
        }
        catch (Exception problem) when (problem is IOException or UnauthorizedAccessException)
        {
            throw new CheckpointException(path, $"cannot be read: {problem.Message}", problem);
        }

        Cursor cursor = new(path, bytes);
        int count = cursor.Count("items", sizeof(int), bytes.Length);
        int[] places = [.. Enumerable.Range(0, count).Select(_ => cursor.Int32("the places of items"))];
        List<ChoiceItem> items = new(count);
        for (int i = 0; i < count; i++)
        {
            // Items that share bytes would make a small file any number of texts.
            if (places[i] != cursor.Place)
            {
                throw cursor.Broken($"item {i + 1} is to lie at {places[i]}, and the one before ends at {cursor.Place}");
            }

            string question = cursor.Text($"the question of item {i + 1}");
            (string[] answers, int[] labels) = cursor.Answers($"item {i + 1}");
            cursor.Answers($"item {i + 1}");
            if (question.Length == 0 || answers.Length == 0 || answers.Contains(string.Empty))
            {
                throw cursor.Broken($"item {i + 1} has no question, no answers, or an empty one");
            }

            items.Add(new ChoiceItem(new ItemPlace(path, $"item {i + 1}"), $"{question} ", answers, null, [.. labels.Select(label => label == 1)]));
        }

        return new ItemFile(items, "llama-perplexity's binary form", ItemDraw.Some, []);
    }

    private sealed class Cursor(string path, byte[] bytes)
    {
        public int Place { get; private set; }

        public CheckpointException Broken(string problem) =>
            new(path, $"{problem}. It is no whole file of llama-perplexity's --multiple-choice; other formats are known by .jsonl, .json, .csv and .parquet.");

        public int Int32(string what)
        {
            if (bytes.Length - Place < sizeof(int))
            {
                throw Broken($"the file ends at byte {bytes.Length}, before {what}");
            }

            Place += sizeof(int);
            return BinaryPrimitives.ReadInt32LittleEndian(bytes.AsSpan(Place - sizeof(int)));
        }

        public int Count(string what, int bytesEach, int most)
        {
            int count = Int32($"the number of {what}");
            return count >= 0 && count <= most && count <= (bytes.Length - Place) / bytesEach
                ? count
                : throw Broken($"there are to be {count} {what} of at least {bytesEach} byte(s), and {bytes.Length - Place} bytes follow{(count > most ? $"; at most {most} are read" : string.Empty)}");
        }

        public string Text(string what)
        {
            int length = Count($"bytes of {what}", 1, bytes.Length);
            Place += length;
            ReadOnlySpan<byte> text = bytes.AsSpan(Place - length, length);
            return Utf8.IsValid(text) ? Encoding.UTF8.GetString(text) : throw Broken($"{what} is not valid UTF-8");
        }

        public (string[] Answers, int[] Labels) Answers(string item)
        {
            int count = Count($"answers of {item}", 2 * sizeof(int), ChoiceItem.MostChoices);
            return ([.. Enumerable.Range(0, count).Select(i => Text($"answer {i + 1} of {item}"))], [.. Enumerable.Range(0, count).Select(_ => Int32($"the labels of {item}"))]);
        }
    }
}
