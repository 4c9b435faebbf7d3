using System.Text.Json.Nodes;
using Bitsmith.Checkpoints.Gguf;
using Bitsmith.Checkpoints.Safetensors;
using Bitsmith.Quantization.Conversion;
using Bitsmith.Synthesize;

namespace Bitsmith.Quantization.Tests.Conversion;

/// <summary>The tensors of released models, in sparse files of their full size.</summary>
public sealed class RealModelConversionTests
{
    [Theory]
    [InlineData("GLM-4.6V-Flash", "glm4", 523, 0)]
    [InlineData("GLM-4.5-Air", "glm4moe", 803, 1)]
    [InlineData("GLM-4.7", "glm4moe", 1761, 1)]
    public void Every_tensor_of_a_release_has_its_place(string model, string architecture, int tensors, int mtpLayers)
    {
        using Sparse folder = new(model);
        using GgufConversion conversion = GgufConversion.Prepare(new GgufConversionOptions { Model = folder.Path, Output = folder.Path + ".gguf" });

        Assert.Equal((architecture, tensors), (conversion.Architecture, conversion.Tensors.Count()));
        Assert.Equal(mtpLayers, conversion.Metadata.Integer($"{architecture}.nextn_predict_layers", 0));
        long outside = folder.List.Tensors.Where(tensor => tensor.Name.StartsWith("model.visual.", StringComparison.Ordinal)).Sum(tensor => tensor.Elements);
        Assert.Equal(folder.List.Tensors.Sum(tensor => tensor.Elements) - outside, conversion.Tensors.Sum(tensor => tensor.Elements));
        GgufLayout layout = GgufLayout.Create(conversion.Metadata, [.. conversion.Tensors]);
        Assert.InRange(layout.Length, folder.List.Bytes * 0.8, folder.List.Bytes * 1.01);
        if (outside > 0)
        {
            using GgufConversion vision = GgufConversion.Prepare(new GgufConversionOptions { Model = folder.Path, Output = folder.Path + ".gguf", Mmproj = true });
            Assert.Equal(outside, vision.Tensors.Sum(tensor => tensor.Elements));
        }
    }

    private sealed class Sparse : IDisposable
    {
        private readonly DirectoryInfo root = Directory.CreateTempSubdirectory("bitsmith-sparse-");

        public Sparse(string model)
        {
            List = TensorList.Load(System.IO.Path.Combine(AppContext.BaseDirectory, "tensors", model + ".json"));
            Directory.CreateDirectory(Path);
            SafetensorsLayout layout = SafetensorsLayout.Create(List.Tensors, new Dictionary<string, string>());
            using (FileStream file = File.Create(System.IO.Path.Combine(Path, "model.safetensors")))
            {
                file.Write(layout.HeaderBytes.Span);
                file.SetLength(layout.Length);
            }

            File.WriteAllText(System.IO.Path.Combine(Path, "config.json"), List.Config.GetRawText());
            File.WriteAllText(System.IO.Path.Combine(Path, "preprocessor_config.json"), new JsonObject { ["image_processor_type"] = "Glm46VImageProcessor" }.ToJsonString());
            File.Copy(System.IO.Path.Combine(AppContext.BaseDirectory, "gguf", "tokenizer.json"), System.IO.Path.Combine(Path, "tokenizer.json"));
        }

        public TensorList List { get; }

        public string Path => System.IO.Path.Combine(root.FullName, "model");

        public void Dispose() => root.Delete(recursive: true);
    }
}
