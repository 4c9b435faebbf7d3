using System.Text.Json;
using Bitsmith.Checkpoints.Gguf;
using Bitsmith.Models;
using Bitsmith.Models.Weights;
using Bitsmith.Quantization.Tests.Conversion;
using Bitsmith.Tensors.ElementTypes;
using Bitsmith.Tensors.Formats.Ggml;
using Bitsmith.Tensors.InstructionSets;
using Bitsmith.Tensors.Matrices;

namespace Bitsmith.Interop.Tests;

/// <summary>Quantized GGUF files, ours and llama.cpp's, run by both programs.</summary>
public sealed class GgufRunInteropTests
{
    // Both round inputs to the same codes, so that probabilities agree to the last digits, until the rounding of a binary32 sum turns a code over. From there on codes differ as if they were rounded
    // anew, and probabilities by about as much as those of exact inputs do. That happens to some of five prompts, seldom to four; with other rounding it would to all.
    private const double SameCodes = 1e-5;
    private const int LeastWithSameCodes = 2;

    [Theory]
    [InlineData("Q8_0")]
    [InlineData("Q4_0")]
    [InlineData("Q5_1")]
    [InlineData("Q2_K")]
    [InlineData("Q4_K")]
    [InlineData("Q6_K")]
    [InlineData("IQ3_XXS")]
    [InlineData("IQ2_S")]
    [InlineData("IQ1_M")]
    [InlineData("MXFP4")]
    [InlineData("TQ1_0")]
    public void Llama_cpp_computes_from_our_blocks_what_we_compute(string type)
    {
        using Peers peers = new();
        TinyModel.Copy("models/tiny-glm", peers.Here("source"));
        TinyModel.Convert(peers.Here("source"), peers.Here("f32.gguf"), GgufTensorType.F32);
        Assert.True(Encode(peers.Here("f32.gguf"), peers.Here("model.gguf"), GgufTensorType.All.Single(known => known.Name == type)) > 10);
        Compare(peers, $"our {type}");
    }

    [Theory]
    [InlineData(TinyModel.Sample, "Q4_K_M")]
    [InlineData("models/tiny-glm", "IQ4_XS")]
    [InlineData("models/tiny-glm4", "Q3_K_S")]
    [InlineData("models/tiny-glm4-moe", "Q5_K_M")]
    [InlineData("models/tiny-glm4-moe-qknorm", "Q4_0")]
    [InlineData("models/tiny-glm4v", "Q6_K")]
    [InlineData("models/tiny-glm4v-moe", "MXFP4_MOE")]
    public void We_compute_from_files_of_llama_quantize_what_llama_cpp_computes(string model, string type)
    {
        using Peers peers = new();
        TinyModel.Copy(model, peers.Here("source"));
        TinyModel.Convert(peers.Here("source"), peers.Here("bf16.gguf"), GgufTensorType.BF16);
        (int code, string output) = peers.Run("check_gguf.py", "quantize", "@bf16.gguf", "@model.gguf", type);
        Assert.True(code == 0, output);
        Compare(peers, $"llama-quantize {type} of {Path.GetFileName(model)}");
    }

    private static void Compare(Peers peers, string what)
    {
        (int code, string output) = peers.Run("check_gguf.py", "logprobs", "@model.gguf", "@answers.json");
        Assert.True(code == 0, output);
        JsonElement answers = JsonDocument.Parse(File.ReadAllText(peers.Here("answers.json")).Replace("-Infinity", "-1e9", StringComparison.Ordinal)).RootElement;
        int[][] prompts = answers.GetProperty("prompts").Deserialize<int[][]>()!;
        double[][] expected = answers.GetProperty("logprobs").Deserialize<double[][]>()!;
        using ModelWeights weights = ModelWeights.Open(peers.Here("model.gguf"));
        double[][] divergences = [.. new[] { ComputeOptions.Default with { BlockInputs = true }, ComputeOptions.Default }.Select(compute =>
        {
            LanguageModel model = LanguageModel.Create(weights, compute);
            return prompts.Zip(expected, (prompt, probabilities) => Divergence(probabilities, LogProbabilities(model, prompt))).ToArray();
        })];
        TestContext.Current.TestOutputHelper!.WriteLine(
            $"{what}: KL divergence from llama.cpp with 8-bit inputs {string.Join(", ", divergences[0].Select(value => $"{value:e1}"))}, with exact ones {string.Join(", ", divergences[1].Select(value => $"{value:e1}"))}");
        Assert.InRange(divergences[0].Count(value => Math.Abs(value) <= SameCodes), LeastWithSameCodes, prompts.Length);
        Assert.All(divergences[1], value => Assert.True(value > SameCodes, "Exact inputs agree as well: this shows nothing about the rounding of inputs."));
    }

    private static double[] LogProbabilities(LanguageModel model, int[] prompt)
    {
        float[] hidden = model.Embed(prompt);
        using var cache = model.NewCache(prompt.Length);
        model.Forward(hidden, cache);
        float[] logits = model.Logits(hidden.AsMemory(hidden.Length - model.Config.HiddenSize));
        double largest = logits.Max(), normalizer = largest + Math.Log(logits.Sum(logit => Math.Exp(logit - largest)));
        return [.. logits.Select(logit => logit - normalizer)];
    }

    private static double Divergence(double[] expected, double[] found) => expected.Zip(found, (p, q) => Math.Exp(p) * (p - q)).Sum();

    /// <summary>Writes a file again with its matrices, but those whose rows are no whole blocks, in a type. Returns how many.</summary>
    private static int Encode(string source, string target, GgufTensorType type)
    {
        using GgufModel model = GgufModel.Open(source);
        GgmlFormat format = GgmlFormats.Of((GgmlType)type.Number);
        bool IsEncoded(GgufTensor tensor) => tensor.Shape.Count > 1 && tensor.Shape[^1] % format.BlockValues == 0;
        GgufTensorInfo[] infos = [.. model.Tensors.Select(tensor => new GgufTensorInfo(tensor.Name, IsEncoded(tensor) ? type : tensor.Type, tensor.Shape))];
        using GgufWriter writer = new(target, model.Metadata, infos);
        foreach (GgufTensor tensor in model.Tensors)
        {
            ReadOnlySpan<byte> bytes = model.Files[0].View(tensor);
            if (IsEncoded(tensor))
            {
                float[] values = new float[tensor.Elements];
                ElementConversion.ToSingle(ElementType.F32, bytes, values, Cpu.Default);
                byte[] blocks = new byte[format.RowBytes(tensor.Elements)];
                format.Encode(values, (int)tensor.Shape[^1], [], blocks);
                bytes = blocks;
            }

            writer.Append(bytes);
        }

        writer.Complete();
        return infos.Count(info => info.Type == type);
    }
}
