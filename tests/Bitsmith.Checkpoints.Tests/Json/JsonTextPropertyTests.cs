using System.Text;
using System.Text.Json.Nodes;
using Bitsmith.Checkpoints.Json;
using Bitsmith.Checkpoints.Tests.Support;
using FsCheck;
using FsCheck.Fluent;

namespace Bitsmith.Checkpoints.Tests.Json;

/// <summary>Edits of generated text, against the same edits made by System.Text.Json's own document model.</summary>
public sealed class JsonTextPropertyTests
{
    private static readonly string[] Names = ["a", "b", "rms_norm_eps", "é", "日本", "q\\\"x", "", "\\u0062b", "x y", "\\/"];

    private static readonly string[] Scalars =
    [
        "1", "-0", "-0.0", "1e-05", "1E+5", "500000.0", "123456789012345678901234567890", "\"\"", "\"text\"", "\"\\u00e9\\n\\\"\"", "\"{[:,]}\"", "true",
        "false", "null", "\"日本\"",
    ];

    private static readonly string[] Spaces = ["", "", "", " ", "  ", "\n", "\r\n\t", "\n    "];

    private static readonly string[] Values = ["7", "\"new\"", "{}", "[]", "{\n  \"k\": [\n    1,\n    2\n  ]\n}", "null"];

    private static Gen<string> Space => Gen.Elements(Spaces);

    /// <summary>A text and the path of a property in it, which may be missing.</summary>
    private static Arbitrary<(string Text, string[] Path, string Value)> Edits => (
        from before in Space
        from text in Object(3)
        from after in Space
        from depth in Gen.Choose(1, 3)
        from path in Gen.Elements(Names).ArrayOf(depth)
        from value in Gen.Elements(Values)
        select (before + text + after, Follow(text, path), value)).ToArbitrary();

    [Fact]
    public void With_does_what_an_independent_editor_does() =>
        Law.Holds(
            Edits,
            edit =>
            {
                JsonText text = Parse(edit.Text);
                JsonNode expected = JsonNode.Parse(edit.Text)!;
                if (Parent(expected, edit.Path) is not JsonObject parent)
                {
                    Assert.Throws<CheckpointException>(() => text.With(edit.Path, edit.Value));
                    return;
                }

                parent[edit.Path[^1]] = JsonNode.Parse(edit.Value);
                JsonText edited = text.With(edit.Path, edit.Value);
                Assert.True(JsonNode.DeepEquals(expected, JsonNode.Parse(edited.Utf8)), Encoding.UTF8.GetString(edited.Utf8));
                Assert.Equal(Keys(expected), Keys(JsonNode.Parse(edited.Utf8)!));
                Assert.True(JsonNode.DeepEquals(JsonNode.Parse(edit.Value), JsonNode.Parse(edited.Get(edit.Path)!.Value.GetRawText())));
            },
            runs: 1500);

    [Fact]
    public void With_keeps_every_byte_before_and_behind_one_place() =>
        Law.Holds(
            Edits,
            edit =>
            {
                JsonText text = Parse(edit.Text);
                if (Parent(JsonNode.Parse(edit.Text)!, edit.Path) is not JsonObject)
                {
                    return;
                }

                string? old = text.Get(edit.Path)?.GetRawText();
                string edited = Encoding.UTF8.GetString(text.With(edit.Path, edit.Value).Utf8);
                int front = edit.Text.AsSpan().CommonPrefixLength(edited);
                string tail = edit.Text[^Suffix(edit.Text, edited, front)..];

                // What is lost is at most the old value, or white space before the closing brace.
                string lost = edit.Text[front..^tail.Length];
                Assert.True(old is null ? string.IsNullOrWhiteSpace(lost) : lost.Length <= old.Length, $"lost '{lost}' of '{edit.Text}' in '{edited}'");
            },
            runs: 1500);

    [Fact]
    public void Without_does_what_an_independent_editor_does_and_only_takes_bytes_away() =>
        Law.Holds(
            Edits,
            edit =>
            {
                JsonText text = Parse(edit.Text);
                JsonNode expected = JsonNode.Parse(edit.Text)!;
                bool removed = Parent(expected, edit.Path) is JsonObject parent && parent.Remove(edit.Path[^1]);
                JsonText edited = text.Without(edit.Path);
                string result = Encoding.UTF8.GetString(edited.Utf8);
                Assert.True(JsonNode.DeepEquals(expected, JsonNode.Parse(result)), result);
                Assert.Equal(Keys(expected), Keys(JsonNode.Parse(result)!));
                Assert.Null(edited.Get(edit.Path));

                int front = edit.Text.AsSpan().CommonPrefixLength(result);
                Assert.Equal(result.Length, front + Suffix(edit.Text, result, front));
                Assert.Equal(removed, result.Length < edit.Text.Length);
            },
            runs: 1500);

    [Fact]
    public void Adding_a_property_and_removing_it_again_gives_the_same_document() =>
        Law.Holds(
            Edits,
            edit =>
            {
                JsonText text = Parse(edit.Text);
                JsonText back = text.With(["not there"], edit.Value).Without(["not there"]);
                Assert.True(JsonNode.DeepEquals(JsonNode.Parse(text.Utf8), JsonNode.Parse(back.Utf8)));
            },
            runs: 300);

    private static Gen<string> Value(int depth) => depth == 0
        ? Gen.Elements(Scalars)
        : Gen.Frequency(
            (3, Gen.Elements(Scalars)),
            (2, Gen.Fresh(() => Object(depth - 1)).SelectMany(inner => inner)),
            (1, from items in Gen.Choose(0, 3).SelectMany(count => Value(depth - 1).ArrayOf(count))
                from space in Space
                select $"[{space}{string.Join("," + space, items)}{space}]"));

    private static Gen<string> Object(int depth) =>
        from count in Gen.Choose(0, 4)
        from names in Gen.Elements(Names).ArrayOf(count)
        from values in Value(depth).ArrayOf(count)
        from spaces in Space.ArrayOf((4 * count) + 1)
        select "{" + string.Join(",", names.Distinct().Select((name, i) =>
            $"{spaces[4 * i]}\"{name}\"{spaces[(4 * i) + 1]}:{spaces[(4 * i) + 2]}{values[i]}{spaces[(4 * i) + 3]}")) + spaces[^1] + "}";

    /// <summary>Turns escaped names into what they mean, and about half of the names into ones that exist.</summary>
    private static string[] Follow(string text, string[] path)
    {
        JsonNode? node = JsonNode.Parse(text);
        string[] followed = [.. path];
        for (int i = 0; i < path.Length; i++)
        {
            string[] present = node is JsonObject inner ? [.. inner.Select(property => property.Key)] : [];
            followed[i] = present.Length > 0 && path[i].Length != 1
                ? present[path[i].Length % present.Length]
                : JsonNode.Parse($"\"{path[i]}\"")!.GetValue<string>();
            node = node is JsonObject holder && holder.TryGetPropertyValue(followed[i], out JsonNode? next) ? next : null;
        }

        return followed;
    }

    private static JsonNode? Parent(JsonNode root, string[] path)
    {
        JsonNode? node = root;
        foreach (string name in path[..^1])
        {
            node = node is JsonObject inner && inner.TryGetPropertyValue(name, out JsonNode? next) ? next : null;
        }

        return node;
    }

    private static IEnumerable<string> Keys(JsonNode node) => node is JsonObject inner
        ? inner.SelectMany(property => (IEnumerable<string>)[property.Key, .. property.Value is null ? [] : Keys(property.Value)])
        : [];

    private static int Suffix(string left, string right, int taken)
    {
        int count = 0, most = Math.Min(left.Length, right.Length) - taken;
        while (count < most && left[^(count + 1)] == right[^(count + 1)])
        {
            count++;
        }

        return count;
    }

    private static JsonText Parse(string text) => JsonText.Parse(Encoding.UTF8.GetBytes(text), "here.json");
}
