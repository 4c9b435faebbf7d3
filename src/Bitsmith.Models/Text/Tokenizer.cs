using System.Buffers;
using System.Text;
using Bitsmith.Checkpoints;
using Bitsmith.Checkpoints.Gguf;

namespace Bitsmith.Models.Text;

/// <summary>
/// GLM-4's tokenizer: byte-level BPE as a Hugging Face tokenizer.json describes it. Gives the ids and the text of the tokenizers library.
/// Never changes after loading; all members may be called from many threads.
/// </summary>
public sealed class Tokenizer
{
    private readonly string?[] tokens;
    private readonly bool[] special;
    private readonly Dictionary<string, int> ids;

    // By id, one after the other: the bytes that the token decodes to; token i is bytes[ends[i]..ends[i + 1]].
    private readonly byte[] bytes;
    private readonly int[] ends;

    private readonly TokenizerAddedTokens[] addedTokens;
    private readonly TokenizerByteTable? wholePieces;
    private readonly TokenizerMerges merges;
    private readonly int[] byteIds = new int[256];

    private Tokenizer(TokenizerDefinition definition)
    {
        First = definition.First;
        ids = new Dictionary<string, int>(definition.Vocabulary, StringComparer.Ordinal);
        foreach (TokenizerAddedToken token in definition.Added)
        {
            ids[token.Content] = token.Id;
        }

        tokens = new string?[ids.Values.Max() + 1];
        foreach ((string token, int id) in ids)
        {
            tokens[id] = token;
        }

        special = new bool[tokens.Length];
        foreach (TokenizerAddedToken token in definition.Added)
        {
            special[token.Id] = token.Special;
        }

        ends = new int[tokens.Length + 1];
        List<KeyValuePair<byte[], int>> pieces = new(definition.Vocabulary.Count);
        ArrayBufferWriter<byte> all = new();
        short[] alphabet = TokenizerAlphabet.Values();
        for (int id = 0; id < tokens.Length; id++)
        {
            if (tokens[id] is { Length: > 0 } token)
            {
                byte[] spelling = TokenizerAlphabet.BytesOf(token, alphabet, out bool spelled);
                all.Write(spelling);

                // A piece is written in the alphabet: a token with any other character never equals one, nor does a token added beside the table.
                if (spelled && definition.Vocabulary.ContainsKey(token))
                {
                    pieces.Add(new(spelling, id));
                    if (spelling.Length == 1)
                    {
                        byteIds[spelling[0]] = id;
                    }
                }
            }

            ends[id + 1] = all.WrittenCount;
        }

        bytes = all.WrittenSpan.ToArray();
        wholePieces = definition.IgnoreMerges ? new TokenizerByteTable(pieces) : null;
        merges = new TokenizerMerges(definition.Merges);

        // Those that would have to match normalized text come second, as in the library, though nothing here normalizes.
        addedTokens = [.. definition.Added.GroupBy(token => token.Normalized).OrderBy(group => group.Key).Select(group => new TokenizerAddedTokens(group))];
    }

    /// <summary>One more than the largest id.</summary>
    public int VocabularySize => tokens.Length;

    /// <summary>
    /// The token that texts begin with when they are measured as llama.cpp does: that of a GGUF file whose <c>add_bos_token</c> is set, otherwise null. Neither llama.cpp's conversion nor this one sets it for GLM.
    /// </summary>
    public int? First { get; }

    /// <summary>Reads a tokenizer.json.</summary>
    /// <param name="path">The file.</param>
    /// <exception cref="CheckpointException">The file is missing, damaged, or describes another tokenizer than GLM-4's.</exception>
    public static Tokenizer Load(string path)
    {
        ArgumentNullException.ThrowIfNull(path);
        return new Tokenizer(TokenizerReader.Read(path));
    }

    /// <summary>Reads the tokenizer of a GGUF file.</summary>
    /// <param name="metadata">The file's key/value pairs.</param>
    /// <param name="path">The file, for messages.</param>
    /// <exception cref="CheckpointException">The keys are missing, damaged, or describe another tokenizer than GLM-4's.</exception>
    public static Tokenizer Load(GgufMetadata metadata, string path)
    {
        ArgumentNullException.ThrowIfNull(metadata);
        return new Tokenizer(GgufTokenizerReader.Read(metadata, path));
    }

    /// <summary>The ids of a text, without any before or after it.</summary>
    /// <param name="text">The text; half of a surrogate pair counts as U+FFFD.</param>
    /// <param name="parseSpecial">
    /// Whether the names of special tokens in the text stand for these tokens; otherwise they are text like any other. False is for text
    /// that may not command the model.
    /// </param>
    public int[] Encode(string text, bool parseSpecial = true)
    {
        ArgumentNullException.ThrowIfNull(text);
        TokenizerIds found = new(text.Length / 3);
        try
        {
            Encode(text, parseSpecial, ref found);
            return found.Items.ToArray();
        }
        finally
        {
            found.Return();
        }
    }

    /// <summary>Appends the ids of a text to a list.</summary>
    /// <param name="text">The text; half of a surrogate pair counts as U+FFFD.</param>
    /// <param name="destination">The list.</param>
    /// <param name="parseSpecial">Whether the names of special tokens in the text stand for these tokens.</param>
    public void Encode(ReadOnlySpan<char> text, List<int> destination, bool parseSpecial = true)
    {
        ArgumentNullException.ThrowIfNull(destination);
        TokenizerIds found = new(text.Length / 3);
        try
        {
            Encode(text, parseSpecial, ref found);
            destination.AddRange(found.Items);
        }
        finally
        {
            found.Return();
        }
    }

    /// <summary>The text of ids. Bytes that are not UTF-8 become U+FFFD, one for each longest part that could begin a character.</summary>
    /// <param name="ids">Ids; one that has no token (models have rows for more ids than there are tokens) gives no text.</param>
    /// <param name="skipSpecial">Whether special tokens give no text.</param>
    public string Decode(ReadOnlySpan<int> ids, bool skipSpecial)
    {
        int length = 0;
        foreach (int id in ids)
        {
            length = checked(length + BytesOf(id, skipSpecial).Length);
        }

        byte[] text = ArrayPool<byte>.Shared.Rent(length);
        try
        {
            int at = 0;
            foreach (int id in ids)
            {
                ReadOnlySpan<byte> token = BytesOf(id, skipSpecial);
                token.CopyTo(text.AsSpan(at));
                at += token.Length;
            }

            return Encoding.UTF8.GetString(text, 0, length);
        }
        finally
        {
            ArrayPool<byte>.Shared.Return(text);
        }
    }

    /// <summary>The id of a token; null where there is none of this name.</summary>
    /// <param name="token">An added token's text, or a token as the table spells it (Ġ for a space).</param>
    public int? IdOf(string token) => ids.TryGetValue(token, out int id) ? id : null;

    /// <summary>The token of an id as the table spells it.</summary>
    /// <exception cref="ArgumentOutOfRangeException">No token has this id; <see cref="HasToken"/> tells.</exception>
    public string TokenOf(int id) => HasToken(id) ? tokens[id]! : throw new ArgumentOutOfRangeException(nameof(id), id, "No token has this id.");

    /// <summary>Whether an id has a token.</summary>
    public bool HasToken(int id) => (uint)id < (uint)tokens.Length && tokens[id] is not null;

    /// <summary>Whether an id is that of a special token, such as &lt;|user|&gt;.</summary>
    public bool IsSpecial(int id) => (uint)id < (uint)special.Length && special[id];

    /// <summary>The bytes an id adds to decoded text.</summary>
    internal ReadOnlySpan<byte> BytesOf(int id, bool skipSpecial) =>
        (uint)id >= (uint)tokens.Length || (skipSpecial && special[id]) ? default : bytes.AsSpan(ends[id]..ends[id + 1]);

    private void Encode(ReadOnlySpan<char> text, bool parseSpecial, ref TokenizerIds found)
    {
        byte[] utf8 = ArrayPool<byte>.Shared.Rent(Encoding.UTF8.GetByteCount(text));
        try
        {
            int length = Encoding.UTF8.GetBytes(text, utf8);
            EncodeAround(0, utf8.AsSpan(0, length), parseSpecial, ref found);
        }
        finally
        {
            ArrayPool<byte>.Shared.Return(utf8);
        }
    }

    // Cuts out the added tokens of one group and goes on with the text between them. All of it follows the library's steps, even where
    // white space that a token takes reaches into the next token.
    private void EncodeAround(int group, ReadOnlySpan<byte> text, bool parseSpecial, ref TokenizerIds found)
    {
        if (group == addedTokens.Length)
        {
            EncodePieces(text, ref found);
            return;
        }

        int done = 0;
        int from = 0;
        while (addedTokens[group].Find(text, from, out int start, out int end) is { } token)
        {
            from = end;
            if (!parseSpecial && token.Special)
            {
                continue;
            }

            if (token.StripLeft)
            {
                start = Math.Max(done, TokenizerSplit.WhiteBefore(text, start));
            }

            if (token.StripRight)
            {
                end = TokenizerSplit.WhiteAfter(text, end);
            }

            if (done < start)
            {
                EncodeAround(group + 1, text[done..start], parseSpecial, ref found);
            }

            found.Append(token.Id);
            done = end;
        }

        if (done < text.Length)
        {
            EncodeAround(group + 1, text[done..], parseSpecial, ref found);
        }
    }

    private void EncodePieces(ReadOnlySpan<byte> text, ref TokenizerIds found)
    {
        for (int start = 0; start < text.Length;)
        {
            int end = TokenizerSplit.End(text, start);
            ReadOnlySpan<byte> piece = text[start..end];
            int id = wholePieces is null ? -1 : wholePieces.Find(piece);
            if (id >= 0)
            {
                found.Append(id);
            }
            else
            {
                TokenizerMerging.Append(piece, byteIds, merges, ref found);
            }

            start = end;
        }
    }
}
