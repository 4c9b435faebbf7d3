using System.Runtime.InteropServices;
using System.Security.Cryptography;
using System.Text.Json;
using System.Text.Json.Nodes;
using Bitsmith.Checkpoints.Gguf;
using Bitsmith.Checkpoints.Imatrix;
using Bitsmith.Quantization.Conversion;
using Bitsmith.Quantization.Jobs;
using Bitsmith.Quantization.Mixes;
using Bitsmith.Quantization.Tests.Conversion;
using Bitsmith.Tensors.Formats.Ggml;

namespace Bitsmith.Interop.Tests;

public sealed class MixInteropTests
{
    private static readonly string[][] OptionSets =
    [
        [],
        ["--pure"],
        ["--tensor-type", "attn_v=q8_0", "--tensor-type", @"blk\.[01]\.FFN_(up|down)=iq4_xs"],
        ["--pure", "--tensor-type", "attn_k=q5_k"],
        ["--output-tensor-type", "q5_1", "--token-embedding-type", "q4_0"],
        ["--output-tensor-type", "f16"],
    ];

    // Dense and with experts, eight of them (for which llama.cpp has rules of its own); widths that 256 divides, and 32, 64, 128 and 192.
    [Theory]
    [InlineData("models/tiny-glm")]
    [InlineData("models/tiny-glm4")]
    [InlineData("models/tiny-glm4-moe")]
    [InlineData("models/tiny-glm4-moe-qknorm")]
    [InlineData("models/tiny-glm4v-moe")]
    [InlineData("samples/glm-4.6v-mini")]
    public void Every_mix_gives_every_tensor_the_type_that_llama_quantize_gives_it(string name)
    {
        using Peers peers = new();
        TinyModel.Copy(name, peers.Here("source"));
        Convert(peers);

        // llama-quantize has no name for NVFP4, and ignores the options for types that are no blocks.
        (GgufMix Mix, bool Imatrix, string[] Options)[] jobs = [.. from mix in GgufMix.All where mix.Name is not ("NVFP4" or "F32" or "F16" or "BF16")
            from imatrix in (bool[])[false, true] from options in imatrix || mix.Name is not ("Q4_K_M" or "IQ2_M" or "Q8_0" or "MXFP4_MOE") ? OptionSets[..1] : OptionSets select (mix, imatrix, options)];
        File.WriteAllText(peers.Here("jobs.json"), new JsonArray([.. jobs.Select(job => new JsonObject
        {
            ["type"] = job.Mix.Name, ["imatrix"] = job.Imatrix, ["options"] = new JsonArray([.. job.Options.Select(option => JsonValue.Create(option))]),
        })]).ToJsonString());
        (int code, string output) = peers.Run("quantize_gguf.py", "types", "@model.gguf", "@jobs.json");
        Assert.True(code == 0, output);
        Dictionary<string, string>?[] expected = JsonSerializer.Deserialize<Dictionary<string, string>?[]>(output)!;

        using GgufModel model = GgufModel.Open(peers.Here("model.gguf"));
        MixModel numbers = MixModel.Read(model.Metadata);
        for (int i = 0; i < jobs.Length; i++)
        {
            (GgufMix mix, bool imatrix, string[] options) = jobs[i];
            string place = $"{mix.Name}{(imatrix ? " with imatrix" : string.Empty)} {string.Join(' ', options)}";
            Dictionary<string, string>? found = Types(mix, Read(options), numbers, model.Tensors, imatrix);
            Assert.True((expected[i] is null) == (found is null), $"{place}: llama-quantize {(expected[i] is null ? "refuses" : "accepts")}");
            Assert.All(expected[i] ?? [], pair => Assert.True(pair.Value == found![pair.Key], $"{place}: {pair.Key} is {found[pair.Key]}, llama-quantize gives {pair.Value}"));
        }
    }

    [Fact]
    public void Llama_cpp_loads_every_mix_and_the_gguf_package_decodes_it_to_our_values()
    {
        using Peers peers = new();
        TinyModel.Copy("samples/glm-4.6v-mini", peers.Here("source"));
        List<string> files = [];
        foreach (GgufMix mix in GgufMix.All.Where(mix => mix.Name is not ("F32" or "F16" or "BF16")))
        {
            Quantize(new GgufJobOptions { Model = peers.Here("source"), Output = peers.Here($"{mix.Name}.gguf"), Mix = mix, AllowNoImatrix = true });
            files.Add($"{mix.Name}.gguf");
        }

        File.WriteAllText(peers.Here("files.json"), JsonSerializer.Serialize(files.Select(file => peers.Inside(file))));
        (int code, string output) = peers.Run("quantize_gguf.py", "load", "@files.json", "-");
        Assert.True(code == 0, output);
        (code, output) = peers.Run("quantize_gguf.py", "values", "@files.json", "@values.json");
        Assert.True(code == 0, output);
        Dictionary<string, string?>[] all = JsonSerializer.Deserialize<Dictionary<string, string?>[]>(File.ReadAllText(peers.Here("values.json")))!;
        HashSet<string> types = [];
        foreach ((string file, Dictionary<string, string?> expected) in files.Zip(all))
        {
            using GgufModel model = GgufModel.Open(peers.Here(file));
            foreach (GgufTensor tensor in model.Tensors.Where(tensor => expected[tensor.Name] is not null))
            {
                float[] values = new float[tensor.Elements];
                GgmlFormats.Of((GgmlType)tensor.Type.Number).Decode(model.Files[0].View(tensor), values);
                string found = System.Convert.ToHexStringLower(SHA256.HashData(MemoryMarshal.AsBytes<float>(values)));
                Assert.True(expected[tensor.Name] == found, $"{file}: {tensor.Name} ({tensor.Type.Name})");
                types.Add(tensor.Type.Name);
            }
        }

        Assert.True(types.Count >= 24, string.Join(", ", types.Order()));
    }

    // Everything in front of the tensors: key/value pairs in their order, and of the tensors names, shapes, types and places.
    [Theory]
    [InlineData("samples/glm-4.6v-mini", "Q4_K_M", false)]
    [InlineData("samples/glm-4.6v-mini", "IQ3_XXS", true)]
    [InlineData("models/tiny-glm4-moe", "Q4_0", true)]
    public void Our_header_is_the_one_that_llama_quantize_writes(string name, string mix, bool withImatrix)
    {
        using Peers peers = new();
        TinyModel.Copy(name, peers.Here("source"));
        Convert(peers);
        List<string> options = [];
        if (withImatrix)
        {
            // llama-quantize refuses tensors of few bits without data: here every matrix has them.
            using GgufModel model = GgufModel.Open(peers.Here("model.gguf"));
            new ImportanceMatrix(model.Tensors.Where(tensor => tensor.Shape.Count > 1).Select(tensor => KeyValuePair.Create(tensor.Name, Entry(tensor))))
            {
                Datasets = ["text.txt"], ChunkCount = 7, ChunkSize = 128,
            }.Save(peers.Here("imatrix.gguf"));
            options.AddRange("--imatrix", peers.Inside("imatrix.gguf"));
        }

        File.WriteAllText(peers.Here("jobs.json"), JsonSerializer.Serialize(new[] { new { @out = peers.Inside("theirs.gguf"), type = mix, options } }));
        (int code, string output) = peers.Run("quantize_gguf.py", "quantize", "@model.gguf", "@jobs.json");
        Assert.True(code == 0, output);
        Assert.True(GgufMix.TryParse(mix, out GgufMix? known));
        Quantize(new GgufJobOptions { Model = peers.Here("model.gguf"), Output = peers.Here("ours.gguf"), Mix = known, Imatrix = withImatrix ? peers.Here("imatrix.gguf") : null });

        using GgufModel ours = GgufModel.Open(peers.Here("ours.gguf")), theirs = GgufModel.Open(peers.Here("theirs.gguf"));
        // They name the importance matrix by its path, we by its name.
        Assert.Equal(Pairs(theirs).Select(pair => pair.Replace(peers.Inside(string.Empty), string.Empty, StringComparison.Ordinal)), Pairs(ours));
        Assert.Equal(theirs.Tensors.Select(tensor => $"{tensor.Name} {tensor.Describe()}"), ours.Tensors.Select(tensor => $"{tensor.Name} {tensor.Describe()}"));

        static string[] Pairs(GgufModel model) => [.. model.Metadata.Select(pair => $"{pair.Key} {pair.Value.Describe()} {pair.Value}")];

        static ImatrixEntry Entry(GgufTensor tensor)
        {
            int columns = (int)tensor.Shape[^1], matrices = tensor.Shape.Count > 2 ? (int)tensor.Shape[0] : 1;
            float[] squares = [.. Enumerable.Range(0, columns * matrices).Select(i => 1 + (i % 7f))];
            return new ImatrixEntry(squares, squares, [.. Enumerable.Repeat(896, matrices)]);
        }
    }

    private static void Convert(Peers peers)
    {
        using GgufConversion conversion = GgufConversion.Prepare(new GgufConversionOptions { Model = peers.Here("source"), Output = peers.Here("model.gguf"), Type = GgufTensorType.BF16 });
        conversion.Run(null, TestContext.Current.CancellationToken);
    }

    private static void Quantize(GgufJobOptions options)
    {
        using GgufQuantizationJob job = GgufQuantizationJob.Prepare(options);
        job.Run(null, TestContext.Current.CancellationToken);
    }

    private static Dictionary<string, string>? Types(GgufMix mix, MixOptions options, MixModel numbers, IEnumerable<GgufTensorInfo> tensors, bool imatrix)
    {
        try
        {
            return MixPlanner.Decide(mix, options, numbers, tensors, imatrix).ToDictionary(row => row.Tensor.Name, row => (row.Type?.ToString() ?? row.Tensor.Type.Name).ToUpperInvariant());
        }
        catch (RequestException)
        {
            return null;
        }
    }

    private static MixOptions Read(string[] options)
    {
        MixOptions read = new([], AllowUnmatched: true);
        for (int i = 0; i < options.Length; i++)
        {
            read = options[i] switch
            {
                "--pure" => read with { Pure = true },
                "--tensor-type" => read with { Overrides = [.. read.Overrides, new TensorTypeOverride(options[++i])] },
                "--output-tensor-type" => read with { OutputType = MixOptions.ParseType(options[++i]) },
                _ => read with { EmbeddingType = MixOptions.ParseType(options[++i]) },
            };
        }

        return read;
    }
}
