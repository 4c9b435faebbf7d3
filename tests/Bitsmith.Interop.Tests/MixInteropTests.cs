using System.Text.Json;
using System.Text.Json.Nodes;
using Bitsmith.Checkpoints.Gguf;
using Bitsmith.Quantization.Conversion;
using Bitsmith.Quantization.Jobs;
using Bitsmith.Quantization.Mixes;
using Bitsmith.Quantization.Tests.Conversion;

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
        using (GgufConversion conversion = GgufConversion.Prepare(new GgufConversionOptions { Model = peers.Here("source"), Output = peers.Here("model.gguf"), Type = GgufTensorType.BF16 }))
        {
            conversion.Run(null, TestContext.Current.CancellationToken);
        }

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
