using System.Globalization;
using System.Runtime.InteropServices;
using System.Text.Json;
using System.Text.Json.Nodes;
using Bitsmith.Checkpoints.Gguf;
using Bitsmith.Models;
using Bitsmith.Models.Architectures;
using Bitsmith.Models.Weights;
using Bitsmith.Quantization.Jobs;
using Bitsmith.Quantization.Mixes;
using Bitsmith.Quantization.Tests.Conversion;
using Bitsmith.Tensors.Formats.Ggml;
using Bitsmith.Tensors.Matrices;

namespace Bitsmith.Interop.Tests;

/// <summary>
/// Files of every GGUF type and every architecture, written by us and by llama-quantize: llama.cpp and we compute the same from them. Random models are drawn anew by BITSMITH_SEED;
/// they take minutes, so they run only with BITSMITH_INTEROP: 'all' tries every architecture with every type, 'some' deals the types out among the architectures. proofs/4-1 makes its table of the
/// lines that are added to the file BITSMITH_MEASUREMENTS.
/// </summary>
public sealed class GgufTypeInteropTests
{
    private const double MostDivergence = 1e-4;

    private static readonly int Seed = int.TryParse(Environment.GetEnvironmentVariable("BITSMITH_SEED"), CultureInfo.InvariantCulture, out int seed) ? seed : 1;
    private static readonly string? Extent = Environment.GetEnvironmentVariable("BITSMITH_INTEROP");
    private static readonly GgmlType[] Types = [.. GgmlFormats.All.Select(format => format.Type).Where(type => type != GgmlType.Q8_K)];
    private static readonly int[] PromptLengths = [2, 9, 33, 120];

    public static TheoryData<string, string> Models => [.. TinyModel.Names.SelectMany(name => new[] { (name, "round"), (name, "odd") })];

    [Theory]
    [MemberData(nameof(Models))]
    public void Llama_cpp_and_we_compute_the_same_from_files_of_every_type(string model, string widths)
    {
        Assert.SkipWhen(Extent is null, "takes minutes; set BITSMITH_INTEROP to 'some' or 'all' to run it");
        using Peers peers = new();
        TinyModel.Copy(model, peers.Here("base"));
        (int code, string output) = peers.Run("random_model.py", "@base", "@source", "--widths", widths, "--seed", $"{Seed}");
        Assert.True(code == 0, output);
        TinyModel.AddTokenizer(model, peers.Here("source"));
        TinyModel.Convert(peers.Here("source"), peers.Here("f32.gguf"), GgufTensorType.F32);

        int offset = Array.IndexOf(TinyModel.Names, model), vocabulary;
        using (ModelWeights weights = ModelWeights.Open(peers.Here("f32.gguf")))
        {
            vocabulary = DecoderConfig.Read(weights.Config).VocabSize;
        }

        Random random = new(Seed);
        int[][] prompts = [.. PromptLengths.Select(length => Enumerable.Range(0, length).Select(_ => random.Next(vocabulary - (vocabulary > 4000 ? 64 : 0))).ToArray())];
        List<(string File, GgmlType Type, string Writer)> files = [];
        JsonArray jobs = [];
        foreach (GgmlType type in Types.Where((_, index) => Extent == "all" || index % TinyModel.Names.Length == offset))
        {
            if (type == GgmlType.F32)
            {
                Add("f32.gguf", type, "Bitsmith", null);
                continue;
            }

            // llama-quantize aborts where the rows of embedding and head are no whole blocks of the type asked for.
            GgmlType head = widths == "round" ? type : GgmlType.Q8_0;
            // Neither llama-quantize nor we have a substitute for it.
            if (type == GgmlType.Q1_0 && widths == "odd")
            {
                Assert.Throws<RequestException>(() => Quantize(peers.Here("f32.gguf"), peers.Here($"{type}.gguf"), type, head));
                continue;
            }

            Quantize(peers.Here("f32.gguf"), peers.Here($"{type}.gguf"), type, head);
            if (widths == "round")
            {
                AssertTypes(peers.Here($"{type}.gguf"), type);
            }

            Add($"{type}.gguf", type, "Bitsmith", null);
            if (type is not (GgmlType.F16 or GgmlType.BF16))
            {
                Add($"llama-{type}.gguf", type, "llama-quantize", head);
            }
        }

        File.WriteAllText(peers.Here("jobs.json"), jobs.ToJsonString());
        (code, output) = peers.Run("check_gguf.py", ["probabilities", "@jobs.json", "@out", "--seed", $"{Seed}"]);
        Assert.True(code == 0, output);
        float[] expected = MemoryMarshal.Cast<byte, float>(File.ReadAllBytes(peers.Here("out"))).ToArray();
        Assert.Equal(files.Count * prompts.Length * vocabulary, expected.Length);

        List<string> wrong = [];
        for (int i = 0; i < files.Count; i++)
        {
            double[] both = [.. new[] { false, true }.Select(exact => Divergence(peers.Here(files[i].File), prompts, expected.AsSpan(i * prompts.Length * vocabulary, prompts.Length * vocabulary), exact))];
            Record($"{Path.GetFileName(model)}\t{widths}\t{files[i].Type}\t{files[i].Writer}\t{both[0]:0.0e+0}\t{both[1]:0.0e+0}");
            if (!(both[0] < MostDivergence))
            {
                wrong.Add($"{files[i].File}: KL divergence {both[0]:0.0e+0} (with exact activations {both[1]:0.0e+0})");
            }
        }

        Assert.Empty(wrong);

        void Add(string file, GgmlType type, string writer, GgmlType? head)
        {
            files.Add((file, type, writer));
            JsonObject job = new() { ["file"] = peers.Inside(file), ["vocabulary"] = vocabulary, ["prompts"] = JsonSerializer.SerializeToNode(prompts) };
            if (head is not null)
            {
                job["quantize"] = new JsonObject { ["source"] = peers.Inside("f32.gguf"), ["type"] = $"{type}", ["head"] = $"{head}" };
            }

            jobs.Add((JsonNode)job);
        }
    }

    private static void Quantize(string source, string output, GgmlType type, GgmlType head)
    {
        Assert.True(GgufMix.TryParse("Q8_0", out GgufMix? mix));
        using GgufQuantizationJob job = GgufQuantizationJob.Prepare(new GgufJobOptions
        {
            Model = source, Output = output, Mix = mix, MixOptions = new MixOptions([new TensorTypeOverride($"weight={type}")], Pure: true, OutputType: head, EmbeddingType: head), AllowNoImatrix = true,
        });
        job.Run(null, TestContext.Current.CancellationToken);
    }

    // Every matrix has the type that was asked for; norms, biases and routers stay binary32.
    private static void AssertTypes(string file, GgmlType type)
    {
        using GgufModel model = GgufModel.Open(file);
        GgufTensor[] matrices = [.. model.Tensors.Where(tensor => tensor.Shape.Count > 1 && !tensor.Name.Contains("ffn_gate_inp", StringComparison.Ordinal))];
        Assert.NotEmpty(matrices);
        Assert.All(matrices, tensor => Assert.True(tensor.Type.Name == $"{type}", $"{tensor.Name} is {tensor.Type.Name}, {type} was asked for"));
    }

    /// <summary>The largest Kullback-Leibler divergence of ours from llama.cpp's next token, over the prompts.</summary>
    private static double Divergence(string file, int[][] prompts, ReadOnlySpan<float> expected, bool exactActivations)
    {
        using ModelWeights weights = ModelWeights.Open(file);
        LanguageModel model = LanguageModel.Create(weights, exactActivations ? ComputeOptions.Default : ComputeOptions.Fastest, exactActivations);
        int vocabulary = model.Config.VocabSize, width = model.Config.HiddenSize;
        double most = 0;
        for (int p = 0; p < prompts.Length; p++)
        {
            float[] hidden = model.Embed(prompts[p]);
            using var cache = model.NewCache(prompts[p].Length);
            model.Forward(hidden, cache);
            most = Math.Max(most, Divergence(expected.Slice(p * vocabulary, vocabulary), model.Logits(hidden.AsMemory(hidden.Length - width))));
        }

        return most;
    }

    private static double Divergence(ReadOnlySpan<float> expected, ReadOnlySpan<float> logits)
    {
        double largest = logits[0], sum = 0, divergence = 0;
        foreach (float logit in logits)
        {
            largest = Math.Max(largest, logit);
        }

        foreach (float logit in logits)
        {
            sum += Math.Exp(logit - largest);
        }

        for (int i = 0; i < logits.Length; i++)
        {
            divergence += float.IsNegativeInfinity(expected[i]) ? 0 : Math.Exp(expected[i]) * (expected[i] - (logits[i] - largest - Math.Log(sum)));
        }

        return double.IsNaN(divergence) ? double.PositiveInfinity : divergence;
    }

    private static void Record(string line)
    {
        if (Environment.GetEnvironmentVariable("BITSMITH_MEASUREMENTS") is { } measurements)
        {
            File.AppendAllText(measurements, line + "\n");
        }
    }
}
