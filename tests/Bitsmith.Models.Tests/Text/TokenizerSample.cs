using System.Text;
using System.Text.Json.Nodes;
using Bitsmith.Checkpoints;
using Bitsmith.Models.Text;

namespace Bitsmith.Models.Tests.Text;

/// <summary>The sample tokenizer of 4096 tokens, as it is and with changes.</summary>
internal static class TokenizerSample
{
    public static string File { get; } = Path.Combine(AppContext.BaseDirectory, "goldens", "text", "tokenizer.json");

    /// <summary>One instance for all tests, which thereby also use it from many threads.</summary>
    public static Tokenizer Shared { get; } = Tokenizer.Load(File);

    public static JsonNode Goldens { get; } =
        JsonNode.Parse(System.IO.File.ReadAllText(Path.Combine(AppContext.BaseDirectory, "goldens", "text", "tokenizer_goldens.json")))!;

    public static Tokenizer With(Action<JsonNode> change)
    {
        JsonNode root = JsonNode.Parse(System.IO.File.ReadAllText(File))!;
        change(root);
        return Load(root.ToJsonString());
    }

    public static Tokenizer Load(string json) => Load(Encoding.UTF8.GetBytes(json));

    public static Tokenizer Load(byte[] json)
    {
        string path = Path.GetTempFileName();
        try
        {
            System.IO.File.WriteAllBytes(path, json);
            return Tokenizer.Load(path);
        }
        finally
        {
            System.IO.File.Delete(path);
        }
    }

    /// <summary>What is wrong with the sample after a change; the message names the file.</summary>
    public static string Problem(Action<JsonNode> change)
    {
        CheckpointException problem = Assert.Throws<CheckpointException>(() => With(change));
        Assert.StartsWith(problem.Path, problem.Message, StringComparison.Ordinal);
        return problem.Message;
    }

    public static int[] Ids(JsonNode? list) => [.. list!.AsArray().Select(id => (int)id!)];

    /// <summary>A list of 256 single-byte tokens and no merges, of a few kilobytes.</summary>
    public static string Small(bool ignoreMerges)
    {
        JsonObject vocabulary = [];
        for (int value = 0; value < 256; value++)
        {
            vocabulary[TokenizerAlphabet.CharOf((byte)value).ToString()] = value;
        }

        JsonNode root = JsonNode.Parse(System.IO.File.ReadAllText(File))!;
        foreach ((string token, int id) in (ReadOnlySpan<(string, int)>)[("ab", 256), ("bc", 257), ("abc", 258), ("Ġa", 259), ("aa", 260), ("aaaa", 261), ("xyz", 262)])
        {
            vocabulary[token] = id;
        }

        root["model"]!["vocab"] = vocabulary;
        root["model"]!["merges"] = new JsonArray("b c", "a b", "a bc", "Ġ a", "a a", "aa aa");
        root["model"]!["ignore_merges"] = ignoreMerges;
        JsonArray added = root["added_tokens"]!.AsArray();
        while (added.Count > 2)
        {
            added.RemoveAt(2);
        }

        (added[0]!["id"], added[1]!["id"]) = (263, 264);
        return root.ToJsonString();
    }
}
