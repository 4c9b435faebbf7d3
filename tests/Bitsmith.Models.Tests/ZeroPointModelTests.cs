using System.Runtime.InteropServices;
using Bitsmith.Checkpoints;
using Bitsmith.Checkpoints.Safetensors;
using Bitsmith.Models.Weights;
using Bitsmith.Tensors.ElementTypes;
using Bitsmith.Tensors.Matrices;

namespace Bitsmith.Models.Tests;

/// <summary>INT4 groups with zero points in a checkpoint: a symmetric one of the library's, told to be asymmetric.</summary>
public sealed class ZeroPointModelTests : IDisposable
{
    private const string Symmetric = "small_glm4_w4a16_g32";

    private readonly DirectoryInfo folder = Directory.CreateTempSubdirectory("bitsmith-zero-points-");

    public void Dispose() => folder.Delete(recursive: true);

    [Fact]
    public void Zero_points_in_the_middle_are_symmetric_groups()
    {
        Write(tensor => (new TensorInfo(Name(tensor), ElementType.I32, [(tensor.Shape[0] + 7) / 8, tensor.Shape[1]]), 0x8888_8888));
        Assert.Equal(Logits(Path.Combine(AppContext.BaseDirectory, "models", Symmetric)), Logits(folder.FullName));
    }

    [Fact]
    public void Zero_points_are_subtracted_from_codes()
    {
        Write(tensor => (new TensorInfo(Name(tensor), ElementType.I32, [(tensor.Shape[0] + 7) / 8, tensor.Shape[1]]), 0x9999_9999));
        Assert.NotEqual(Logits(Path.Combine(AppContext.BaseDirectory, "models", Symmetric)), Logits(folder.FullName));
    }

    [Fact]
    public void Missing_zero_points_are_named_with_what_to_do()
    {
        Write(_ => (null, 0));
        Refused("weight_zero_point' is missing", "symmetric: false");
    }

    [Fact]
    public void Zero_points_of_another_shape_or_type_are_named_with_what_was_found()
    {
        Write(tensor => (new TensorInfo(Name(tensor), ElementType.I32, [tensor.Shape[0], tensor.Shape[1]]), 0));
        Refused("weight_zero_point' is I32", "config.json implies");

        Write(tensor => (new TensorInfo(Name(tensor), ElementType.F32, [(tensor.Shape[0] + 7) / 8, tensor.Shape[1]]), 0));
        Refused("weight_zero_point' is F32", "eight rows");
    }

    private static string Name(TensorInfo scales) => scales.Name.Replace("_scale", "_zero_point", StringComparison.Ordinal);

    private void Refused(params string[] parts)
    {
        string message = Assert.Throws<CheckpointException>(() => Logits(folder.FullName)).Message;
        Assert.All(parts, part => Assert.Contains(part, message, StringComparison.Ordinal));
    }

    /// <summary>Writes the checkpoint with what a function makes of the scales of each weight, filled with a word.</summary>
    private void Write(Func<TensorInfo, (TensorInfo? Tensor, uint Word)> zeroPoints)
    {
        string source = Path.Combine(AppContext.BaseDirectory, "models", Symmetric);
        string config = File.ReadAllText(Path.Combine(source, "config.json"));
        Assert.Contains("\"symmetric\": true", config, StringComparison.Ordinal);
        File.WriteAllText(Path.Combine(folder.FullName, "config.json"), config.Replace("\"symmetric\": true", "\"symmetric\": false", StringComparison.Ordinal));
        using SafetensorsFile file = SafetensorsFile.Open(Path.Combine(source, "model.safetensors"));
        List<(TensorInfo Tensor, byte[] Content)> tensors = [.. file.Header.Tensors.Select(tensor => ((TensorInfo)tensor, file.View(tensor).ToArray()))];
        foreach (StoredTensor scales in file.Header.Tensors.Where(tensor => tensor.Name.EndsWith(".weight_scale", StringComparison.Ordinal)))
        {
            if (zeroPoints(scales) is ({ } added, uint word))
            {
                uint[] words = new uint[added.Bytes / sizeof(uint)];
                Array.Fill(words, word);
                tensors.Add((added, MemoryMarshal.AsBytes<uint>(words).ToArray()));
            }
        }

        SafetensorsLayout layout = SafetensorsLayout.Create([.. tensors.Select(tensor => tensor.Tensor)], new Dictionary<string, string>());
        using FileStream target = File.Create(Path.Combine(folder.FullName, "model.safetensors"));
        target.Write(layout.HeaderBytes.Span);
        tensors.ForEach(tensor => target.Write(tensor.Content));
    }

    private static float[] Logits(string path)
    {
        using ModelWeights weights = ModelWeights.Open(path);
        LanguageModel model = LanguageModel.Create(weights, ComputeOptions.Default);
        float[] hidden = model.Embed([5, 9, 17]);
        model.Forward(hidden, model.NewCache(3));
        return model.Logits(hidden);
    }
}
