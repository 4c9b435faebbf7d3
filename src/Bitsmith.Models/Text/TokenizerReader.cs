using System.Text.Json;
using Bitsmith.Checkpoints;
using Bitsmith.Checkpoints.Json;

namespace Bitsmith.Models.Text;

/// <summary>What a tokenizer.json says, checked.</summary>
/// <param name="Vocabulary">The model's own tokens, in the byte-level alphabet, with their ids.</param>
/// <param name="Merges">Left id, right id and merged id, lowest rank first.</param>
/// <param name="Added">The tokens that are cut out of the text.</param>
/// <param name="IgnoreMerges">Whether a piece that is a token as a whole stays whole, whatever the merges say.</param>
/// <param name="First">The token that texts begin with, or null.</param>
internal sealed record TokenizerDefinition(
    Dictionary<string, int> Vocabulary, List<(int Left, int Right, int Merged)> Merges, List<TokenizerAddedToken> Added, bool IgnoreMerges, int? First = null);

/// <summary>
/// Reads a tokenizer.json of the tokenizers library: the byte-level BPE of GLM-4. What would encode otherwise than the library does is
/// refused by name, never passed over.
/// </summary>
internal sealed class TokenizerReader
{
    private readonly string path;

    private TokenizerReader(string path) => this.path = path;

    public static TokenizerDefinition Read(string path)
    {
        TokenizerReader reader = new(path);
        JsonElement root = JsonText.Load(path).Root;
        reader.CheckPipeline(root);
        JsonElement model = reader.Member(root, "", "model", JsonValueKind.Object);
        reader.CheckModel(model);
        Dictionary<string, int> vocabulary = reader.ReadVocabulary(reader.Member(model, "model.", "vocab", JsonValueKind.Object));
        List<(int, int, int)> merges = reader.ReadMerges(reader.Member(model, "model.", "merges", JsonValueKind.Array), vocabulary);
        List<TokenizerAddedToken> added = Present(root, "added_tokens", out JsonElement list) ? reader.ReadAdded(list, vocabulary) : [];
        return new TokenizerDefinition(vocabulary, merges, added, reader.Flag(model, "model.", "ignore_merges", false));
    }

    private void CheckPipeline(JsonElement root)
    {
        foreach (string absent in (ReadOnlySpan<string>)["normalizer", "truncation", "padding"])
        {
            if (Present(root, absent, out JsonElement found))
            {
                throw Broken(absent, $"is {Excerpt(found)}, which this tokenizer does not apply; GLM's tokenizers have null. Set it to null if the model was trained without it");
            }
        }

        JsonElement steps = Member(root, "", "pre_tokenizer", JsonValueKind.Object);
        ExpectText(steps, "pre_tokenizer.", "type", "Sequence");
        steps = Member(steps, "pre_tokenizer.", "pretokenizers", JsonValueKind.Array);
        if (steps.GetArrayLength() != 2 || steps[0].ValueKind != JsonValueKind.Object || steps[1].ValueKind != JsonValueKind.Object)
        {
            throw Broken("pre_tokenizer.pretokenizers", $"is {Excerpt(steps)}, expected the two steps of GLM-4: Split and ByteLevel");
        }

        const string First = "pre_tokenizer.pretokenizers[0].";
        ExpectText(steps[0], First, "type", "Split");
        ExpectText(steps[0], First, "behavior", "Isolated");
        ExpectFlag(steps[0], First, "invert", false, absent: false);
        ExpectText(Member(steps[0], First, "pattern", JsonValueKind.Object), First + "pattern.", "Regex", TokenizerSplit.Pattern);

        const string Second = "pre_tokenizer.pretokenizers[1].";
        ExpectText(steps[1], Second, "type", "ByteLevel");
        ExpectFlag(steps[1], Second, "add_prefix_space", false, absent: true);
        ExpectFlag(steps[1], Second, "use_regex", false, absent: true);

        ExpectText(Member(root, "", "decoder", JsonValueKind.Object), "decoder.", "type", "ByteLevel");
        if (Present(root, "post_processor", out JsonElement post))
        {
            CheckPostProcessor(post, "post_processor");
        }
    }

    // Encode gives the ids of the text alone: of these steps, one moves offsets and the other adds tokens around a text.
    private void CheckPostProcessor(JsonElement step, string place)
    {
        string type = step.ValueKind == JsonValueKind.Object ? Text(step, place + ".", "type") : Excerpt(step);
        if (type == "Sequence")
        {
            int number = 0;
            foreach (JsonElement inner in Member(step, place + ".", "processors", JsonValueKind.Array).EnumerateArray())
            {
                CheckPostProcessor(inner, $"{place}.processors[{number++}]");
            }
        }
        else if (type is not ("ByteLevel" or "TemplateProcessing"))
        {
            throw Broken(place, $"is {Shown(type)}, expected null, ByteLevel, TemplateProcessing or a Sequence of these");
        }
    }

    private void CheckModel(JsonElement model)
    {
        // The first versions of the format have no type.
        if (Present(model, "type", out _))
        {
            ExpectText(model, "model.", "type", "BPE");
        }

        if (Present(model, "dropout", out JsonElement dropout) && !(dropout.ValueKind == JsonValueKind.Number && dropout.TryGetDouble(out double rate) && rate == 0))
        {
            throw Broken("model.dropout", $"is {Excerpt(dropout)}: merges left out at random are for training. Set it to null");
        }

        foreach (string affix in (ReadOnlySpan<string>)["continuing_subword_prefix", "end_of_word_suffix"])
        {
            if (Present(model, affix, out JsonElement found) && !(found.ValueKind == JsonValueKind.String && found.GetString()!.Length == 0))
            {
                throw Broken("model." + affix, $"is {Excerpt(found)}, expected null: byte-level BPE has no such marks");
            }
        }
    }

    private Dictionary<string, int> ReadVocabulary(JsonElement list)
    {
        int count = list.GetPropertyCount();
        Dictionary<string, int> vocabulary = new(count, StringComparer.Ordinal);
        HashSet<int> taken = new(count);
        foreach (JsonProperty token in list.EnumerateObject())
        {
            string place = $"model.vocab[{Shown(token.Name)}]";
            int id = Id(token.Value, place);

            // Tables are kept by id: without this, one large id in a small file would take gigabytes.
            if (id >= (count * 2L) + ushort.MaxValue)
            {
                throw Broken(place, $"is {id}, in a table of {count} tokens. Ids count up from 0; the file is damaged or has been pruned without numbering anew");
            }

            if (!taken.Add(id))
            {
                throw Broken(place, $"is {id}, which another token has already. Every token has its own id; download the file again");
            }

            vocabulary.Add(token.Name, id);
        }

        if (TokenizerAlphabet.FirstMissing(vocabulary) is byte value)
        {
            throw Broken("model.vocab", $"lacks {Shown(TokenizerAlphabet.CharOf(value).ToString())}, the token of byte 0x{value:X2}. A byte-level table has all 256; this one could not spell every text");
        }

        return vocabulary;
    }

    private List<(int Left, int Right, int Merged)> ReadMerges(JsonElement list, Dictionary<string, int> vocabulary)
    {
        List<(int, int, int)> merges = new(list.GetArrayLength());
        int number = -1;
        foreach (JsonElement entry in list.EnumerateArray())
        {
            number++;
            string left, right;
            if (entry.ValueKind == JsonValueKind.String)
            {
                // The head line of a merges.txt, which the library skips too.
                string line = entry.GetString()!;
                if (line.StartsWith("#version", StringComparison.Ordinal))
                {
                    continue;
                }

                int space = line.IndexOf(' ', StringComparison.Ordinal);
                if (space < 0 || line.IndexOf(' ', space + 1) >= 0)
                {
                    throw Broken($"model.merges[{number}]", $"is {Shown(line)}, expected two tokens and one space between them");
                }

                (left, right) = (line[..space], line[(space + 1)..]);
            }
            else if (entry.ValueKind == JsonValueKind.Array && entry.GetArrayLength() == 2
                && entry[0].ValueKind == JsonValueKind.String && entry[1].ValueKind == JsonValueKind.String)
            {
                (left, right) = (entry[0].GetString()!, entry[1].GetString()!);
            }
            else
            {
                throw Broken($"model.merges[{number}]", $"is {Excerpt(entry)}, expected \"a b\" or [\"a\", \"b\"]");
            }

            if (!vocabulary.TryGetValue(left, out int leftId) || !vocabulary.TryGetValue(right, out int rightId))
            {
                throw Broken($"model.merges[{number}]", $"joins {Shown(left)} and {Shown(right)}, not both of which are in model.vocab. Merges and vocabulary belong to different tokenizers");
            }

            string joined = left + right;
            if (!vocabulary.TryGetValue(joined, out int mergedId))
            {
                throw Broken($"model.merges[{number}]", $"makes {Shown(joined)}, which is not in model.vocab. Merges and vocabulary belong to different tokenizers");
            }

            merges.Add((leftId, rightId, mergedId));
        }

        return merges;
    }

    private List<TokenizerAddedToken> ReadAdded(JsonElement list, Dictionary<string, int> vocabulary)
    {
        if (list.ValueKind != JsonValueKind.Array)
        {
            throw Broken("added_tokens", $"is {Excerpt(list)}, expected a list");
        }

        List<TokenizerAddedToken> added = new(list.GetArrayLength());
        HashSet<string> contents = new(StringComparer.Ordinal);
        int next = vocabulary.Count;
        int number = 0;
        foreach (JsonElement entry in list.EnumerateArray())
        {
            string place = $"added_tokens[{number++}]";
            if (entry.ValueKind != JsonValueKind.Object)
            {
                throw Broken(place, $"is {Excerpt(entry)}, expected an object");
            }

            place += ".";
            string content = Text(entry, place, "content");
            int id = Id(Member(entry, place, "id", JsonValueKind.Number), place + "id");
            if (content.Length == 0 || !contents.Add(content))
            {
                throw Broken(place + "content", $"is {Shown(content)}, expected a text that no other added token has");
            }

            // The library numbers added tokens itself, in the order of the list, and does not believe the file.
            bool inModel = vocabulary.TryGetValue(content, out int known);
            int expected = inModel ? known : next;
            if (id != expected)
            {
                throw Broken(place + "id", $"is {id} for {Shown(content)}, but the tokenizers library would number it {expected}. Sort the list by id and leave no gaps");
            }

            next += inModel ? 0 : 1;
            if (Flag(entry, place, "single_word", false))
            {
                throw Broken(place + "single_word", $"is true for {Shown(content)}, which this tokenizer does not support; GLM's tokens have false");
            }

            bool special = Flag(entry, place, "special", false);
            added.Add(new TokenizerAddedToken(
                id, content, special, Flag(entry, place, "lstrip", false), Flag(entry, place, "rstrip", false), Flag(entry, place, "normalized", !special)));
        }

        // A pruned vocabulary, whose ids do not end where its count does, would share ids with the added tokens.
        if (next > vocabulary.Count && vocabulary.Values.Max() is int largest && largest >= vocabulary.Count)
        {
            throw Broken("model.vocab", $"has {vocabulary.Count} tokens and the id {largest}: added tokens would take ids that are in use. Number the tokens without gaps");
        }

        return added;
    }

    private int Id(JsonElement value, string place) =>
        value.ValueKind == JsonValueKind.Number && value.TryGetInt32(out int id) && id >= 0
            ? id
            : throw Broken(place, $"is {Excerpt(value)}, expected an id: a whole number from 0 to 2147483647");

    private JsonElement Member(JsonElement of, string place, string name, JsonValueKind kind)
    {
        if (!Present(of, name, out JsonElement value))
        {
            throw Broken(place + name, $"is missing, expected a JSON {kind}. This tokenizer reads the byte-level BPE of GLM-4");
        }

        return value.ValueKind == kind ? value : throw Broken(place + name, $"is {Excerpt(value)}, expected a JSON {kind}");
    }

    private string Text(JsonElement of, string place, string name) => Member(of, place, name, JsonValueKind.String).GetString()!;

    private bool Flag(JsonElement of, string place, string name, bool absent) =>
        !Present(of, name, out JsonElement value) ? absent
        : value.ValueKind is JsonValueKind.True or JsonValueKind.False ? value.GetBoolean()
        : throw Broken(place + name, $"is {Excerpt(value)}, expected true or false");

    private void ExpectText(JsonElement of, string place, string name, string expected)
    {
        string found = Text(of, place, name);
        if (found != expected)
        {
            throw Broken(place + name, $"is {Shown(found)}, expected {Shown(expected)}: this tokenizer stands for GLM-4's alone, and another would cut the text elsewhere");
        }
    }

    private void ExpectFlag(JsonElement of, string place, string name, bool expected, bool absent)
    {
        if (Flag(of, place, name, absent) != expected)
        {
            throw Broken(place + name, $"is or defaults to {(expected ? "false" : "true")}, expected {(expected ? "true" : "false")} as in GLM-4's tokenizer");
        }
    }

    private static bool Present(JsonElement of, string name, out JsonElement value) =>
        of.TryGetProperty(name, out value) && value.ValueKind != JsonValueKind.Null;

    private static string Excerpt(JsonElement value) => Shorten(value.GetRawText());

    private static string Shown(string text) => Shorten($"\"{text}\"");

    private static string Shorten(string text) => text.Length <= 200 ? text : text[..200] + "…";

    private CheckpointException Broken(string place, string problem) => new(path, $"{place} {problem}.");
}
