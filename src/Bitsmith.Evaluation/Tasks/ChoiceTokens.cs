using Bitsmith.Checkpoints;
using Bitsmith.Models.Text;

namespace Bitsmith.Evaluation.Tasks;

/// <summary>A token whose probability counts.</summary>
/// <param name="Sequence">The choice whose sequence predicts it.</param>
/// <param name="Position">The position there whose logits predict it.</param>
/// <param name="Token">The token.</param>
internal readonly record struct Prediction(int Sequence, int Position, int Token);

/// <summary>
/// An item as tokens, and which of them count, as llama-perplexity has it. Texts share the tokens with which all begin. Where texts end with the choice, all tokens behind the shared ones count.
/// Where a blank is filled (WinoGrande) and each text has more than three tokens behind the shared ones, those behind the choice count, otherwise those behind the shared ones; in both cases not the
/// last one, usually the full stop, if another one remains.
/// </summary>
internal sealed class ChoiceTokens
{
    // Texts with more tokens than this behind the shared ones are scored behind the choice.
    private const int FewestTrailing = 3;

    private ChoiceTokens(ChoiceItem item, int[][] sequences, Prediction[][] predictions)
    {
        (Item, Sequences, Predictions) = (item, sequences, predictions);
        int common = Common(sequences);
        Shared = predictions.SelectMany((counted, choice) => counted.Where(prediction => prediction.Sequence == choice)).Select(prediction => prediction.Position + 1).Append(common).Min();
    }

    /// <summary>The item.</summary>
    public ChoiceItem Item { get; }

    /// <summary>The tokens of each text.</summary>
    public int[][] Sequences { get; }

    /// <summary>What counts of each choice; at least one token.</summary>
    public Prediction[][] Predictions { get; }

    /// <summary>Tokens at the start of all sequences that are run once; nothing before the last of them predicts what counts.</summary>
    public int Shared { get; }

    /// <summary>Tokens to run: the shared ones once, and the rest of each sequence.</summary>
    public int Rest => Sequences.Sum(sequence => sequence.Length - Shared);

    /// <summary>Makes tokens of an item.</summary>
    /// <param name="item">The item.</param>
    /// <param name="tokenizer">The tokenizer; the token that texts begin with in this vocabulary stands before each.</param>
    /// <param name="contextSize">Most tokens of a text.</param>
    /// <exception cref="ItemTooLongException">A text is too long.</exception>
    /// <exception cref="CheckpointException">There is nothing to score.</exception>
    public static ChoiceTokens Of(ChoiceItem item, Tokenizer tokenizer, int contextSize)
    {
        if (item.Choices.Count is < 1 or > ChoiceItem.MostChoices)
        {
            throw Broken(item, $"has {item.Choices.Count} choices, expected 1 to {ChoiceItem.MostChoices}");
        }

        int[][] sequences = [.. Enumerable.Range(0, item.Choices.Count).Select(choice => Encode(item.Text(choice), tokenizer))];
        int longest = sequences.Max(sequence => sequence.Length);
        if (longest > contextSize)
        {
            throw new ItemTooLongException(item.Place, longest, contextSize);
        }

        int common = Common(sequences);
        Prediction[][] predictions = item.After is null
            ? [.. sequences.Select((sequence, choice) => Range(sequence, choice, common, sequence.Length))]
            : Blank([.. Enumerable.Range(0, item.Choices.Count).Select(choice => Encode(item.Start(choice), tokenizer).Length)], sequences, common);
        return predictions.All(counted => counted.Length > 0) ? new ChoiceTokens(item, sequences, predictions) : throw Broken(item, "has a choice of which no token can be scored");
    }

    private static Prediction[][] Blank(int[] starts, int[][] sequences, int common)
    {
        // A choice that ends its sentence leaves nothing to score behind it.
        bool skip = sequences.All(sequence => sequence.Length - common > FewestTrailing) && sequences.Zip(starts).All(pair => pair.First.Length > pair.Second);
        Prediction[][] predictions = [.. sequences.Select((sequence, choice) =>
        {
            int from = skip ? starts[choice] : common;
            return Range(sequence, choice, from, sequence.Length - (sequence.Length - from > 1 ? 1 : 0));
        })];

        // llama-perplexity scores the first token of the second text with what follows the end of the first text where it does not skip the choice.
        if (!skip && common > 0 && predictions.Length > 1 && predictions[1].Length > 0)
        {
            predictions[1][0] = predictions[1][0] with { Sequence = 0, Position = sequences[0].Length - 1 };
        }

        return predictions;
    }

    private static Prediction[] Range(int[] sequence, int choice, int from, int end) =>
        [.. Enumerable.Range(Math.Max(from, 1), Math.Max(end - Math.Max(from, 1), 0)).Select(place => new Prediction(choice, place - 1, sequence[place]))];

    /// <summary>Tokens with which all sequences begin, but of none all, so that there is one to score.</summary>
    private static int Common(int[][] sequences)
    {
        int most = sequences.Min(sequence => sequence.Length) - 1, common = 0;
        while (common < most && sequences.All(sequence => sequence[common] == sequences[0][common]))
        {
            common++;
        }

        return common;
    }

    private static int[] Encode(string text, Tokenizer tokenizer)
    {
        int[] tokens = tokenizer.Encode(text, parseSpecial: false);
        return tokenizer.First is int first ? [first, .. tokens] : tokens;
    }

    private static CheckpointException Broken(ChoiceItem item, string problem) => new(item.Place.File, $"{item.Place.Where}: {problem}.");
}
