using System.Text;
using Bitsmith.Checkpoints.Json;
using Bitsmith.Checkpoints.Tests.Support;

namespace Bitsmith.Checkpoints.Tests.Json;

public sealed class JsonTextReadTests
{
    private const int Runs = 20_000;

    [Fact]
    public void A_byte_order_mark_is_dropped() =>
        Assert.Equal("{\"a\":1}", Encoding.UTF8.GetString(JsonText.Parse([0xEF, 0xBB, 0xBF, .. "{\"a\":1}"u8], "here.json").Utf8));

    [Theory]
    [InlineData("[]", "Array")]
    [InlineData("1", "Number")]
    [InlineData("null", "Null")]
    public void Json_that_is_no_object_is_refused(string text, string kind) => Refused(Encoding.UTF8.GetBytes(text), kind);

    [Theory]
    [InlineData("")]
    [InlineData("{")]
    [InlineData("{\"a\":1,}")]
    [InlineData("{\"a\":1}{}")]
    [InlineData("{\"a\":01}")]
    [InlineData("{\"a\":NaN}")]
    [InlineData("{/**/}")]
    public void Text_that_is_no_json_is_refused(string text) => Refused(Encoding.UTF8.GetBytes(text), "JSON");

    [Theory]
    [InlineData("{\"a\":1,\"a\":2}")]
    [InlineData("{\"a\":1,\"\\u0061\":2}")]
    [InlineData("{\"x\":{\"a\":1,\"a\":1}}")]
    [InlineData("{\"x\":[{\"a\":1,\"a\":1}]}")]
    public void A_key_that_stands_twice_is_refused(string text) => Refused(Encoding.UTF8.GetBytes(text), "a");

    [Fact]
    public void Nesting_deeper_than_64_is_refused()
    {
        static byte[] Nested(int depth) => Encoding.UTF8.GetBytes("{\"a\":" + new string('[', depth - 1) + new string(']', depth - 1) + "}");
        Assert.NotNull(JsonText.Parse(Nested(64), "here.json").Get("a"));
        Refused(Nested(65), "depth");
        Refused(Nested(100_000), "depth");
    }

    [Theory]
    [InlineData(new byte[] { 0xFF })]
    [InlineData(new byte[] { 0xC3, 0x28 })]
    [InlineData(new byte[] { 0xED, 0xA0, 0x80 })]
    [InlineData(new byte[] { 0xF4, 0x90, 0x80, 0x80 })]
    public void Bytes_that_are_no_utf8_are_refused_in_names_and_in_values(byte[] broken)
    {
        Refused([.. "{\"a\":\""u8, .. broken, .. "\"}"u8]);
        Refused([.. "{\"a"u8, .. broken, .. "\":1}"u8]);
    }

    [Theory]
    [InlineData("{\"a\":\"\\ud800\"}")]
    [InlineData("{\"a\":[1,{\"b\":\"x\\udc00y\"}]}")]
    [InlineData("{\"\\ud800\":1}")]
    public void Half_a_surrogate_pair_is_refused_in_names_and_in_values(string text) => Refused(Encoding.UTF8.GetBytes(text));

    [Fact]
    public void Whole_surrogate_pairs_are_read() =>
        Assert.Equal("😀", JsonText.Parse([.. "{\"a\":\"\\ud83d\\ude00\"}"u8], "here.json").Get("a")!.Value.GetString());

    [Fact]
    public void A_missing_file_and_a_folder_in_its_place_are_refused_by_name()
    {
        using TemporaryFolder folder = new();
        foreach (string path in new[] { folder.File("config.json"), folder.File("no/such/config.json"), folder.Path })
        {
            CheckpointException refusal = Assert.Throws<CheckpointException>(() => JsonText.Load(path));
            Assert.StartsWith(path + ": ", refusal.Message, StringComparison.Ordinal);
        }
    }

    [Fact]
    public void Get_follows_a_path_of_names_or_finds_nothing()
    {
        JsonText text = JsonText.Parse([.. "{\"a\":{\"b\":[1]},\"c\":null}"u8], "here.json");
        Assert.Equal("[1]", text.Get("a", "b")!.Value.GetRawText());
        Assert.Equal(System.Text.Json.JsonValueKind.Null, text.Get("c")!.Value.ValueKind);
        Assert.Equal(System.Text.Json.JsonValueKind.Object, text.Get()!.Value.ValueKind);
        Assert.Null(text.Get("b"));
        Assert.Null(text.Get("A"));
        Assert.Null(text.Get("a", "b", "0"));
        Assert.Null(text.Get("c", "d"));
    }

    [Fact]
    public void Damaged_text_is_read_whole_or_refused()
    {
        int seed = Random.Shared.Next();
        Random random = new(seed);
        byte[] valid = Encoding.UTF8.GetBytes("{\n  \"model_type\": \"glm4\",\n  \"eps\": 1e-05, \"é\\u0041\": [1, {\"x\": null}], \"t\": true,\n  \"n\": {\"a\": {\"b\": \"\\ud83d\\ude00\"}}\n}\n");
        int read = 0;
        for (int run = 0; run < Runs; run++)
        {
            byte[] damaged = Mutation.Damage(valid, valid.Length, random);
            try
            {
                JsonText text = JsonText.Parse(damaged, "here.json");
                ReadAll(text.Root);
                JsonText edited = text.With(["n"], "1").With(["new"], "{\n}").Without(["model_type"]);
                Assert.Null(edited.Get("model_type"));
                Assert.NotNull(edited.Get("new"));
                read++;
            }
            catch (CheckpointException refusal)
            {
                Assert.StartsWith("here.json: ", refusal.Message, StringComparison.Ordinal);
            }
            catch (Exception other) when (other is not Xunit.Sdk.IAssertionException)
            {
                Assert.Fail($"seed {seed}, run {run}: {Convert.ToHexString(damaged)}: {other}");
            }
        }

        Assert.InRange(read, 1, Runs - 1);
    }

    private static void ReadAll(System.Text.Json.JsonElement element)
    {
        if (element.ValueKind == System.Text.Json.JsonValueKind.Object)
        {
            foreach (System.Text.Json.JsonProperty property in element.EnumerateObject())
            {
                Assert.NotNull(property.Name);
                ReadAll(property.Value);
            }
        }
        else if (element.ValueKind == System.Text.Json.JsonValueKind.Array)
        {
            Assert.All(element.EnumerateArray(), ReadAll);
        }
        else if (element.ValueKind == System.Text.Json.JsonValueKind.String)
        {
            Assert.NotNull(element.GetString());
        }
    }

    private static void Refused(byte[] text, string place = "")
    {
        CheckpointException refusal = Assert.Throws<CheckpointException>(() => JsonText.Parse(text, "here.json"));
        Assert.StartsWith("here.json: ", refusal.Message, StringComparison.Ordinal);
        Assert.Contains(place, refusal.Message, StringComparison.Ordinal);
    }
}
