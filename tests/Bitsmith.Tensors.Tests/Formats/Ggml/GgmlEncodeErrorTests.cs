using Bitsmith.Checkpoints.Safetensors;
using Bitsmith.Tensors.Formats.Ggml;
using Bitsmith.Tensors.Tests.Support;

namespace Bitsmith.Tensors.Tests.Formats.Ggml;

/// <summary>
/// The weighted squared error, sum of importance * (weight - decoded)^2, of Bitsmith's blocks against that of ggml's own blocks for the same weights.
/// </summary>
public sealed class GgmlEncodeErrorTests
{
    public static TheoryData<string> Rows
    {
        get
        {
            using SafetensorsFile golden = Fixture.OpenGguf("block-types");
            return [.. golden.Stems(".deq")];
        }
    }

    public static TheoryData<string> Tensors
    {
        get
        {
            using SafetensorsFile golden = Fixture.OpenGguf("llama-quantize-tensors");
            return [.. golden.Stems(".raw")];
        }
    }

    [Theory]
    [MemberData(nameof(Rows))]
    public void On_hard_rows_no_error_is_higher_than_that_of_ggml(string name)
    {
        using SafetensorsFile golden = Fixture.OpenGguf("block-types");
        float[] importance = name.EndsWith(".imatrix", StringComparison.Ordinal) ? golden.Singles("imatrix.f32") : [];
        NoWorse(Format(name), golden.Singles("input.f32"), 512, importance, golden.Bytes(name + ".raw"));
    }

    [Theory]
    [MemberData(nameof(Tensors))]
    public void On_tensors_of_a_model_no_error_is_higher_than_that_of_llama_quantize(string name)
    {
        using SafetensorsFile golden = Fixture.OpenGguf("llama-quantize-tensors"), sources = Fixture.OpenGguf("llama-quantize-sources");
        bool experts = name.StartsWith("moe.", StringComparison.Ordinal);
        string source = experts ? "blk.2.ffn_up_exps.weight" : "blk.0.attn_k.weight";
        float[] weights = sources.Singles(source), importance = sources.Singles(source + ".importance");
        byte[] blocks = golden.Bytes(name + ".raw");
        (int count, int columns) = experts ? (6, 128) : (1, 256);
        bool plain = experts ? name.Contains(".no.", StringComparison.Ordinal) : name.EndsWith(".plain", StringComparison.Ordinal);
        for (int i = 0; i < count; i++)
        {
            NoWorse(
                Format(name),
                weights.AsSpan(i * (weights.Length / count), weights.Length / count),
                columns,
                plain ? [] : importance.AsSpan(i * columns, columns),
                blocks.AsSpan(i * (blocks.Length / count), blocks.Length / count));
        }
    }

    private static void NoWorse(GgmlFormat format, ReadOnlySpan<float> weights, int columns, ReadOnlySpan<float> importance, ReadOnlySpan<byte> theirs)
    {
        byte[] ours = new byte[theirs.Length];
        format.Encode(weights, columns, importance, ours);
        double error = Error(format, weights, importance, ours), reference = Error(format, weights, importance, theirs);
        Assert.True(error <= reference, $"{format.Name}: weighted error {error:G6}, ggml's blocks have {reference:G6} (ratio {error / reference:F4})");
        TestContext.Current.TestOutputHelper!.WriteLine($"{format.Name}: {error / reference:F4} of ggml's error");
    }

    private static double Error(GgmlFormat format, ReadOnlySpan<float> weights, ReadOnlySpan<float> importance, ReadOnlySpan<byte> blocks)
    {
        float[] decoded = new float[weights.Length];
        format.Decode(blocks, decoded);
        double sum = 0;
        for (int i = 0; i < decoded.Length; i++)
        {
            double difference = weights[i] - (double)decoded[i];
            sum += (importance.IsEmpty ? 1 : importance[i % importance.Length]) * difference * difference;
        }

        return sum;
    }

    private static GgmlFormat Format(string name) => GgmlFormats.Of(Enum.Parse<GgmlType>(TypeName(name)));

    // TYPE.plain, TYPE.imatrix or moe.FILE.no|im.TYPE
    private static string TypeName(string name) => name.StartsWith("moe.", StringComparison.Ordinal) ? name.Split('.')[^1] : name.Split('.')[0];
}
