using System.Buffers;
using System.Text;

namespace Bitsmith.Models.Text;

/// <summary>
/// Decodes ids as they come. Bytes that may yet become a character are held back, so that text once given is never taken back; all that is
/// given, put together, is what <see cref="Tokenizer.Decode"/> gives for all ids. One thread at a time.
/// </summary>
/// <param name="tokenizer">The tokenizer that the ids belong to.</param>
/// <param name="skipSpecial">Whether special tokens give no text.</param>
public sealed class StreamingDecoder(Tokenizer tokenizer, bool skipSpecial = true)
{
    // A character that is held back, at most three bytes of it, adds one U+FFFD to what follows it.
    private const int HeldBack = 4;

    private readonly Tokenizer tokenizer = tokenizer ?? throw new ArgumentNullException(nameof(tokenizer));
    private readonly Decoder decoder = Encoding.UTF8.GetDecoder();

    /// <summary>Takes the next id.</summary>
    /// <returns>The text that is now complete; empty while a character is not.</returns>
    public string Append(int id) => Convert(tokenizer.BytesOf(id, skipSpecial), flush: false);

    /// <summary>Ends the text: a character that stayed incomplete becomes U+FFFD. The decoder may then be used for another text.</summary>
    public string Flush() => Convert([], flush: true);

    private string Convert(ReadOnlySpan<byte> bytes, bool flush)
    {
        char[] text = ArrayPool<char>.Shared.Rent(bytes.Length + HeldBack);
        try
        {
            return new string(text, 0, decoder.GetChars(bytes, text, flush));
        }
        finally
        {
            ArrayPool<char>.Shared.Return(text);
        }
    }
}
