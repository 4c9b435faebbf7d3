using System.Security.Cryptography;
using System.Text.Json;
using System.Text.Json.Nodes;
using Bitsmith.Checkpoints.Gguf;
using Bitsmith.Models.Text;
using Bitsmith.Quantization.Conversion;
using Bitsmith.Quantization.Tests.Conversion;
using Bitsmith.Tensors.ElementTypes;

namespace Bitsmith.Interop.Tests;

public sealed class GgufInteropTests
{
    [Theory]
    [InlineData("models/tiny-glm")]
    [InlineData("models/tiny-glm4")]
    [InlineData("models/tiny-glm4-moe")]
    [InlineData("models/tiny-glm4-moe-qknorm")]
    [InlineData("models/tiny-glm4v")]
    [InlineData("models/tiny-glm4v-moe")]
    [InlineData(TinyModel.Sample)]
    public void Llama_cpp_loads_a_converted_model_and_computes_what_transformers_computes(string model)
    {
        using Peers peers = new();
        Prepare(peers, model);
        Convert(peers, GgufTensorType.F32);
        (int code, string output) = peers.Run("check_gguf.py", "logits", "@model.gguf", "@source");
        Assert.True(code == 0, output);
    }

    [Theory]
    [InlineData("models/tiny-glm")]
    [InlineData("models/tiny-glm4")]
    [InlineData("models/tiny-glm4-moe")]
    public void Transformers_computes_from_a_folder_made_of_a_gguf_file_what_llama_cpp_computes_from_the_file(string model)
    {
        using Peers peers = new();
        TinyModel.Copy(model, peers.Here("source"));
        Convert(peers, GgufTensorType.F32);
        SafetensorsConversion.Run(new SafetensorsConversionOptions { Model = peers.Here("model.gguf"), Output = peers.Here("back"), Type = ElementType.F32 }, null, TestContext.Current.CancellationToken);
        (int code, string output) = peers.Run("check_gguf.py", "logits", "@model.gguf", "@back");
        Assert.True(code == 0, output);
    }

    [Fact]
    public void The_gguf_package_reads_from_our_file_what_we_read()
    {
        using Peers peers = new();
        Prepare(peers, TinyModel.Sample);
        Convert(peers, GgufTensorType.BF16);
        (int code, string output) = peers.Run("check_gguf.py", "dump", "@model.gguf", "@dump.json");
        Assert.True(code == 0, output);
        JsonNode dump = JsonNode.Parse(File.ReadAllText(peers.Here("dump.json")))!;
        using GgufModel model = GgufModel.Open(peers.Here("model.gguf"));

        Assert.Equal(model.Metadata.Select(pair => pair.Key), dump["fields"]!.AsObject().Select(field => field.Key));
        foreach ((string key, GgufValue value) in model.Metadata)
        {
            JsonNode field = dump["fields"]![key]!;
            string[] types = value.ElementType is { } element ? ["ARRAY", element.ToString().ToUpperInvariant()] : [value.Type.ToString().ToUpperInvariant()];
            Assert.Equal(types, field["types"]!.AsArray().Select(type => (string)type!));
            if (value.Content is string text)
            {
                Assert.Equal(text, (string)field["value"]!);
            }
            else if (value.Content is string[] texts)
            {
                Assert.Equal(texts, field["value"]!.AsArray().Select(item => (string)item!));
            }
        }

        Assert.Equal(
            model.Tensors.Select(tensor => (
                tensor.Name, tensor.Type.Name, JsonSerializer.Serialize(tensor.Shape), tensor.Offset, tensor.Bytes, System.Convert.ToHexStringLower(SHA256.HashData(model.Files[0].View(tensor))))),
            dump["tensors"]!.AsArray().Select(tensor => (
                (string)tensor!["name"]!, (string)tensor["type"]!, tensor["shape"]!.ToJsonString(), (long)tensor["offset"]!, (long)tensor["bytes"]!, (string)tensor["sha256"]!)));
    }

    [Theory]
    [InlineData("f32")]
    [InlineData("f16")]
    [InlineData("bf16")]
    public void Llama_cpp_describes_pictures_with_the_converted_vision_tower_as_transformers_does(string type)
    {
        using Peers peers = new();
        Prepare(peers, TinyModel.Sample);
        Convert(peers, TypeOf(type));
        Convert(peers, TypeOf(type), mmproj: true);
        string[] pictures = [.. Directory.EnumerateFiles(Path.Combine(AppContext.BaseDirectory, "pictures"), "0?.png").Order().Take(6)];
        foreach (string picture in pictures)
        {
            File.Copy(picture, peers.Here(Path.GetFileName(picture)));
        }

        (int code, string output) = peers.Run("check_gguf.py", ["captions", "@model.gguf", "@mmproj.gguf", .. pictures.Select(picture => $"@{Path.GetFileName(picture)}")]);
        Assert.True(code == 0, output);
        JsonNode captions = JsonNode.Parse(File.ReadAllText(Path.Combine(AppContext.BaseDirectory, "sample-captions.json")))!;
        Assert.Equal(pictures.Select(picture => (string)captions[Path.GetFileName(picture)]!), JsonNode.Parse(output)!.AsArray().Select(answer => (string)answer!));
    }

    [Fact]
    public void Llama_cpp_cuts_text_into_our_tokens()
    {
        using Peers peers = new();
        Prepare(peers, TinyModel.Sample);
        Convert(peers, GgufTensorType.F16);
        string text = File.ReadAllText(Path.Combine(AppContext.BaseDirectory, "peers", "check_gguf.py")) + "\n\n  Ünïcödé — 日本語 😀 12345 don't I'LL\t\r\n<|user|>\nhello<|endoftext|> \u00a0 x";
        File.WriteAllText(peers.Here("text.txt"), text);
        (int code, string output) = peers.Run("check_gguf.py", "tokens", "@model.gguf", "@text.txt");
        Assert.True(code == 0, output);
        Tokenizer tokenizer = Tokenizer.Load(Path.Combine(peers.Here("source"), "tokenizer.json"));
        Assert.Equal(tokenizer.Encode(text), JsonSerializer.Deserialize<int[]>(output));
    }

    private static GgufTensorType TypeOf(string name) => GgufTensorType.All.Single(type => type.Name.Equals(name, StringComparison.OrdinalIgnoreCase));

    private static void Convert(Peers peers, GgufTensorType type, bool mmproj = false) =>
        TinyModel.Convert(peers.Here("source"), peers.Here(mmproj ? "mmproj.gguf" : "model.gguf"), type, mmproj);

    private static void Prepare(Peers peers, string model) => TinyModel.Copy(model, peers.Here("source"));
}
