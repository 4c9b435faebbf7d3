using System.Text.Json;
using Bitsmith.Checkpoints;
using Bitsmith.Checkpoints.Gguf;
using Bitsmith.Models;
using Bitsmith.Models.Generation;
using Bitsmith.Models.Images.Preprocessing;
using Bitsmith.Models.Text;
using Bitsmith.Models.Text.Templates;
using Bitsmith.Models.Vision;
using Bitsmith.Models.Weights;
using Bitsmith.Tensors.Matrices;

namespace Bitsmith.Quantization.Tests.Conversion;

/// <summary>Models run from GGUF files.</summary>
public sealed class GgufModelTests : IDisposable
{
    private readonly DirectoryInfo root = Directory.CreateTempSubdirectory("bitsmith-gguf-model-");

    public static TheoryData<string> Models => [.. TinyModel.Names, TinyModel.Sample];

    private string Source => Path.Combine(root.FullName, "source");

    private string Output => Path.Combine(root.FullName, "model.gguf");

    private string Tower => Path.Combine(root.FullName, "mmproj.gguf");

    [Theory]
    [MemberData(nameof(Models))]
    public void A_model_has_the_same_tensors_and_computes_the_same_bits_from_its_gguf_file_as_from_its_folder(string name)
    {
        TinyModel.Copy(name, Source);
        TinyModel.Convert(Source, Output, GgufTensorType.F32, maxFileBytes: 700_000);
        string first = Directory.EnumerateFiles(root.FullName, "*.gguf").Order().First();
        using ModelWeights folder = ModelWeights.Open(Source), file = ModelWeights.Open(first);

        Assert.Equal(folder.Names.Where(tensor => !tensor.StartsWith(VisionWeightMap.Prefix, StringComparison.Ordinal)).Order(), file.Names.Order());
        Assert.Equal(Logits(folder), Logits(file));
    }

    [Theory]
    [InlineData("models/tiny-glm4v")]
    [InlineData("models/tiny-glm4v-moe")]
    [InlineData(TinyModel.Sample)]
    public void A_vision_tower_computes_the_same_bits_from_its_gguf_file_as_from_its_folder(string name)
    {
        TinyModel.Copy(name, Source);
        TinyModel.Convert(Source, Output, GgufTensorType.F32);
        TinyModel.Convert(Source, Tower, GgufTensorType.F32, mmproj: true);
        using ModelWeights folder = ModelWeights.Open(Source), file = ModelWeights.Open(Output, Tower);

        Assert.Equal(folder.Names.Order(), file.Names.Order());
        Assert.Equal(Features(folder), Features(file));
    }

    [Fact]
    public void Tokenizer_template_settings_and_picture_limits_come_out_of_the_metadata_as_they_went_in()
    {
        TinyModel.Copy(TinyModel.Sample, Source);
        TinyModel.Convert(Source, Output, GgufTensorType.F16);
        TinyModel.Convert(Source, Tower, GgufTensorType.F16, mmproj: true);
        using GgufModel file = GgufModel.Open(Output), tower = GgufModel.Open(Tower);

        Tokenizer expected = Tokenizer.Load(Path.Combine(Source, "tokenizer.json")), found = Tokenizer.Load(file.Metadata, Output);
        string text = File.ReadAllText(Path.Combine(Source, "chat_template.jinja")) + "  Ünïcödé — 日本語 😀 12345 don't I'LL\t\r\n<|user|>\nhello<|endoftext|> \u00a0 x";
        int[] ids = expected.Encode(text);
        Assert.Equal(ids, found.Encode(text));
        Assert.Equal(expected.Decode(ids, skipSpecial: true), found.Decode(ids, skipSpecial: true));

        JsonElement messages = JsonElement.Parse("""[{"role": "user", "content": "Hi"}]""");
        CancellationToken cancellation = TestContext.Current.CancellationToken;
        Assert.Equal(
            ChatTemplate.LoadFrom(Source).RenderChat(messages, cancellation: cancellation),
            ChatTemplate.Parse(file.Metadata.Text("tokenizer.chat_template"), "x").RenderChat(messages, cancellation: cancellation));

        SamplingSettings folder = SamplingSettings.Load(Source), settings = SamplingSettings.Read(file.Metadata, Output);
        // Numbers of metadata are binary32.
        Assert.Equal(
            ((float)folder.Temperature, (float)folder.TopP, (float)folder.MinP, folder.TopK), ((float)settings.Temperature, (float)settings.TopP, (float)settings.MinP, settings.TopK));
        Assert.Equal(folder.StopTokens.Order(), settings.StopTokens.Order());

        ImageProcessorSettings pictures = ImageProcessorSettings.LoadForImages(Source), limits = ImageProcessorSettings.Read(tower.Metadata, Tower);
        Assert.Equal((pictures.Size, pictures.PatchSize, pictures.MergeSize), (limits.Size, limits.PatchSize, limits.MergeSize));
        Assert.Equal(pictures.Mean, limits.Mean);
        Assert.Equal(pictures.Deviation, limits.Deviation);
    }

    [Theory]
    [InlineData("glm4moe.block_count", null, "has no key 'glm4moe.block_count'")]
    [InlineData("glm4moe.block_count", "many", "key 'glm4moe.block_count' is String 'many'")]
    [InlineData("glm4moe.block_count", 9u, "the tensor of 'model.layers.")]
    [InlineData("glm4moe.block_count", 1u, "has no place in a model of type 'glm4_moe'")]
    [InlineData("glm4moe.attention.head_count", 0u, "attention.head_count 0")]
    [InlineData("glm4moe.attention.head_count_kv", 4u, "but the metadata imply")]
    [InlineData("glm4moe.attention.key_length", 48u, "attention.value_length")]
    [InlineData("glm4moe.rope.dimension_count", 1000u, "rope.dimension_count 1000")]
    [InlineData("glm4moe.rope.scaling.type", "yarn", "rope.scaling.type is 'yarn'")]
    [InlineData("glm4moe.expert_gating_func", 1u, "expert_gating_func is 1")]
    [InlineData("glm4moe.expert_count", 3u, "but the metadata imply [3, ")]
    [InlineData("glm4moe.attention.layer_norm_rms_epsilon", float.NaN, "expected a finite number")]
    [InlineData("general.architecture", "llama", "is 'llama', which cannot be run")]
    [InlineData("general.architecture", "clip", "--mmproj")]
    public void Missing_and_odd_metadata_are_named(string key, object? value, string expected)
    {
        TinyModel.Copy("models/tiny-glm4-moe", Source);
        TinyModel.Convert(Source, Output, GgufTensorType.F16);
        Change(Output, key, value);

        CheckpointException refusal = Assert.Throws<CheckpointException>(() =>
        {
            using ModelWeights weights = ModelWeights.Open(Output);
            LanguageModel.Create(weights, ComputeOptions.Default);
        });

        Assert.Contains(expected, refusal.Message, StringComparison.Ordinal);
        Assert.StartsWith(Output, refusal.Message, StringComparison.Ordinal);
    }

    [Theory]
    [InlineData("tokenizer.ggml.model", "llama", "expected gpt2")]
    [InlineData("tokenizer.ggml.pre", "qwen2", "expected gpt2 and glm4 or chatglm-bpe")]
    [InlineData("tokenizer.ggml.tokens", null, "has no key 'tokenizer.ggml.tokens'")]
    [InlineData("tokenizer.ggml.token_type", new[] { 1, 1 }, "expected an array of 256 Int32")]
    [InlineData("tokenizer.ggml.merges", new[] { "a" }, "tokenizer.ggml.merges[0] is 'a'")]
    [InlineData("tokenizer.ggml.merges", new[] { "a nothing" }, "tokenizer.ggml.merges[0] is 'a nothing'")]
    [InlineData("tokenizer.chat_template", null, "has no key 'tokenizer.chat_template'")]
    public void A_tokenizer_that_is_not_glms_is_refused(string key, object? value, string expected)
    {
        TinyModel.Copy("models/tiny-glm4", Source);
        TinyModel.Convert(Source, Output, GgufTensorType.F16);
        Change(Output, key, value);

        CheckpointException refusal = Assert.Throws<CheckpointException>(() => GlmModel.Open(Output).Dispose());

        Assert.Contains(expected, refusal.Message, StringComparison.Ordinal);
    }

    [Fact]
    public void A_file_that_belongs_to_another_model_is_no_vision_tower()
    {
        TinyModel.Copy(TinyModel.Sample, Source);
        TinyModel.Convert(Source, Output, GgufTensorType.F16);
        TinyModel.Convert(Source, Tower, GgufTensorType.F16, mmproj: true);

        Assert.Contains("expected clip, glm4v and 256", Assert.Throws<CheckpointException>(() => ModelWeights.Open(Output, Output)).Message, StringComparison.Ordinal);
        Assert.Contains("is no GGUF file", Assert.Throws<CheckpointException>(() => ModelWeights.Open(Source, Tower)).Message, StringComparison.Ordinal);
        Change(Tower, "clip.projector_type", "resampler");
        Assert.Contains("'resampler'", Assert.Throws<CheckpointException>(() => ModelWeights.Open(Output, Tower)).Message, StringComparison.Ordinal);
    }

    public void Dispose() => root.Delete(recursive: true);

    private static float[] Logits(ModelWeights weights)
    {
        LanguageModel model = LanguageModel.Create(weights, ComputeOptions.Default);
        float[] hidden = model.Embed([1, 2, 3, 5, 8, 13, 21, 34]);
        using var cache = model.NewCache(8);
        model.Forward(hidden, cache);
        return model.Logits(hidden);
    }

    private static float[] Features(ModelWeights weights)
    {
        VisionTower tower = VisionTower.Create(weights, ComputeOptions.Default)!;
        VisionGrid grid = new(1, 4, 6);
        Random random = new(7);
        return tower.Forward(Enumerable.Range(0, grid.Patches * tower.Config.PatchValues).Select(_ => random.NextSingle() - 0.5f).ToArray(), grid);
    }

    /// <summary>Writes a file again with another value of a key, or (null) without it.</summary>
    private static void Change(string path, string key, object? value)
    {
        using GgufModel model = GgufModel.Open(path);
        GgufMetadata metadata = new(path);
        foreach (KeyValuePair<string, GgufValue> pair in model.Metadata.Where(pair => pair.Key != key))
        {
            metadata.Add(pair.Key, pair.Value);
        }

        if (value is not null)
        {
            metadata.Add(key, value);
        }

        using GgufWriter writer = new(path, metadata, [.. model.Tensors]);
        foreach (GgufTensor tensor in model.Tensors)
        {
            writer.Append(model.Files[0].View(tensor));
        }

        writer.Complete();
    }
}
