using Bitsmith.Tensors.Formats.Ggml;
using Bitsmith.Tensors.InstructionSets;
using Bitsmith.Tensors.Tests.Support;
using FsCheck.Fluent;

namespace Bitsmith.Tensors.Tests.Formats.Ggml;

public sealed class GgmlEncodePropertyTests
{
    private const int Columns = 256, Rows = 2;

    public static TheoryData<GgmlType> Types => [.. Enum.GetValues<GgmlType>()];

    /// <summary>Types for which every scale that can matter is tried or solved for; the others search, and may end at another block of small error.</summary>
    public static TheoryData<GgmlType> Repeatable =>
    [
        GgmlType.F32, GgmlType.F16, GgmlType.BF16, GgmlType.Q8_K, GgmlType.MXFP4, GgmlType.NVFP4, GgmlType.TQ1_0, GgmlType.TQ2_0, GgmlType.Q1_0,
    ];

    [Theory]
    [MemberData(nameof(Types))]
    public void Whatever_is_finite_stays_finite_and_zeros_stay_zero(GgmlType type) => ForWeights((seed, weights) =>
    {
        float[] decoded = Through(type, weights, Importance(seed));
        Assert.All(decoded, value => Assert.True(float.IsFinite(value)));
        Array.Clear(weights);
        weights[7] = -0f;
        Assert.All(Through(type, weights, Importance(seed)), value => Assert.Equal(0, value));
    });

    [Theory]
    [MemberData(nameof(Types))]
    public void The_weighted_error_is_below_that_of_zeros(GgmlType type) => ForWeights((seed, weights) =>
    {
        float[] importance = [.. Importance(seed).Select(value => value + 0.01f)];
        float largest = weights.Max(Math.Abs);
        float[] moderate = [.. weights.Select(value => value / largest)];
        float[] decoded = Through(type, moderate, importance);
        Assert.True(Error(moderate, decoded, importance) <= Error(moderate, new float[moderate.Length], importance) * (1 + 1e-6));
    });

    [Theory]
    [MemberData(nameof(Repeatable))]
    public void Decoded_weights_encode_to_themselves(GgmlType type) => ForWeights((seed, weights) =>
    {
        float largest = weights.Max(Math.Abs);
        float[] decoded = Through(type, [.. weights.Select(value => value / largest)], []);
        float[] again = Through(type, decoded, []);
        Assert.InRange(Error(decoded, again, []), 0, 1e-6 * Error(decoded, new float[decoded.Length], []));
    });

    [Theory]
    [MemberData(nameof(Types))]
    public void A_constant_keeps_its_value(GgmlType type)
    {
        // MXFP4 has the levels 4, 6, 8 and 12 times powers of two: 5 is as far from either side as 20 %.
        float tolerance = type switch { GgmlType.MXFP4 => 0.201f, GgmlType.NVFP4 => 0.04f, _ => 0.01f };
        foreach (float constant in (float[])[1, -1, 0.02f, -0.37f, 100])
        {
            float[] weights = new float[Rows * Columns];
            Array.Fill(weights, constant);
            Assert.All(Through(type, weights, []), value => Assert.InRange(value / constant, 1 - tolerance, 1 + tolerance));
        }
    }

    [Theory]
    [MemberData(nameof(Types))]
    public void Only_the_proportions_of_the_importance_count_and_all_zero_is_as_none(GgmlType type) => ForWeights((seed, weights) =>
    {
        float[] importance = Importance(seed);
        Assert.Equal(Encode(type, weights, importance), Encode(type, weights, [.. importance.Select(value => value * 1024)]));
        Assert.Equal(Encode(type, weights, []), Encode(type, weights, new float[Columns]));
    });

    [Theory]
    [MemberData(nameof(Types))]
    public void Each_row_is_encoded_alone(GgmlType type) => ForWeights((seed, weights) =>
    {
        float[] importance = Importance(seed);
        byte[] rows = [.. Encode(type, weights[..Columns], importance), .. Encode(type, weights[Columns..], importance)];
        Assert.Equal(Encode(type, weights, importance), rows);
    });

    [Theory]
    [MemberData(nameof(Types))]
    public void Every_instruction_set_writes_the_same_bytes(GgmlType type) => ForWeights((seed, weights) =>
    {
        float[] importance = Importance(seed);
        byte[] expected = Encode(type, weights, importance, InstructionSet.Scalar);
        Assert.All(Sets.All, set => Assert.Equal(expected, Encode(type, weights, importance, set)));
    });

    [Theory]
    [MemberData(nameof(Types))]
    public void A_block_is_encoded_alone(GgmlType type) => ForWeights((seed, weights) =>
    {
        GgmlFormat format = GgmlFormats.Of(type);
        int size = format.BlockValues, columns = 768;
        float[] row = [.. weights, .. weights[..256]];
        byte[] together = new byte[format.RowBytes(columns)], alone = new byte[format.BlockBytes];
        format.Encode(row, columns, [], together);
        for (int block = 0; block < columns / size; block++)
        {
            format.Encode(row.AsSpan(block * size, size), size, [], alone);
            Assert.Equal(alone, together.AsSpan(block * format.BlockBytes, format.BlockBytes).ToArray());
        }
    });

    [Theory]
    [MemberData(nameof(Types))]
    public void A_column_of_no_importance_gives_way_to_one_that_has_some(GgmlType type)
    {
        // One huge weight that does not count must not cost the others their resolution.
        if (type is GgmlType.Q8_K)
        {
            return;
        }

        Random random = new(5);
        float[] weights = [.. Enumerable.Range(0, Rows * Columns).Select(_ => (float)(random.NextDouble() - 0.5))], importance = new float[Columns];
        Array.Fill(importance, 1);
        (weights[40], importance[40]) = (5, 0);
        Assert.True(Error(weights, Through(type, weights, importance), importance) <= Error(weights, Through(type, weights, []), importance));
    }

    private static void ForWeights(Action<int, float[]> law) => Law.Holds(Gen.Choose(0, int.MaxValue).ToArbitrary(), seed => law(seed, Weights(seed)), 12);

    /// <summary>Ordinary weights, and now and then subnormal, tiny, huge, constant or zero stretches.</summary>
    private static float[] Weights(int seed)
    {
        Random random = new(seed);
        float[] weights = new float[Rows * Columns];
        for (int start = 0; start < weights.Length; start += 16)
        {
            float unit = random.Next(8) switch { 0 => 1e-42f, 1 => 1e-7f, 2 => 1e30f, 3 => 0, _ => 0.02f };
            bool constant = random.Next(6) == 0;
            for (int i = start; i < start + 16; i++)
            {
                double normal = Math.Sqrt(-2 * Math.Log(1 - random.NextDouble())) * Math.Cos(2 * Math.PI * random.NextDouble());
                weights[i] = unit * (constant ? 1 : (float)normal);
            }
        }

        weights[random.Next(weights.Length)] = random.Next(4) == 0 ? float.MaxValue : -0.5f;
        return weights;
    }

    private static float[] Importance(int seed)
    {
        Random random = new(seed + 1);
        return [.. Enumerable.Range(0, Columns).Select(_ => random.Next(5) == 0 ? 0 : (float)Math.Pow(random.NextDouble(), 3))];
    }

    private static byte[] Encode(GgmlType type, float[] weights, float[] importance, InstructionSet? set = null)
    {
        GgmlFormat format = GgmlFormats.Of(type);
        byte[] blocks = new byte[format.RowBytes(weights.Length)];
        format.Encode(weights, Columns, importance, blocks, set);
        return blocks;
    }

    private static float[] Through(GgmlType type, float[] weights, float[] importance)
    {
        float[] decoded = new float[weights.Length];
        GgmlFormats.Of(type).Decode(Encode(type, weights, importance), decoded);
        return decoded;
    }

    private static double Error(float[] weights, float[] decoded, float[] importance) =>
        weights.Zip(decoded, (x, y) => Math.Pow((double)x - y, 2)).Select((square, i) => square * (importance.Length == 0 ? 1 : importance[i % Columns])).Sum();
}
