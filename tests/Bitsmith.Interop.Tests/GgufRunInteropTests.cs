using System.Text.Json;
using System.Text.Json.Nodes;
using Bitsmith.Checkpoints.Gguf;
using Bitsmith.Models;
using Bitsmith.Models.Architectures;
using Bitsmith.Models.Generation;
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

    private static readonly int[] PromptLengths = [2, 3, 5, 9, 33];

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

    [Theory]
    [InlineData("Q4_K_M")]
    [InlineData("F32")]
    public void A_file_with_q_k_and_v_in_one_tensor_is_run_as_llama_cpp_runs_it(string type)
    {
        using Peers peers = new();
        TinyModel.Copy("models/tiny-glm", peers.Here("source"));
        TinyModel.Convert(peers.Here("source"), peers.Here("apart.gguf"), GgufTensorType.F32);
        Fuse(peers.Here("apart.gguf"), peers.Here("fused.gguf"));
        (int code, string output) = peers.Run("check_gguf.py", "quantize", "@fused.gguf", "@model.gguf", type);
        Assert.True(code == 0, output);
        using (GgufModel model = GgufModel.Open(peers.Here("model.gguf")))
        {
            Assert.Contains(model.Tensors, tensor => tensor.Name == "blk.0.attn_qkv.weight");
        }

        double[][] divergences = Divergences(peers, $"fused {type}");
        Assert.All(divergences[type == "F32" ? 1 : 0], value => Assert.InRange(value, -SameCodes, type == "F32" ? SameCodes : 1e-3));
    }

    private static void Compare(Peers peers, string what)
    {
        double[][] divergences = Divergences(peers, what);
        Assert.InRange(divergences[0].Count(value => Math.Abs(value) <= SameCodes), LeastWithSameCodes, PromptLengths.Length);
        Assert.All(divergences[1], value => Assert.True(value > SameCodes, "Exact inputs agree as well: this shows nothing about the rounding of inputs."));
    }

    /// <summary>From llama.cpp's next tokens, for each prompt: with 8-bit inputs, and with exact ones.</summary>
    private static double[][] Divergences(Peers peers, string what)
    {
        using ModelWeights weights = ModelWeights.Open(peers.Here("model.gguf"));
        int vocabulary = DecoderConfig.Read(weights.Config).VocabSize;
        Random random = new(1);
        // The last tokens of vision models stand for pictures.
        int[][] prompts = [.. PromptLengths.Select(length => Enumerable.Range(0, length).Select(_ => random.Next(vocabulary - (vocabulary > 512 ? 64 : 0))).ToArray())];
        JsonArray job = [new JsonObject { ["file"] = peers.Inside("model.gguf"), ["vocabulary"] = vocabulary, ["prompts"] = JsonSerializer.SerializeToNode(prompts) }];
        float[] expected = Assert.Single(NextTokens.Of(peers, job, seed: 1));
        double[][] divergences = [.. new[] { ComputeOptions.Default with { BlockInputs = true }, ComputeOptions.Default }
            .Select(compute => NextTokens.Divergences(LanguageModel.Create(weights, compute), [.. prompts.Select(PreparedPrompt.OfTokens)], expected))];
        TestContext.Current.TestOutputHelper!.WriteLine(
            $"{what}: KL divergence from llama.cpp with 8-bit inputs {string.Join(", ", divergences[0].Select(value => $"{value:e1}"))}, with exact ones {string.Join(", ", divergences[1].Select(value => $"{value:e1}"))}");
        return divergences;
    }

    /// <summary>Writes a file again with the rows of q, k and v behind each other, as the first GLM-4 models have them.</summary>
    private static void Fuse(string source, string target)
    {
        using GgufModel model = GgufModel.Open(source);
        List<(GgufTensorInfo Info, GgufTensor[] Parts)> tensors = [];
        foreach (GgufTensor tensor in model.Tensors.Where(tensor => !tensor.Name.Contains("attn_k.", StringComparison.Ordinal) && !tensor.Name.Contains("attn_v.", StringComparison.Ordinal)))
        {
            GgufTensor[] parts = tensor.Name.Contains("attn_q.", StringComparison.Ordinal)
                ? [tensor, .. new[] { "attn_k.", "attn_v." }.Select(part => model.Tensors.Single(other => other.Name == tensor.Name.Replace("attn_q.", part, StringComparison.Ordinal)))]
                : [tensor];
            tensors.Add((new GgufTensorInfo(tensor.Name.Replace("attn_q.", "attn_qkv.", StringComparison.Ordinal), tensor.Type, [parts.Sum(part => part.Shape[0]), .. tensor.Shape.Skip(1)]), parts));
        }

        using GgufWriter writer = new(target, model.Metadata, [.. tensors.Select(tensor => tensor.Info)]);
        foreach ((_, GgufTensor[] parts) in tensors)
        {
            writer.Append(parts.SelectMany(part => model.Files[0].View(part).ToArray()).ToArray());
        }

        writer.Complete();
    }

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
