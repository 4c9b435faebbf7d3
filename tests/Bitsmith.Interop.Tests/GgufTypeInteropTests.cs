using System.Globalization;
using System.Text.Json;
using System.Text.Json.Nodes;
using Bitsmith.Checkpoints.Gguf;
using Bitsmith.Models;
using Bitsmith.Models.Architectures;
using Bitsmith.Models.Generation;
using Bitsmith.Models.Images;
using Bitsmith.Models.Text;
using Bitsmith.Models.Weights;
using Bitsmith.Quantization.Jobs;
using Bitsmith.Quantization.Mixes;
using Bitsmith.Quantization.Tests.Conversion;
using Bitsmith.Tensors.Formats.Ggml;
using Bitsmith.Tensors.Matrices;

namespace Bitsmith.Interop.Tests;

/// <summary>
/// Files of every GGUF type and every architecture, written by us and by llama-quantize: llama.cpp and we compute the same from them. The divergence is the mean over prompts, as llama-perplexity's is
/// over tokens: where a rounding turns an 8-bit code over, or the choice of an expert, a few prompts differ by more. Random models are drawn anew by BITSMITH_SEED; they take minutes, so they run only
/// with BITSMITH_INTEROP: 'all' tries every architecture with every type, 'some' deals the types out among the architectures. proofs/4-1 makes its table of the lines that are added to the file
/// BITSMITH_MEASUREMENTS.
/// </summary>
public sealed class GgufTypeInteropTests
{
    private const double MostDivergence = 1e-4;
    private const int Prompts = 64, LongestPrompt = 96;

    private static readonly int Seed = int.TryParse(Environment.GetEnvironmentVariable("BITSMITH_SEED"), CultureInfo.InvariantCulture, out int seed) ? seed : 1;
    private static readonly string? Extent = Environment.GetEnvironmentVariable("BITSMITH_INTEROP");
    private static readonly GgmlType[] Types = [.. GgmlFormats.All.Select(format => format.Type).Where(type => type != GgmlType.Q8_K)];

    private static readonly JsonElement Question = JsonElement.Parse("""[{"role":"user","content":[{"type":"image"},{"type":"text","text":"What is to be seen?"}]}]""");

    public static TheoryData<string, string> Models => [.. TinyModel.Names.SelectMany(name => new[] { (name, "round"), (name, "odd") })];

    public static TheoryData<string, string> VisionModels => [.. Models.Where(row => row.Data.Item1.Contains("glm4v", StringComparison.Ordinal))];

    [Theory]
    [MemberData(nameof(Models))]
    public void Llama_cpp_and_we_compute_the_same_from_files_of_every_type(string model, string widths)
    {
        Assert.SkipWhen(Extent is null, "takes minutes; set BITSMITH_INTEROP to 'some' or 'all' to run it");
        using Peers peers = new();
        DrawModel(peers, model, widths);
        int offset = Array.IndexOf(TinyModel.Names, model), vocabulary;
        using (ModelWeights weights = ModelWeights.Open(peers.Here("f32.gguf")))
        {
            vocabulary = DecoderConfig.Read(weights.Config).VocabSize;
        }

        Random random = new(Seed);
        // The last tokens of vision models stand for pictures.
        int[][] prompts = [.. Enumerable.Range(0, Prompts)
            .Select(_ => Enumerable.Range(0, random.Next(2, LongestPrompt + 1)).Select(_ => random.Next(vocabulary - (vocabulary > 4000 ? 64 : 0))).ToArray())];
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

        float[][] expected = NextTokens.Of(peers, jobs, Seed);
        PreparedPrompt[] texts = [.. prompts.Select(PreparedPrompt.OfTokens)];
        Judgement judgement = new(model, widths);
        for (int i = 0; i < files.Count; i++)
        {
            double[] With(bool exact)
            {
                using ModelWeights weights = ModelWeights.Open(peers.Here(files[i].File));
                return NextTokens.Divergences(LanguageModel.Create(weights, exact ? ComputeOptions.Default : ComputeOptions.Fastest, exact), texts, expected[i]);
            }

            judgement.Add($"{files[i].Type}", files[i].Writer, With(exact: false), With(exact: true));
        }

        Assert.Empty(judgement.Wrong);

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

    [Theory]
    [MemberData(nameof(VisionModels))]
    public void Llama_cpp_and_we_see_the_same_in_pictures(string model, string widths)
    {
        Assert.SkipWhen(Extent is null, "takes minutes; set BITSMITH_INTEROP to 'some' or 'all' to run it");
        using Peers peers = new();
        DrawModel(peers, model, widths);
        Quantize(peers.Here("f32.gguf"), peers.Here("quantized.gguf"), widths == "round" ? GgmlType.Q4_K : GgmlType.Q8_0, GgmlType.Q8_0);
        string[] pictures = [.. Directory.EnumerateFiles(Path.Combine(AppContext.BaseDirectory, "pictures"), "0?.png").Order().Take(4)];
        (string File, GgufTensorType Tower)[] pairs =
            [("f32.gguf", GgufTensorType.F32), ("f32.gguf", GgufTensorType.F16), ("f32.gguf", GgufTensorType.BF16), ("quantized.gguf", GgufTensorType.F16)];
        Judgement judgement = new(model, widths);
        foreach ((string file, GgufTensorType type) in pairs)
        {
            string tower = $"mmproj-{type.Name}.gguf";
            if (!File.Exists(peers.Here(tower)))
            {
                TinyModel.Convert(peers.Here("source"), peers.Here(tower), type, mmproj: true);
            }

            using GlmModel ours = GlmModel.Open(peers.Here(file), ComputeOptions.Fastest, mmproj: peers.Here(tower)), exact = GlmModel.Open(peers.Here(file), exactActivations: true, mmproj: peers.Here(tower));
            PreparedPrompt[] Prepare(GlmModel glm) => [.. pictures.Select(picture => glm.Prepare(Question, [glm.ReadPicture(ImageDecoder.Load(picture))]))];
            PreparedPrompt[] prompts = Prepare(ours);
            JsonArray questions = [.. prompts.Zip(pictures, (prompt, picture) => new JsonObject
            {
                ["prompt_string"] = AroundPicture(ours.Tokenizer, prompt), ["multimodal_data"] = new JsonArray(Convert.ToBase64String(File.ReadAllBytes(picture))),
            })];
            JsonArray job = [new JsonObject { ["file"] = peers.Inside(file), ["mmproj"] = peers.Inside(tower), ["vocabulary"] = ours.Language.Config.VocabSize, ["prompts"] = questions }];
            float[] expected = Assert.Single(NextTokens.Of(peers, job, Seed));
            judgement.Add($"{(file == "f32.gguf" ? "F32" : "quantized")}, picture through {type.Name}", "Bitsmith", NextTokens.Divergences(ours.Language, prompts, expected), NextTokens.Divergences(exact.Language, Prepare(exact), expected));
        }

        Assert.Empty(judgement.Wrong);
    }

    /// <summary>The prompt as llama.cpp wants it: it puts the tokens around the picture itself.</summary>
    private static string AroundPicture(Tokenizer tokenizer, PreparedPrompt prompt)
    {
        VisionRun picture = Assert.Single(prompt.Vision);
        int[] ids = [.. prompt.Ids];
        return tokenizer.Decode(ids.AsSpan(0, picture.Start - 1), skipSpecial: false) + "<__media__>" + tokenizer.Decode(ids.AsSpan(picture.End + 1), skipSpecial: false);
    }

    /// <summary>Random weights in the shapes of an architecture, as f32.gguf.</summary>
    private static void DrawModel(Peers peers, string model, string widths)
    {
        TinyModel.Copy(model, peers.Here("base"));
        (int code, string output) = peers.Run("random_model.py", "@base", "@source", "--widths", widths, "--seed", $"{Seed}");
        Assert.True(code == 0, output);
        TinyModel.AddTokenizer(model, peers.Here("source"));
        File.Copy(Path.Combine(AppContext.BaseDirectory, TinyModel.Sample, "chat_template.jinja"), peers.Here("source/chat_template.jinja"));
        TinyModel.Convert(peers.Here("source"), peers.Here("f32.gguf"), GgufTensorType.F32);
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

    /// <summary>Writes down the mean and the largest divergence of each file, and which are too large.</summary>
    private sealed class Judgement(string model, string widths)
    {
        public List<string> Wrong { get; } = [];

        public void Add(string what, string writer, double[] divergences, double[] exact)
        {
            if (Environment.GetEnvironmentVariable("BITSMITH_MEASUREMENTS") is { } measurements)
            {
                File.AppendAllText(measurements, $"{Path.GetFileName(model)}\t{widths}\t{what}\t{writer}\t{divergences.Average():0.0e+0}\t{divergences.Max():0.0e+0}\t{exact.Average():0.0e+0}\n");
            }

            if (!(divergences.Average() < MostDivergence))
            {
                Wrong.Add($"{what} of {writer}: KL divergences {string.Join(", ", divergences.Select(value => $"{value:0.0e+0}"))} (with exact activations {exact.Average():0.0e+0} in the mean)");
            }
        }
    }
}
