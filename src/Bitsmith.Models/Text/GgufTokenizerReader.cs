using Bitsmith.Checkpoints;
using Bitsmith.Checkpoints.Gguf;

namespace Bitsmith.Models.Text;

/// <summary>
/// Reads a tokenizer out of GGUF metadata. What they do not say holds as llama.cpp has it for GLM: pieces are always merged, and added tokens take no white space with them.
/// </summary>
internal static class GgufTokenizerReader
{
    // Both names stand for the split of GLM-4.
    private static readonly string[] Splits = ["glm4", "chatglm-bpe"];

    public static TokenizerDefinition Read(GgufMetadata metadata, string path)
    {
        string model = metadata.Text(GgufTokenizer.Prefix + "model"), split = metadata.Text(GgufTokenizer.Prefix + "pre");
        if (model != "gpt2" || !Splits.Contains(split))
        {
            throw new CheckpointException(
                path, $"{GgufTokenizer.Prefix}model is '{model}' and {GgufTokenizer.Prefix}pre '{split}', expected gpt2 and {string.Join(" or ", Splits)}: this tokenizer stands for GLM-4's alone, and another would cut the text elsewhere.");
        }

        IReadOnlyList<string> tokens = metadata.Items<string>(GgufTokenizer.TokensKey);
        IReadOnlyList<int> types = metadata.Items<int>(GgufTokenizer.Prefix + "token_type", tokens.Count);
        Dictionary<string, int> vocabulary = new(StringComparer.Ordinal);
        List<TokenizerAddedToken> added = [];
        Dictionary<string, int> all = new(tokens.Count, StringComparer.Ordinal);
        for (int id = 0; id < tokens.Count; id++)
        {
            if (tokens[id].Length == 0 || !all.TryAdd(tokens[id], id))
            {
                throw Broken($"{GgufTokenizer.TokensKey}[{id}] is '{tokens[id]}', expected a text that no other token has");
            }

            switch (types[id])
            {
                case GgufTokenizer.Normal:
                    vocabulary.Add(tokens[id], id);
                    break;
                case GgufTokenizer.Control or GgufTokenizer.Unknown:
                    added.Add(new TokenizerAddedToken(id, tokens[id], Special: true, StripLeft: false, StripRight: false, Normalized: false));
                    break;
                case GgufTokenizer.UserDefined:
                    added.Add(new TokenizerAddedToken(id, tokens[id], Special: false, StripLeft: false, StripRight: false, Normalized: true));
                    break;
                case GgufTokenizer.Unused:
                    break;
                default:
                    throw Broken($"{GgufTokenizer.Prefix}token_type[{id}] is {types[id]} for '{tokens[id]}', which byte-level BPE does not have");
            }
        }

        if (TokenizerAlphabet.FirstMissing(vocabulary) is byte value)
        {
            throw Broken($"{GgufTokenizer.TokensKey} lacks '{TokenizerAlphabet.CharOf(value)}', the token of byte 0x{value:X2}. A byte-level table has all 256; this one could not spell every text");
        }

        return new TokenizerDefinition(vocabulary, Merges(), added, IgnoreMerges: false, First());

        int? First()
        {
            if (metadata.Find(GgufTokenizer.Prefix + "add_bos_token")?.Content is not true)
            {
                return null;
            }

            long id = metadata.Integer(GgufTokenizer.Prefix + "bos_token_id");
            return id >= 0 && id < tokens.Count ? (int)id : throw Broken($"{GgufTokenizer.Prefix}bos_token_id is {id}, and there are {tokens.Count} tokens");
        }

        List<(int, int, int)> Merges()
        {
            IReadOnlyList<string> lines = metadata.Items<string>(GgufTokenizer.Prefix + "merges");
            List<(int, int, int)> merges = new(lines.Count);
            foreach (string line in lines)
            {
                merges.Add(line.Split(' ') is [string left, string right]
                    && all.TryGetValue(left, out int leftId) && all.TryGetValue(right, out int rightId) && all.TryGetValue(left + right, out int merged)
                    ? (leftId, rightId, merged)
                    : throw Broken($"{GgufTokenizer.Prefix}merges[{merges.Count}] is '{line}', expected two tokens with a space between them that make a third. Merges and tokens belong to different tokenizers"));
            }

            return merges;
        }

        CheckpointException Broken(string problem) => new(path, $"{problem}.");
    }
}
