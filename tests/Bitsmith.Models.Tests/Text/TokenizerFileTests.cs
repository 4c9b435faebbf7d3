using System.Text;
using System.Text.Json.Nodes;
using Bitsmith.Checkpoints;
using Bitsmith.Models.Text;

namespace Bitsmith.Models.Tests.Text;

/// <summary>Files that are damaged or describe another tokenizer.</summary>
public sealed class TokenizerFileTests
{
    public static TheoryData<string, string, string> Replacements => new()
    {
        { "normalizer", "{\"type\":\"NFC\"}", "normalizer" },
        { "truncation", "{\"max_length\":512}", "truncation" },
        { "padding", "{}", "padding" },
        { "pre_tokenizer", "null", "pre_tokenizer" },
        { "pre_tokenizer", "{\"type\":\"ByteLevel\"}", "pre_tokenizer.type" },
        { "pre_tokenizer.pretokenizers", "[]", "pre_tokenizer.pretokenizers" },
        { "pre_tokenizer.pretokenizers", "[1,2]", "pre_tokenizer.pretokenizers" },
        { "pre_tokenizer.pretokenizers.0.pattern.Regex", "\"\\\\s+\"", "Regex" },
        { "pre_tokenizer.pretokenizers.0.pattern", "{\"String\":\" \"}", "Regex" },
        { "pre_tokenizer.pretokenizers.0.behavior", "\"Removed\"", "behavior" },
        { "pre_tokenizer.pretokenizers.0.invert", "true", "invert" },
        { "pre_tokenizer.pretokenizers.1.add_prefix_space", "true", "add_prefix_space" },
        { "pre_tokenizer.pretokenizers.1.use_regex", "null", "use_regex" },
        { "decoder", "null", "decoder" },
        { "decoder.type", "\"WordPiece\"", "decoder.type" },
        { "post_processor", "{\"type\":\"BertProcessing\"}", "post_processor" },
        { "post_processor", "{\"type\":\"Sequence\",\"processors\":[{\"type\":\"ByteLevel\"},7]}", "post_processor.processors[1]" },
        { "model", "[]", "model" },
        { "model.type", "\"Unigram\"", "model.type" },
        { "model.dropout", "0.1", "model.dropout" },
        { "model.continuing_subword_prefix", "\"##\"", "model.continuing_subword_prefix" },
        { "model.end_of_word_suffix", "\"</w>\"", "model.end_of_word_suffix" },
        { "model.ignore_merges", "\"yes\"", "model.ignore_merges" },
        { "model.vocab", "{}", "byte 0x00" },
        { "model.vocab.a", "null", "model.vocab[\"a\"]" },
        { "model.vocab.a", "-1", "model.vocab[\"a\"]" },
        { "model.vocab.a", "1.5", "model.vocab[\"a\"]" },
        { "model.vocab.a", "4294967296", "model.vocab[\"a\"]" },
        { "model.vocab.a", "2147483647", "model.vocab[\"a\"]" },
        { "model.vocab.a", "65", "another token" },
        { "model.vocab.a", "4065", "ids" },
        { "model.merges", "null", "model.merges" },
        { "model.merges", "[\"ab\"]", "model.merges[0]" },
        { "model.merges", "[\"a b c\"]", "model.merges[0]" },
        { "model.merges", "[[\"a\"]]", "model.merges[0]" },
        { "model.merges", "[[\"a\",1]]", "model.merges[0]" },
        { "model.merges", "[\"#version: 0.2\",\"q Q\"]", "model.merges[1]" },
        { "model.merges", "[\"nothere e\"]", "model.merges[0]" },
        { "added_tokens", "{}", "added_tokens" },
        { "added_tokens.3", "\"<sop>\"", "added_tokens[3]" },
        { "added_tokens.3.content", "\"\"", "added_tokens[3].content" },
        { "added_tokens.3.content", "\"[MASK]\"", "added_tokens[3].content" },
        { "added_tokens.3.content", "\"a\"", "added_tokens[3].id" },
        { "added_tokens.3.id", "5", "added_tokens[3].id" },
        { "added_tokens.3.id", "\"5\"", "added_tokens[3].id" },
        { "added_tokens.3.single_word", "true", "added_tokens[3].single_word" },
        { "added_tokens.3.special", "1", "added_tokens[3].special" },
    };

    [Theory]
    [MemberData(nameof(Replacements))]
    public void A_file_that_this_tokenizer_cannot_stand_for_is_refused_with_its_place(string property, string value, string named) =>
        Assert.Contains(named, TokenizerSample.Problem(root => Replace(root, property, value)), StringComparison.Ordinal);

    [Theory]
    [InlineData("post_processor", "{\"type\":\"Sequence\",\"processors\":[{\"type\":\"ByteLevel\"},{\"type\":\"TemplateProcessing\"}]}")]
    [InlineData("model.dropout", "0.0")]
    [InlineData("model.continuing_subword_prefix", "\"\"")]
    [InlineData("model.unk_token", "\"<|endoftext|>\"")]
    [InlineData("added_tokens.3.normalized", "null")]
    public void What_changes_no_id_is_accepted(string property, string value)
    {
        Tokenizer changed = TokenizerSample.With(root => Replace(root, property, value));
        Assert.Equal(TokenizerSample.Shared.Encode("[gMASK]<sop>Hello, world!"), changed.Encode("[gMASK]<sop>Hello, world!"));
    }

    [Fact]
    public void Both_spellings_of_merges_are_read()
    {
        Tokenizer changed = TokenizerSample.With(root =>
        {
            JsonArray merges = ["#version: 0.2"];
            foreach (JsonNode? merge in root["model"]!["merges"]!.AsArray())
            {
                merges.Add(merge is JsonArray pair ? $"{pair[0]} {pair[1]}" : new JsonArray([.. ((string)merge!).Split(' ').Select(part => (JsonNode)part)]));
            }

            root["model"]!["merges"] = merges;
        });
        foreach (JsonNode? golden in TokenizerSample.Goldens["strings"]!.AsArray())
        {
            Assert.Equal(TokenizerSample.Ids(golden!["ids"]), changed.Encode((string)golden["text"]!));
        }
    }

    [Fact]
    public void A_missing_file_is_refused() =>
        Assert.Throws<CheckpointException>(() => Tokenizer.Load(Path.Combine(AppContext.BaseDirectory, "no", "tokenizer.json")));

    [Theory]
    [InlineData("")]
    [InlineData("[]")]
    [InlineData("{}")]
    [InlineData("{\"model\":{}}")]
    public void A_file_of_something_else_is_refused(string json) => Assert.Throws<CheckpointException>(() => TokenizerSample.Load(json));

    [Fact]
    public void Damage_gives_a_tokenizer_or_a_clear_error()
    {
        byte[] original = Encoding.UTF8.GetBytes(TokenizerSample.Small(ignoreMerges: true));
        int refused = 0;
        for (int seed = 0; seed < 3000; seed++)
        {
            byte[] damaged = Damage(original, new Random(seed));
            try
            {
                Tokenizer tokenizer = TokenizerSample.Load(damaged);
                Assert.Equal("abc <|endoftext|>é", tokenizer.Decode(tokenizer.Encode("abc <|endoftext|>é"), skipSpecial: false));
            }
            catch (CheckpointException)
            {
                refused++;
            }
        }

        Assert.InRange(refused, 1000, 3000);
    }

    private static byte[] Damage(byte[] original, Random random)
    {
        string[] values = ["null", "true", "0", "-3", "1e400", "263", "\"\"", "\"a\"", "[]", "[null]", "{}", "{\"a\":1}", "\"\\udc00\""];
        byte[] damaged = [.. original];
        int place = random.Next(damaged.Length);
        switch (random.Next(3))
        {
            case 0:
                damaged[place] = (byte)random.Next(256);
                return damaged;
            case 1:
                return [.. damaged.AsSpan(0, place), .. damaged.AsSpan(Math.Min(damaged.Length, place + random.Next(1, 12)))];
            default:
                // A whole value becomes another: what parses but is not what was meant.
                string text = Encoding.UTF8.GetString(original);
                int[] colons = [.. Enumerable.Range(0, text.Length).Where(i => text[i] == ':')];
                int start = colons[random.Next(colons.Length)] + 1;
                int end = text.AsSpan(start).IndexOfAny(",}]") + start;
                return Encoding.UTF8.GetBytes(string.Concat(text.AsSpan(0, start), values[random.Next(values.Length)], text.AsSpan(end)));
        }
    }

    private static void Replace(JsonNode root, string property, string value)
    {
        string[] path = property.Split('.');
        JsonNode at = root;
        foreach (string step in path[..^1])
        {
            at = (at is JsonArray list ? list[int.Parse(step)] : at[step])!;
        }

        JsonNode? replacement = JsonNode.Parse(value);
        if (at is JsonArray array)
        {
            array[int.Parse(path[^1])] = replacement;
        }
        else
        {
            at[path[^1]] = replacement;
        }
    }
}
