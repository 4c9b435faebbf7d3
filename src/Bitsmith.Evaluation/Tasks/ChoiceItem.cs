namespace Bitsmith.Evaluation.Tasks;

/// <summary>One item of a task: texts that differ in one place, of which a model must find a right one likelier than the others.</summary>
/// <param name="Place">File and line or row, for messages and reports.</param>
/// <param name="Before">What stands before the choice, with the space that parts them.</param>
/// <param name="Choices">The choices.</param>
/// <param name="After">Of WinoGrande what stands behind the choice; otherwise null, and the text ends with the choice.</param>
/// <param name="Right">For each choice whether it is right.</param>
public sealed record ChoiceItem(ItemPlace Place, string Before, IReadOnlyList<string> Choices, string? After, IReadOnlyList<bool> Right)
{
    /// <summary>Most choices of an item, as llama-perplexity has it.</summary>
    public const int MostChoices = 100;

    /// <summary>The text up to and with a choice.</summary>
    public string Start(int choice) => Before + Choices[choice];

    /// <summary>The text with a choice, as the model reads it.</summary>
    public string Text(int choice) => Start(choice) + After;
}

/// <summary>Where an item stands.</summary>
/// <param name="File">The file.</param>
/// <param name="Where">The line, row or number in it.</param>
public sealed record ItemPlace(string File, string Where);

/// <summary>The items of a file.</summary>
/// <param name="Items">In the order of the file.</param>
/// <param name="Format">What kind of file it is, for reports.</param>
/// <param name="Draw">How llama-perplexity draws from such a file.</param>
/// <param name="Notes">What a reader of the result must know.</param>
public sealed record ItemFile(IReadOnlyList<ChoiceItem> Items, string Format, ItemDraw Draw, IReadOnlyList<string> Notes);

/// <summary>An item has more tokens than the context.</summary>
/// <param name="place">The item.</param>
/// <param name="tokens">Tokens with its longest choice.</param>
/// <param name="context">Tokens that fit.</param>
public sealed class ItemTooLongException(ItemPlace place, int tokens, int context)
    : Exception($"{place.File}: {place.Where}: has {tokens} tokens with its longest choice, and the context {context}. Take a larger context (--ctx-size), up to the model's, or leave the item out.")
{
    /// <summary>The item.</summary>
    public ItemPlace Place { get; } = place;
}
