using System.Text;
using Bitsmith.Checkpoints.Json;

namespace Bitsmith.Checkpoints.Tests.Json;

public sealed class JsonTextEditTests
{
    [Fact]
    public void Replacing_a_value_changes_no_other_byte()
    {
        string text = "{ \"rms_norm_eps\" :1e-05,\r\n\t\"rope_theta\": 500000.0 , \"é\":\"\\u00e9\",\n\"a\":{\"b\" : [1,2 ],\"c\":-0.0}}  \n";
        Assert.Equal(text.Replace("500000.0", "7", StringComparison.Ordinal), With(text, "7", "rope_theta"));
        Assert.Equal(text.Replace("[1,2 ]", "null", StringComparison.Ordinal), With(text, "null", "a", "b"));
        Assert.Equal(text.Replace("{\"b\" : [1,2 ],\"c\":-0.0}", "\"x\"", StringComparison.Ordinal), With(text, "\"x\"", "a"));
        Assert.Equal(text.Replace("\"\\u00e9\"", "{}", StringComparison.Ordinal), With(text, "{}", "é"));
    }

    [Fact]
    public void A_new_property_is_appended_on_a_line_of_its_own()
    {
        Assert.Equal("{\n  \"a\": 1,\n  \"b\": 2\n}", With("{\n  \"a\": 1\n}", "2", "b"));
        Assert.Equal("{\n  \"a\": {\n    \"b\": [],\n    \"c\": 2\n  }\n}\n", With("{\n  \"a\": {\n    \"b\": []\n  }\n}\n", "2", "a", "c"));
    }

    [Theory]
    [InlineData("{}")]
    [InlineData("{ }")]
    [InlineData("{\n\n}")]
    public void An_empty_object_takes_a_first_property_without_a_comma(string text) =>
        Assert.Equal("{\n  \"b\": 2\n}", With(text, "2", "b"));

    [Fact]
    public void An_empty_inner_object_takes_a_first_property() =>
        Assert.Equal("{\"a\":{\n    \"b\": 2\n  },\"z\":1}", With("{\"a\":{},\"z\":1}", "2", "a", "b"));

    [Fact]
    public void A_value_of_several_lines_is_indented_to_its_place()
    {
        Assert.Equal("{\n  \"a\": {\n    \"x\": 1\n  }\n}", With("{}", "{\n  \"x\": 1\n}", "a"));
        Assert.Equal("{\n  \"a\": {\n    \"x\": 1\n  }\n}", With("{\n  \"a\": 0\n}", "{\r\n  \"x\": 1\r\n}", "a"));
    }

    [Theory]
    [InlineData("a", "{\"b\":2,\"c\":3}")]
    [InlineData("b", "{\"a\":1,\"c\":3}")]
    [InlineData("c", "{\"a\":1,\"b\":2}")]
    [InlineData("d", "{\"a\":1,\"b\":2,\"c\":3}")]
    public void The_first_a_middle_and_the_last_property_can_be_removed(string property, string expected) =>
        Assert.Equal(expected, Without("{\"a\":1,\"b\":2,\"c\":3}", property));

    [Theory]
    [InlineData("a", "{\n  \"b\": 2,\n  \"c\": 3\n}\n")]
    [InlineData("b", "{\n  \"a\": 1,\n  \"c\": 3\n}\n")]
    [InlineData("c", "{\n  \"a\": 1,\n  \"b\": 2\n}\n")]
    public void Removing_a_line_leaves_the_others_as_they_were(string property, string expected) =>
        Assert.Equal(expected, Without("{\n  \"a\": 1,\n  \"b\": 2,\n  \"c\": 3\n}\n", property));

    [Theory]
    [InlineData("{\"a\":1}", "{}")]
    [InlineData("{ \"a\" : 1 }", "{ }")]
    [InlineData("{\n  \"a\": {\"b\": 1}\n}", "{\n}")]
    public void Removing_the_only_property_leaves_an_empty_object(string text, string expected) => Assert.Equal(expected, Without(text, "a"));

    [Fact]
    public void A_property_inside_can_be_removed() =>
        Assert.Equal("{\"b\":1,\"a\":{\"c\":2},\"d\":3}", Without("{\"b\":1,\"a\":{\"b\":1,\"c\":2},\"d\":3}", "a", "b"));

    [Fact]
    public void Names_are_compared_by_meaning_not_by_spelling()
    {
        Assert.Equal("{\"\\u0061\":2}", With("{\"\\u0061\":1}", "2", "a"));
        Assert.Equal("{}", Without("{\"\\u0061\":1}", "a"));
        Assert.Equal(1, Parse("{\"\\u0061\":1}").Get("a")!.Value.GetInt32());
    }

    [Fact]
    public void A_new_name_is_escaped_as_json_needs() =>
        Assert.Equal(5, Parse(With("{}", "5", "q\"\\\n😀")).Get("q\"\\\n😀")!.Value.GetInt32());

    [Theory]
    [InlineData("{\"a\":1,\"b\":2}")]
    [InlineData("{\"a\":\"text\",\"b\":2}")]
    [InlineData("{\"a\":null,\"b\":2}")]
    [InlineData("{\"a\":[{\"b\":1}],\"b\":2}")]
    [InlineData("{\"a\":[],\"b\":2}")]
    [InlineData("{\"b\":2}")]
    public void A_path_through_something_that_is_no_object_leads_nowhere(string text)
    {
        Assert.Null(Parse(text).Get("a", "b"));
        Assert.Equal(text, Without(text, "a", "b"));
        CheckpointException refusal = Assert.Throws<CheckpointException>(() => Parse(text).With(["a", "b"], "3"));
        Assert.StartsWith("here.json: ", refusal.Message, StringComparison.Ordinal);
        Assert.Contains("no object 'a' to put 'b' into", refusal.Message, StringComparison.Ordinal);
    }

    [Fact]
    public void A_key_inside_an_earlier_sibling_is_not_mistaken_for_the_one_asked_for() =>
        Assert.Equal("{\"x\":{\"b\":1,\"c\":{\"b\":2}},\"b\":9}", With("{\"x\":{\"b\":1,\"c\":{\"b\":2}},\"b\":3}", "9", "b"));

    [Theory]
    [InlineData("nonsense")]
    [InlineData("")]
    [InlineData("1,2")]
    [InlineData("\"\\ud800\"")]
    public void A_value_that_is_no_json_is_refused(string value) =>
        Assert.Throws<CheckpointException>(() => Parse("{\"a\":1}").With(["a"], value));

    [Fact]
    public void Edits_leave_the_original_alone()
    {
        JsonText original = Parse("{\"a\":1}");
        Assert.Equal(2, original.With(["a"], "2").Get("a")!.Value.GetInt32());
        Assert.Equal("{\"a\":1}", Encoding.UTF8.GetString(original.Utf8));
        Assert.Equal(1, original.Get("a")!.Value.GetInt32());
    }

    private static JsonText Parse(string text) => JsonText.Parse(Encoding.UTF8.GetBytes(text), "here.json");

    private static string With(string text, string value, params string[] properties) =>
        Encoding.UTF8.GetString(Parse(text).With(properties, value).Utf8);

    private static string Without(string text, params string[] properties) =>
        Encoding.UTF8.GetString(Parse(text).Without(properties).Utf8);
}
