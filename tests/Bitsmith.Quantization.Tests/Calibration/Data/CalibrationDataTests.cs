using System.Text.Json;
using Bitsmith.Checkpoints;
using Bitsmith.Checkpoints.Datasets;
using Bitsmith.Models;
using Bitsmith.Quantization.Calibration.Data;
using Bitsmith.Quantization.Jobs;
using Bitsmith.Tensors.Matrices;

namespace Bitsmith.Quantization.Tests.Calibration.Data;

public sealed class CalibrationDataTests : IDisposable
{
    private static readonly string Chats = Path.Combine(AppContext.BaseDirectory, "samples", "text", "chats.jsonl");

    private readonly DirectoryInfo root = Directory.CreateTempSubdirectory("bitsmith-calibration-");
    private readonly GlmModel model = GlmModel.Open(Path.Combine(AppContext.BaseDirectory, "samples", "glm-4.6v-mini"));

    public void Dispose()
    {
        model.Dispose();
        root.Delete(recursive: true);
    }

    /// <remarks>Printed by numpy 2.4.6: <c>default_rng(seed).permutation(n)</c>.</remarks>
    [Theory]
    [InlineData(10, 42, "5 6 0 7 3 2 4 9 1 8")]
    [InlineData(7, 0, "2 4 3 6 5 0 1")]
    [InlineData(1, 3, "0")]
    [InlineData(2, 4294967295, "0 1")]
    [InlineData(1000, 1, "705 649 543 927 577 471 608 252 918 745 624 463")]
    public void Rows_are_shuffled_as_NumPy_does(int count, uint seed, string first)
    {
        int[] order = NumPyPermutation.Of(count, seed);
        Assert.Equal(first, string.Join(' ', order.Take(12)));
        Assert.Equal(Enumerable.Range(0, count), order.Order());
    }

    [Fact]
    public void A_conversation_is_rendered_by_the_models_template_and_cut()
    {
        string[] chats = [.. File.ReadLines(Chats).Select(line => JsonElement.Parse(line).GetProperty("messages").GetRawText())];
        int[] order = NumPyPermutation.Of(chats.Length, 7);
        CalibrationData data = Load(new() { Sources = [new(Chats)], Samples = 20, MaxLength = 40, Seed = 7 });
        Assert.Equal(order.Take(20).Select(row => model.Tokenizer.Encode(Render(chats[row])).Take(40)), data.Samples.Select(sample => sample.Tokens));
        Assert.Equal($"{Chats}, line {order[0] + 1}", data.Samples[0].Place);
        Assert.True(model.Tokenizer.IsSpecial(data.Samples[0].Tokens[0]));
    }

    [Fact]
    public void Every_form_of_a_row_gives_the_same_tokens()
    {
        string openAi = """[{"role":"user","content":"Hi"},{"role":"assistant","content":"Hello"}]""", shareGpt = """[{"from":"human","value":"Hi"},{"from":"gpt","value":"Hello"}]""";
        string rendered = Render(openAi);
        int[] ids = model.Tokenizer.Encode(rendered);
        string[] rows =
        [
            $$"""{"id":1,"messages":{{openAi}},"tools":null}""",
            $$"""{"messages":null,"conversations":{{shareGpt}},"tools":""}""",
            $$"""{"input_ids":[{{string.Join(',', ids)}}]}""",
            $$"""{"text":{{JsonSerializer.Serialize(rendered)}}}""",
        ];
        CalibrationData data = Load(new() { Sources = [new(Write("rows.jsonl", string.Join('\n', rows)))], Samples = 4, Seed = null });
        Assert.All(data.Samples, sample => Assert.Equal(ids, sample.Tokens));
    }

    [Fact]
    public void Schemas_of_tools_reach_the_template_as_values_and_as_text()
    {
        string chat = """[{"role":"user","content":"Hi"}]""", tools = """[{"type":"function","function":{"name":"weather","description":"d","parameters":{"type":"object","properties":{}}}}]""";
        CalibrationData data = Load(new()
        {
            Sources = [new(Write("rows.jsonl", $$"""{"messages":{{chat}},"tools":{{tools}}}""" + "\n" + $$"""{"messages":{{chat}},"tools":{{JsonSerializer.Serialize(tools)}}}"""))],
            Samples = 2,
            Seed = null,
        });
        Assert.Equal(data.Samples[0].Tokens, data.Samples[1].Tokens);
        Assert.Equal(model.Tokenizer.Encode(Render(chat, tools)), data.Samples[0].Tokens);
    }

    [Fact]
    public void A_text_is_cut_into_chunks_and_a_folder_of_texts_is_one_of_documents()
    {
        string text = string.Concat(Enumerable.Repeat("The cat looked under the map. ", 40));
        int[] all = model.Tokenizer.Encode(text);
        string file = Write("t.txt", text), folder = Path.Combine(root.FullName, "documents");
        CalibrationData chunks = Load(new() { Sources = [new(file)], Samples = (all.Length + 49) / 50, MaxLength = 50, Seed = null });
        Assert.Equal(all, chunks.Samples.SelectMany(sample => sample.Tokens));
        Assert.All(chunks.Samples.SkipLast(1), sample => Assert.Equal(50, sample.Tokens.Length));

        Directory.CreateDirectory(folder);
        File.WriteAllText(Path.Combine(folder, "b.txt"), text);
        File.WriteAllText(Path.Combine(folder, "a.txt"), "The cat");
        Assert.Equal([model.Tokenizer.Encode("The cat"), all[..50]], Load(new() { Sources = [new(folder)], Samples = 2, MaxLength = 50, Seed = null }).Samples.Select(sample => sample.Tokens));
    }

    [Fact]
    public void Classes_of_lengths_get_their_shares_whatever_comes_first()
    {
        IReadOnlyList<LengthClass> lengths = LengthClass.Parse("60-90: 75%, 90-120: 25%");
        CalibrationData data = Load(new() { Sources = [new(Chats)], Samples = 41, MaxLength = 120, Lengths = lengths });
        Assert.Equal((31, 10), (data.Samples.Count(sample => sample.Tokens.Length is >= 60 and < 90), data.Samples.Count(sample => sample.Tokens.Length is >= 90 and <= 120)));
        Assert.Contains("31 of 31 with 60 to 90 tokens, 10 of 10 with 90 to 120 tokens", Assert.Single(data.Notes), StringComparison.Ordinal);
    }

    [Fact]
    public void Weighted_sources_give_their_shares_and_others_are_one_pool()
    {
        string ids = Write("ids.jsonl", string.Concat(Enumerable.Repeat("{\"input_ids\":[5,6]}\n", 600)));
        CalibrationData weighted = Load(new() { Sources = [CalibrationSource.Parse($"{Chats}=3"), CalibrationSource.Parse($"{ids}=1")], Samples = 50 });
        Assert.Equal((38, 12), (weighted.Samples.Count(sample => sample.Tokens.Length > 2), weighted.Samples.Count(sample => sample.Tokens.Length == 2)));
        int[] order = NumPyPermutation.Of(1200, 42);
        CalibrationData pool = Load(new() { Sources = [new(Chats), new(ids)], Samples = 50 });
        Assert.Equal(order.Take(50).Select(row => row >= 600), pool.Samples.Select(sample => sample.Tokens.Length == 2));
    }

    [Fact]
    public void Too_few_rows_are_an_error_that_says_what_there_is()
    {
        Assert.Contains("600 rows give 600 of 601 samples", Refused(new() { Sources = [new(Chats)], Samples = 601 }), StringComparison.Ordinal);
        string message = Refused(new() { Sources = [new(Chats)], Samples = 100, Lengths = LengthClass.Parse("60-90: 50%, 1900-2048: 50%") });
        Assert.Contains("50 of 50 with 60 to 90 tokens, 0 of 50 with 1900 to 2048 tokens", message, StringComparison.Ordinal);
        Assert.Contains("below 60 tokens", message, StringComparison.Ordinal);
        Assert.Contains("0 of 1 samples: 0 of 1, 2 empty", Refused(new() { Sources = [new(Write("e.jsonl", "{\"text\":\"\"}\n{\"text\":\"\"}"))], Samples = 1 }), StringComparison.Ordinal);
    }

    [Theory]
    [InlineData("""{"other":1}""", "line 1: has none of messages, conversations, input_ids, text; it has 'other'")]
    [InlineData("""{"input_ids":[1,999999]}""", "holds 999999, which is no token of the model")]
    [InlineData("""{"input_ids":[1,-1]}""", "holds -1, which is no token")]
    [InlineData("""{"input_ids":[1,"a"]}""", "values of several kinds")]
    [InlineData("""{"text":3}""", "'text' is a JSON Number")]
    [InlineData("""{"messages":[{"role":"user","content":[{"type":"image"}]}]}""", "a part of type 'image'")]
    [InlineData("""{"conversations":[{"from":"alien","value":"x"}]}""", "a message is from 'alien'")]
    [InlineData("""{"conversations":[{"from":"human"}]}""", "a message has no text 'value'")]
    [InlineData("""{"messages":[{"role":"user","content":"x"}],"tools":"{"}""", "'tools' is a text, but no JSON")]
    public void A_row_that_cannot_be_used_is_named(string row, string finding)
    {
        string path = Write("r.jsonl", row), message = Assert.Throws<CheckpointException>(() => Load(new() { Sources = [new(path)], Samples = 1 })).Message;
        Assert.StartsWith(path, message, StringComparison.Ordinal);
        Assert.Contains(finding, message, StringComparison.Ordinal);
    }

    [Theory]
    [InlineData("60-90", "no class of lengths")]
    [InlineData("60-90: 50%", "50% together")]
    [InlineData("60-90: 50%, 80-100: 50%", "overlap")]
    [InlineData("90-60: 100%", "is empty")]
    [InlineData("0-60: 100%", "is empty")]
    public void Classes_that_make_no_sense_are_refused(string classes, string finding) =>
        Assert.Contains(finding, Assert.Throws<RequestException>(() => LengthClass.Parse(classes)).Message, StringComparison.Ordinal);

    [Fact]
    public void Options_that_make_no_sense_are_refused()
    {
        Assert.Contains("no source", Refused(new() { Sources = [] }), StringComparison.Ordinal);
        Assert.Contains("1 of 2 sources have a weight", Refused(new() { Sources = [new("a", 1), new("b")] }), StringComparison.Ordinal);
        Assert.Contains("context", Refused(new() { Sources = [new(Chats)], MaxLength = 1 << 20 }), StringComparison.Ordinal);
        Assert.Contains("a class of lengths ends at 300", Refused(new() { Sources = [new(Chats)], MaxLength = 200, Lengths = LengthClass.Parse("100-300:100%") }), StringComparison.Ordinal);
        Assert.Contains("no file or folder", Refused(new() { Sources = [new("nowhere.jsonl")] }), StringComparison.Ordinal);
        Assert.Throws<RequestException>(() => CalibrationSource.Parse("a=-1"));
    }

    [Fact]
    public void A_data_set_of_the_cache_is_found_by_its_name()
    {
        string snapshot = Path.Combine(root.FullName, "datasets--org--set", "snapshots", "1");
        Directory.CreateDirectory(snapshot);
        File.Copy(Chats, Path.Combine(snapshot, "train.jsonl"));
        CalibrationOptions options = new() { Sources = [new("org/set:train")], Samples = 5, Cache = new DatasetCache(root.FullName) };
        Assert.Equal(Load(options with { Sources = [new(Chats)] }).Digest, Load(options).Digest);
    }

    [Fact]
    public void The_fingerprint_changes_with_tokens_and_settings_and_not_with_threads()
    {
        CalibrationOptions options = new() { Sources = [new(Chats)], Samples = 100 };
        string digest = Load(options).Digest;
        Assert.Equal(digest, CalibrationData.Load(options, model, ComputeOptions.Default with { Threads = 1 }, TestContext.Current.CancellationToken).Digest);
        Assert.Equal(6, new[] { digest, Load(options with { Seed = 1 }).Digest, Load(options with { Samples = 99 }).Digest, Load(options with { MaxLength = 30 }).Digest, Load(options with { Seed = null }).Digest, Load(options with { Lengths = LengthClass.Parse("1-2048:100%") }).Digest }.Distinct().Count());
    }

    private CalibrationData Load(CalibrationOptions options) => CalibrationData.Load(options, model, ComputeOptions.Default, TestContext.Current.CancellationToken);

    private string Render(string messages, string? tools = null) =>
        model.Template.RenderChat(JsonElement.Parse(messages), tools is null ? null : JsonElement.Parse(tools), addGenerationPrompt: false, cancellation: TestContext.Current.CancellationToken);

    private string Refused(CalibrationOptions options) => Assert.Throws<RequestException>(() => Load(options)).Message;

    private string Write(string name, string content)
    {
        string path = Path.Combine(root.FullName, name);
        File.WriteAllText(path, content);
        return path;
    }
}
