using Bitsmith.Checkpoints.Gguf;
using Bitsmith.Checkpoints.HuggingFace;
using Bitsmith.Checkpoints.Safetensors;
using Bitsmith.Models.Images.Preprocessing;
using Bitsmith.Models.Text;
using Bitsmith.Models.Vision;
using Bitsmith.Quantization.Conversion;
using Bitsmith.Quantization.Jobs;
using Bitsmith.Tensors.ElementTypes;

namespace Bitsmith.Quantization.Tests.Conversion;

public sealed class SafetensorsConversionTests : IDisposable
{
    private readonly DirectoryInfo root = Directory.CreateTempSubdirectory("bitsmith-safetensors-");

    public void Dispose() => root.Delete(recursive: true);

    [Theory]
    [InlineData("tiny-glm4")]
    [InlineData("tiny-glm4moe")]
    public void A_checkpoint_comes_back_with_its_names_shapes_values_and_tokens(string name)
    {
        using GoldenModel golden = new(name);
        SafetensorsConversionResult done = Convert(golden, golden.File.Files[0].Path, ElementType.F32);

        using CheckpointFolder original = CheckpointFolder.Open(golden.Folder), back = CheckpointFolder.Open(done.Folder);
        Assert.Equal(original.Tensors.Select(tensor => (tensor.Name, string.Join(",", tensor.Shape))).Order(), back.Tensors.Select(tensor => (tensor.Name, string.Join(",", tensor.Shape))).Order());
        foreach (StoredTensor tensor in original.Tensors)
        {
            Assert.True(Values(original, tensor.Name).AsSpan().SequenceEqual(Values(back, tensor.Name)), tensor.Name);
        }

        Assert.Equal(original.Config.ModelType, back.Config.ModelType);
        foreach (string key in (string[])["hidden_size", "intermediate_size", "num_hidden_layers", "num_attention_heads", "num_key_value_heads", "head_dim", "vocab_size"])
        {
            Assert.Equal(original.Config.Text.Root.GetProperty(key).GetInt64(), back.Config.Text.Root.GetProperty(key).GetInt64());
        }

        const string Text = "Don't split 12345 Ünïcödé\n\n  tokens<|user|>\nhello";
        Assert.Equal(Tokenizer.Load(Path.Combine(golden.Folder, "tokenizer.json")).Encode(Text), Tokenizer.Load(Path.Combine(done.Folder, "tokenizer.json")).Encode(Text));
        Assert.Equal(golden.File.Metadata.Text("tokenizer.chat_template"), File.ReadAllText(Path.Combine(done.Folder, "chat_template.jinja")));
    }

    [Fact]
    public void The_way_there_and_back_changes_no_tensor_of_the_file()
    {
        using GoldenModel golden = new("tiny-glm4moe");
        SafetensorsConversionResult done = Convert(golden, golden.File.Files[0].Path, ElementType.F32);
        using GgufConversion again = GgufConversion.Prepare(new GgufConversionOptions { Model = done.Folder, Output = golden.Output, Type = GgufTensorType.F16 });
        again.Run(null, TestContext.Current.CancellationToken);
        using GgufModel result = GgufModel.Open(golden.Output);
        foreach (GgufTensor tensor in golden.File.Tensors)
        {
            Assert.True(golden.File.Files[0].View(tensor).SequenceEqual(result.Files[0].View(result.Find(tensor.Name)!.Value.Tensor)), tensor.Name);
        }
    }

    [Fact]
    public void A_quantized_file_comes_out_decoded_in_files_of_the_size_asked_for()
    {
        using GoldenModel golden = new("tiny-glm4");
        using (GgufQuantizationJob job = GgufQuantizationJob.Prepare(Jobs.GgufQuantizationJobTests.Options(golden, "Q4_K_M")))
        {
            job.Run(null, TestContext.Current.CancellationToken);
        }

        string folder = Path.Combine(Path.GetDirectoryName(golden.Output)!, "decoded");
        SafetensorsConversion.Run(new SafetensorsConversionOptions { Model = golden.Output, Output = folder, Type = ElementType.BF16, MaxShardBytes = 600_000 }, null, TestContext.Current.CancellationToken);
        using CheckpointFolder result = CheckpointFolder.Open(folder);
        Assert.True(result.Files.Count > 2);
        Assert.Equal("bfloat16", result.Config.Text.Root.GetProperty("dtype").GetString());
        Assert.All(result.Tensors, tensor => Assert.Equal(ElementType.BF16, tensor.Type));
        Assert.False(Directory.Exists(folder + ".bitsmith-work"));

        RequestException refusal = Assert.Throws<RequestException>(() => SafetensorsConversion.Run(
            new SafetensorsConversionOptions { Model = golden.Output, Output = folder }, null, TestContext.Current.CancellationToken));
        Assert.Contains("--force", refusal.Message, StringComparison.Ordinal);
    }

    [Theory]
    [InlineData("models/tiny-glm4v")]
    [InlineData("models/tiny-glm4v-moe")]
    [InlineData(TinyModel.Sample)]
    public void A_vision_model_comes_back_with_its_tower_and_its_image_processor(string name)
    {
        TinyModel.Copy(name, PathOf("source"));
        TinyModel.Convert(PathOf("source"), PathOf("model.gguf"), GgufTensorType.F32);
        TinyModel.Convert(PathOf("source"), PathOf("tower.gguf"), GgufTensorType.F32, mmproj: true);
        SafetensorsConversionResult done = SafetensorsConversion.Run(
            new SafetensorsConversionOptions { Model = PathOf("model.gguf"), Mmproj = PathOf("tower.gguf"), Output = PathOf("back"), Type = ElementType.F32 }, null, TestContext.Current.CancellationToken);

        Assert.Empty(done.Notes);
        using CheckpointFolder original = CheckpointFolder.Open(PathOf("source")), back = CheckpointFolder.Open(done.Folder);
        Assert.Equal(original.Tensors.Select(tensor => (tensor.Name, string.Join(",", tensor.Shape))).Order(), back.Tensors.Select(tensor => (tensor.Name, string.Join(",", tensor.Shape))).Order());
        Assert.All(original.Tensors, tensor => Assert.True(Values(original, tensor.Name).AsSpan().SequenceEqual(Values(back, tensor.Name)), tensor.Name));
        Assert.Equal(VisionConfig.Read(original.Config), VisionConfig.Read(back.Config));
        Assert.Equal(Settings("source"), Settings("back"));

        string Settings(string folder) => ImageProcessorSettings.LoadForImages(PathOf(folder)).ToJson().ToJsonString();
    }

    private string PathOf(string name) => Path.Combine(root.FullName, name);

    private static SafetensorsConversionResult Convert(GoldenModel golden, string file, ElementType type) => SafetensorsConversion.Run(
        new SafetensorsConversionOptions { Model = file, Output = Path.Combine(Path.GetDirectoryName(golden.Output)!, "back"), Type = type }, null, TestContext.Current.CancellationToken);

    private static float[] Values(CheckpointFolder folder, string name)
    {
        (SafetensorsFile file, StoredTensor tensor) = folder.Files.SelectMany(file => file.Header.Tensors.Select(tensor => (file, tensor))).Single(place => place.tensor.Name == name);
        float[] values = new float[tensor.Elements];
        ElementConversion.ToSingle(tensor.Type, file.View(tensor), values);
        return values;
    }
}
