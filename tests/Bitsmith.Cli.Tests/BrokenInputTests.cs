using System.IO.Compression;
using System.Text;
using System.Text.Json.Nodes;

namespace Bitsmith.Cli.Tests;

/// <summary>
/// Models, pictures and prompts that cannot be run: the exit code, and a message that names the file, what was found and what was expected. proofs/3-5 shows the same through the published
/// command.
/// </summary>
public sealed class BrokenInputTests
{
    private const string Layer = "model.language_model.layers.3.mlp.down_proj.weight";

    [Fact]
    public void A_missing_tensor_is_named_with_its_shape()
    {
        using Shell shell = new();
        string model = Damaged(shell, Replace(Layer, Layer.Replace("down", "dawn", StringComparison.Ordinal)), "model-00002-of-00003.safetensors", "model.safetensors.index.json");

        Refused(shell, ExitCode.BrokenInput, ["run", model, "-p", "x"], Layer, "[256, 896]", "is missing");
    }

    [Fact]
    public void A_tensor_of_another_shape_is_named_with_both_shapes()
    {
        using Shell shell = new();
        string model = Damaged(
            shell, Replace($$"""{{Layer}}":{"dtype":"BF16","shape":[256,896]""", $$"""{{Layer}}":{"dtype":"BF16","shape":[896,256]"""), "model-00002-of-00003.safetensors");

        Refused(shell, ExitCode.BrokenInput, ["run", model, "-p", "x"], "model-00002-of-00003.safetensors", Layer, "[896, 256]", "[256, 896]");
    }

    [Theory]
    [InlineData("<|assistant|>")]
    [InlineData("<|user|>")]
    [InlineData("<|image|>")]
    [InlineData("[gMASK]")]
    [InlineData("<sop>")]
    public void A_tokenizer_without_a_token_that_the_template_writes_is_refused(string token)
    {
        using Shell shell = new();
        string model = Damaged(shell, Replace($"\"{token}\"", "\"<|another|>\""), "tokenizer.json");

        Refused(shell, ExitCode.BrokenInput, ["run", model, "-p", "x"], "tokenizer.json", $"no token '{token}'");
    }

    [Fact]
    public void A_tokenizer_that_numbers_the_picture_token_otherwise_than_config_json_is_refused()
    {
        using Shell shell = new();
        string model = Damaged(shell, text => text.Replace("\"image_token_id\": 4081", "\"image_token_id\": 4080", StringComparison.Ordinal), "config.json");

        Refused(shell, ExitCode.BrokenInput, ["run", model, "-p", "x"], "tokenizer.json", "token 4081", "token 4080");
    }

    [Theory]
    [InlineData(0, 5, "0 x 5")]
    [InlineData(5, 0, "5 x 0")]
    [InlineData(0, 0, "0 x 0")]
    public void A_picture_without_pixels_is_refused(int width, int height, string size)
    {
        using Shell shell = new();
        string picture = shell.PathOf("zero.png");
        File.WriteAllBytes(picture, Png(width, height));

        Refused(shell, ExitCode.BrokenInput, ["run", shell.Sample, "-p", "x", "--image", picture], "zero.png", size);
    }

    [Fact]
    public void An_empty_picture_file_is_refused()
    {
        using Shell shell = new();
        string picture = shell.PathOf("empty.png");
        File.WriteAllBytes(picture, []);

        Refused(shell, ExitCode.BrokenInput, ["run", shell.Sample, "-p", "x", "--image", picture], "empty.png", "is empty");
    }

    [Fact]
    public void A_picture_for_a_text_model_is_refused_and_a_chat_goes_on_without_it()
    {
        using Shell shell = new();
        string model = TextModel(shell), picture = Path.Combine(shell.Sample, "..", "pictures", "00.png");
        shell.Input = $"/image {picture}\n/exit\n";

        Refused(shell, ExitCode.WrongRequest, ["run", model, "-p", "x", "--image", picture], "--image", "text model");

        Assert.Equal(ExitCode.Done, shell.Run("chat", model));
        Assert.Contains("text model", shell.Error, StringComparison.Ordinal);
    }

    [Fact]
    public void Weights_that_give_no_numbers_are_refused()
    {
        using Shell shell = new();
        const string Shard = "model-00003-of-00003.safetensors";
        string model = Damaged(shell, text => text, Shard);
        byte[] bytes = File.ReadAllBytes(Path.Combine(model, Shard));
        bytes.AsSpan(8 + (int)BitConverter.ToInt64(bytes)).Fill(0xFF); // NaN in BF16
        File.WriteAllBytes(Path.Combine(model, Shard), bytes);

        Refused(shell, ExitCode.BrokenInput, ["run", model, "-p", "x"], "not finite");
    }

    [Fact]
    public void A_prompt_over_the_context_is_refused_with_both_counts()
    {
        using Shell shell = new();

        Refused(shell, ExitCode.WrongRequest, ["run", shell.Sample, "-p", string.Concat(Enumerable.Repeat("story about a dog ", 5000))], "the prompt has 20011 tokens", "the context holds 8192");
    }

    private static void Refused(Shell shell, int code, string[] command, params string[] words)
    {
        int found = shell.Run(command);

        Assert.True(found == code, $"exit {found}: {shell.Error}");
        Assert.StartsWith("bitsmith: ", shell.Error, StringComparison.Ordinal);
        Assert.All(words, word => Assert.Contains(word, shell.Error, StringComparison.Ordinal));
        Assert.Empty(shell.Output);
    }

    private static Func<string, string> Replace(string old, string other) => text =>
    {
        Assert.Contains(old, text, StringComparison.Ordinal);
        return text.Replace(old, other, StringComparison.Ordinal);
    };

    /// <summary>The sample model with some files changed, byte by byte as Latin-1 text.</summary>
    private static string Damaged(Shell shell, Func<string, string> change, params string[] files)
    {
        string copy = Directory.CreateDirectory(shell.PathOf("model")).FullName;
        foreach (string file in Directory.EnumerateFiles(shell.Sample))
        {
            string name = Path.GetFileName(file);
            File.WriteAllBytes(Path.Combine(copy, name), files.Contains(name) ? Encoding.Latin1.GetBytes(change(Encoding.Latin1.GetString(File.ReadAllBytes(file)))) : File.ReadAllBytes(file));
        }

        return copy;
    }

    /// <summary>A text model of the fixtures, with a tokenizer of the 256 bytes alone and a template without markers.</summary>
    private static string TextModel(Shell shell)
    {
        string copy = Directory.CreateDirectory(shell.PathOf("text-model")).FullName;
        foreach (string file in Directory.EnumerateFiles(Path.Combine(shell.Sample, "..", "..", "tests", "Fixtures", "models", "tiny-glm4")))
        {
            File.WriteAllBytes(Path.Combine(copy, Path.GetFileName(file)), File.ReadAllBytes(file));
        }

        JsonNode tokenizer = JsonNode.Parse(File.ReadAllText(Path.Combine(shell.Sample, "tokenizer.json")))!;
        tokenizer["added_tokens"] = new JsonArray();
        tokenizer["model"]!["merges"] = new JsonArray();
        tokenizer["model"]!["vocab"] = new JsonObject(tokenizer["model"]!["vocab"]!.AsObject().Where(token => token.Value!.GetValue<int>() < 256).Select(token => KeyValuePair.Create(token.Key, (JsonNode?)token.Value!.DeepClone())));
        File.WriteAllText(Path.Combine(copy, "tokenizer.json"), tokenizer.ToJsonString());
        File.WriteAllText(Path.Combine(copy, "chat_template.jinja"), "{% for message in messages %}{{ message.content }}{% endfor %}");
        return copy;
    }

    private static byte[] Png(int width, int height)
    {
        using MemoryStream empty = new();
        using (ZLibStream deflate = new(empty, CompressionLevel.Fastest, leaveOpen: true))
        {
            deflate.Write([]);
        }

        return [0x89, .. "PNG\r\n\u001a\n"u8, .. Chunk("IHDR", [.. BigEndian(width), .. BigEndian(height), 8, 2, 0, 0, 0]), .. Chunk("IDAT", empty.ToArray()), .. Chunk("IEND", [])];
    }

    private static byte[] Chunk(string type, byte[] data)
    {
        byte[] named = [.. Encoding.ASCII.GetBytes(type), .. data];
        return [.. BigEndian(data.Length), .. named, .. BigEndian((int)Crc(named))];
    }

    private static uint Crc(byte[] data)
    {
        uint crc = uint.MaxValue;
        foreach (byte value in data)
        {
            crc ^= value;
            for (int bit = 0; bit < 8; bit++)
            {
                crc = (crc >> 1) ^ ((crc & 1) * 0xEDB88320);
            }
        }

        return ~crc;
    }

    private static byte[] BigEndian(int value) => [(byte)(value >> 24), (byte)(value >> 16), (byte)(value >> 8), (byte)value];
}
