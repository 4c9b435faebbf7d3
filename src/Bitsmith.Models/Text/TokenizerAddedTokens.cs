using System.Buffers;
using System.Text;

namespace Bitsmith.Models.Text;

/// <summary>A token that is cut out of the text before it is split.</summary>
/// <param name="Id">Its id.</param>
/// <param name="Content">Its text.</param>
/// <param name="Special">Whether decoding can skip it and encoding can take it as plain text.</param>
/// <param name="StripLeft">Whether white space before it belongs to it.</param>
/// <param name="StripRight">Whether white space after it belongs to it.</param>
/// <param name="Normalized">Whether it is looked for only after the others have been cut out.</param>
internal sealed record TokenizerAddedToken(int Id, string Content, bool Special, bool StripLeft, bool StripRight, bool Normalized);

/// <summary>Finds added tokens in text: the leftmost, and of those that begin at one place the longest.</summary>
internal sealed class TokenizerAddedTokens
{
    private readonly TokenizerAddedToken[] tokens;
    private readonly TokenizerByteTable places;
    private readonly SearchValues<byte> firstBytes;

    // By first byte: how long the tokens are that begin with it, longest first.
    private readonly int[]?[] lengths = new int[]?[256];

    public TokenizerAddedTokens(IEnumerable<TokenizerAddedToken> added)
    {
        tokens = [.. added];
        List<KeyValuePair<byte[], int>> entries = [];
        for (int i = 0; i < tokens.Length; i++)
        {
            entries.Add(new(Encoding.UTF8.GetBytes(tokens[i].Content), i));
        }

        places = new TokenizerByteTable(entries);
        foreach (IGrouping<byte, byte[]> group in entries.Select(entry => entry.Key).GroupBy(key => key[0]))
        {
            lengths[group.Key] = [.. group.Select(key => key.Length).Distinct().OrderDescending()];
        }

        firstBytes = SearchValues.Create([.. entries.Select(entry => entry.Key[0]).Distinct()]);
    }

    /// <summary>The next token in the text, or null.</summary>
    /// <param name="text">UTF-8.</param>
    /// <param name="from">Where to begin.</param>
    /// <param name="start">Where the token begins.</param>
    /// <param name="end">Where it ends.</param>
    public TokenizerAddedToken? Find(ReadOnlySpan<byte> text, int from, out int start, out int end)
    {
        for (start = from; start < text.Length; start++)
        {
            int skip = text[start..].IndexOfAny(firstBytes);
            if (skip < 0)
            {
                break;
            }

            start += skip;
            foreach (int length in lengths[text[start]]!)
            {
                int place = length <= text.Length - start ? places.Find(text.Slice(start, length)) : -1;
                if (place >= 0)
                {
                    end = start + length;
                    return tokens[place];
                }
            }
        }

        start = end = text.Length;
        return null;
    }
}
