using System.Runtime.InteropServices;
using Bitsmith.Tensors.ElementTypes;
using Bitsmith.Tensors.Formats;
using Bitsmith.Tensors.Formats.Ggml;
using Bitsmith.Tensors.InstructionSets;
using Bitsmith.Tensors.Tests.Support;

namespace Bitsmith.Tensors.Tests.Formats;

/// <summary>What holds for INT4 groups and NVFP4 on any weights.</summary>
public sealed class GroupPropertyTests
{
    public static TheoryData<InstructionSet> EverySet => Sets.Data;

    [Theory]
    [InlineData(WeightEncoder.Library, 150)]
    [InlineData(WeightEncoder.Best, 40)]
    public void Every_instruction_set_writes_the_same_bytes_and_measures_the_same_loss(WeightEncoder encoder, int runs) =>
        Law.Holds(
            GroupCase.Any(mostRows: 12),
            matrix =>
            {
                byte[] weights = matrix.Matrix.Bytes();
                float[] importance = Importance(matrix);
                GroupEncoded scalar = matrix.Encode(weights, encoder, InstructionSet.Scalar, importance);
                float globalScale = matrix.GlobalScale(weights);
                uint[] decoded = Bits(matrix.Decode(scalar, globalScale, InstructionSet.Scalar));
                foreach (InstructionSet set in Sets.All)
                {
                    GroupEncoded encoded = matrix.Encode(weights, encoder, set, importance);
                    Assert.True(scalar.Scales.AsSpan().SequenceEqual(encoded.Scales), $"{set}: scales");
                    Assert.True(scalar.ZeroPoints.AsSpan().SequenceEqual(encoded.ZeroPoints), $"{set}: zero points");
                    Assert.True(scalar.Packed.AsSpan().SequenceEqual(encoded.Packed), $"{set}: codes");
                    Assert.Equal(scalar.Errors, encoded.Errors);
                    Assert.Equal(scalar.LibraryErrors, encoded.LibraryErrors);
                    Assert.Equal(decoded, Bits(matrix.Decode(scalar, globalScale, set)));
                }
            },
            runs);

    [Fact]
    public void The_library_encoder_follows_its_definition_on_any_matrix() =>
        Law.Holds(
            GroupCase.Any(mostRows: 12),
            matrix =>
            {
                byte[] weights = matrix.Matrix.Bytes();
                double[] values = matrix.Matrix.Values(weights);
                float globalScale = matrix.GlobalScale(weights);
                GroupEncoded encoded = matrix.Encode(weights, WeightEncoder.Library);
                double[] scales = matrix.Scales(encoded, globalScale), levels = matrix.Levels(encoded);
                int[] zeros = matrix.Zeros(encoded);
                for (int group = 0; group < scales.Length; group++)
                {
                    double[] members = values[(group * matrix.Group)..((group + 1) * matrix.Group)];
                    float scale = (float)scales[group];
                    (float expectedScale, int zero) = matrix.HasZeroPoints ? ExpectedRange(matrix.Matrix.Type, members) : (ExpectedScale(matrix, (float)members.Max(Math.Abs), globalScale), 0);
                    Assert.Equal((expectedScale, zero), (scale, zeros[group]));
                    for (int i = 0; i < members.Length; i++)
                    {
                        float quotient = (float)members[i] / scale;
                        double level = matrix.IsNvFp4
                            ? NearestEven.Round(Math.Clamp(quotient, -6, 6), 2, 1)
                            : Math.Round(Math.Clamp(Rounded(matrix.Matrix.Type, (float)Rounded(matrix.Matrix.Type, quotient) + zero), -8, 7), MidpointRounding.ToEven) - zero;
                        Assert.True(level == levels[(group * matrix.Group) + i], $"{members[i]:R} with scale {scale:R} became {levels[(group * matrix.Group) + i]}, expected {level}");
                    }
                }
            },
            runs: 120);

    [Fact]
    public void The_best_encoder_never_loses_more_than_the_library_and_reports_the_librarys_loss_as_the_library_encoder_does() =>
        Law.Holds(
            GroupCase.Any(mostRows: 12),
            matrix =>
            {
                byte[] weights = matrix.Matrix.Bytes();
                GroupEncoded best = matrix.Encode(weights, WeightEncoder.Best), library = matrix.Encode(weights, WeightEncoder.Library);
                Assert.Equal(library.Errors, best.LibraryErrors);
                for (int row = 0; row < best.Errors.Length; row++)
                {
                    Assert.True(best.Errors[row].SquaredError <= library.Errors[row].SquaredError, $"row {row}: {best.Errors[row].SquaredError:R} over {library.Errors[row].SquaredError:R}");
                }
            },
            runs: 100);

    [Fact]
    public void The_best_encoder_never_loses_more_than_the_library_where_columns_count_differently() =>
        Law.Holds(
            GroupCase.Any(mostRows: 12),
            matrix =>
            {
                byte[] weights = matrix.Matrix.Bytes();
                float[] importance = Importance(matrix);
                float globalScale = matrix.GlobalScale(weights);
                double best = Weighted(WeightEncoder.Best), library = Weighted(WeightEncoder.Library);
                Assert.True(best <= library * (1 + 1e-4) || !double.IsFinite(library), $"{best:R} over {library:R}");

                double Weighted(WeightEncoder encoder)
                {
                    GroupEncoded encoded = matrix.Encode(weights, encoder, importance: importance);
                    double[] values = matrix.Matrix.Values(weights), scales = matrix.Scales(encoded, globalScale), levels = matrix.Levels(encoded);
                    return Enumerable.Range(0, values.Length).Sum(i => (importance[i % matrix.Matrix.Columns] + 1e-6) * Math.Pow(values[i] - (levels[i] * scales[i / matrix.Group]), 2));
                }
            },
            runs: 60);

    [Theory]
    [InlineData(false, false, 32, 1.0)]
    [InlineData(false, false, 128, 0.6)]
    [InlineData(false, true, 32, 0.4)]
    [InlineData(false, true, 128, 0.45)]
    [InlineData(true, false, 16, 0.3)]
    public void The_best_encoder_is_really_better_on_ordinary_weights(bool isNvFp4, bool hasZeroPoints, int group, double decibels)
    {
        GroupCase matrix = new(new Matrix(17, 64, 1024, new BlockShape(1, group), ElementType.BF16, Content.Ordinary), isNvFp4, hasZeroPoints);
        GroupEncoded best = matrix.Encode(matrix.Matrix.Bytes(), WeightEncoder.Best);
        QuantizationError chosen = Total(best.Errors), library = Total(best.LibraryErrors);
        Assert.True(chosen.SignalToNoiseDecibels > library.SignalToNoiseDecibels + decibels, $"{chosen.SignalToNoiseDecibels} against {library.SignalToNoiseDecibels} dB");
        Assert.InRange(library.SignalToNoiseDecibels, 17, 24);
    }

    [Fact]
    public void Zero_points_never_cost_more_than_a_hair_and_gain_much_where_weights_lie_on_one_side()
    {
        Matrix matrix = new(23, 32, 1024, new BlockShape(1, 64), ElementType.BF16, Content.Ordinary);
        byte[] weights = matrix.Bytes(), shifted = new byte[weights.Length];
        ElementConversion.FromSingle(ElementType.BF16, [.. matrix.Values(weights).Select(value => (float)Math.Abs(value))], shifted);
        Assert.True(Loss(weights, true) < 1.001 * Loss(weights, false));
        Assert.True(Loss(shifted, true) < 0.4 * Loss(shifted, false));

        double Loss(byte[] bytes, bool hasZeroPoints) => Total(new GroupCase(matrix, false, hasZeroPoints).Encode(bytes, WeightEncoder.Best).Errors).SquaredError;
    }

    [Theory]
    [InlineData(WeightEncoder.Library)]
    [InlineData(WeightEncoder.Best)]
    public void Every_weight_is_within_the_error_bound_and_the_loss_agrees_with_a_recomputation(WeightEncoder encoder) =>
        Law.Holds(
            GroupCase.Any(mostRows: 12),
            matrix =>
            {
                if (matrix.Matrix.Content is Content.Large or Content.Hostile or Content.AnyFiniteBits or Content.Tiny)
                {
                    matrix = matrix with { Matrix = matrix.Matrix with { Content = Content.Outliers } };
                }

                byte[] weights = matrix.Matrix.Bytes();
                float globalScale = matrix.GlobalScale(weights);
                GroupEncoded encoded = matrix.Encode(weights, encoder);
                double[] values = matrix.Matrix.Values(weights), scales = matrix.Scales(encoded, globalScale), levels = matrix.Levels(encoded);
                int[] zeros = matrix.Zeros(encoded);
                Assert.All(scales, scale => Assert.True(double.IsFinite(scale) && scale != 0, $"scale {scale:R}"));
                double error = 0, signal = 0, most = 0;
                for (int i = 0; i < values.Length; i++)
                {
                    float scale = (float)scales[i / matrix.Group];
                    double difference = Math.Abs(values[i] - (levels[i] * scale));
                    float bound = matrix.IsNvFp4 ? NvFp4Group.ErrorBound((float)values[i], scale)
                        : matrix.HasZeroPoints ? Int4ZeroPointGroup.ErrorBound(matrix.Matrix.Type, (float)values[i], scale, zeros[i / matrix.Group])
                        : Int4Group.ErrorBound(matrix.Matrix.Type, (float)values[i], scale);
                    Assert.True(difference <= bound, $"element {i}: {values[i]:R} with scale {scale:R} is off by {difference:R}, bound {bound:R}");
                    error += difference * difference;
                    signal += values[i] * values[i];
                    most = Math.Max(most, difference);
                }

                QuantizationError measured = Total(encoded.Errors);
                Assert.Equal(values.Length, measured.Count);

                // What binary32 may lose: the rounding of code * scale and of the difference.
                Assert.Equal(error, measured.SquaredError, (error * 1e-4) + (Math.Sqrt(error * signal) * 1e-6) + (signal * 1e-12));
                Assert.Equal(signal, measured.SquaredSignal, signal * 1e-5);
                Assert.Equal(most, measured.MaxAbsolute, (most * 1e-5) + (Math.Sqrt(signal) * 1e-6));
            },
            runs: 80);

    [Fact]
    public void Rows_encoded_alone_give_the_bytes_and_losses_of_the_whole() =>
        Law.Holds(
            GroupCase.Any(mostRows: 9),
            matrix =>
            {
                byte[] weights = matrix.Matrix.Bytes();
                float globalScale = matrix.GlobalScale(weights);
                WeightEncoder encoder = matrix.Matrix.Seed % 2 == 0 ? WeightEncoder.Library : WeightEncoder.Best;
                GroupEncoded whole = matrix.Encode(weights, encoder);
                int[] zeros = matrix.Zeros(whole);
                for (int row = 0; row < matrix.Matrix.Rows; row++)
                {
                    GroupEncoded part = matrix.Encode(weights[(row * matrix.Matrix.RowBytes)..((row + 1) * matrix.Matrix.RowBytes)], encoder, globalScale: globalScale);
                    Assert.Equal(whole.Packed[(row * part.Packed.Length)..((row + 1) * part.Packed.Length)], part.Packed);
                    Assert.Equal(whole.Scales[(row * part.Scales.Length)..((row + 1) * part.Scales.Length)], part.Scales);
                    int[] own = matrix.Zeros(part);
                    Assert.Equal(zeros[(row * own.Length)..((row + 1) * own.Length)], own);
                    Assert.Equal(whole.Errors[row], part.Errors[0]);
                }
            },
            runs: 60);

    [Theory]
    [InlineData(ElementType.BF16, 0x3C00)] // 2^-7
    [InlineData(ElementType.F16, 0x1400)] // 2^-10
    [InlineData(ElementType.F32, 0x3400_0000)] // 2^-23
    public void Groups_of_zeros_get_the_scales_of_the_library(ElementType type, int epsilon)
    {
        foreach (WeightEncoder encoder in Enum.GetValues<WeightEncoder>())
        {
            GroupCase int4 = new(new Matrix(5, 3, 96, new BlockShape(1, 32), type, Content.Zeros), false), nvfp4 = new(int4.Matrix with { Block = new BlockShape(1, 16) }, true);
            byte[] weights = int4.Matrix.Bytes();
            GroupEncoded encoded = int4.Encode(weights, encoder);
            Assert.All(encoded.Scales.Chunk(type.Bytes()), scale => Assert.Equal(BitConverter.GetBytes(epsilon)[..type.Bytes()], scale));
            Assert.All(encoded.Packed, codes => Assert.Equal(0x88, codes));
            GroupCase withZeroPoints = int4 with { HasZeroPoints = true };
            encoded = withZeroPoints.Encode(weights, encoder);
            Assert.All(encoded.Scales.Chunk(type.Bytes()), scale => Assert.Equal(BitConverter.GetBytes(epsilon)[..type.Bytes()], scale));
            Assert.All(withZeroPoints.Zeros(encoded), zero => Assert.Equal(0, zero));
            Assert.All(encoded.ZeroPoints.Chunk(4), word => Assert.Equal([0x88, 0x08, 0, 0], word)); // three rows
            Assert.All(encoded.Packed, codes => Assert.Equal(0x88, codes));
            encoded = nvfp4.Encode(weights, encoder);
            Assert.All(encoded.Scales, scale => Assert.Equal(0x20, scale));
            Assert.All(encoded.Packed, codes => Assert.Equal(0, codes));
            Assert.Equal(1, nvfp4.GlobalScale(weights));
        }
    }

    [Theory]
    [MemberData(nameof(EverySet))]
    public void A_weight_that_is_not_finite_is_named_by_row_column_and_value(InstructionSet set)
    {
        int seed = Random.Shared.Next();
        Random random = new(seed);
        for (int run = 0; run < 100; run++)
        {
            bool isNvFp4 = run % 2 == 0;
            Matrix matrix = new(random.Next(), random.Next(1, 20), 32 * random.Next(1, 30), new BlockShape(1, isNvFp4 ? 16 : 32), ElementType.F32, Content.Ordinary);
            byte[] weights = matrix.Bytes();
            int row = random.Next(matrix.Rows), column = random.Next(matrix.Columns);
            float bad = (run % 3) switch { 0 => float.NaN, 1 => float.PositiveInfinity, _ => float.NegativeInfinity };
            BitConverter.TryWriteBytes(weights.AsSpan(((row * matrix.Columns) + column) * sizeof(float)), bad);
            WeightEncoder encoder = random.Next(2) == 0 ? WeightEncoder.Library : WeightEncoder.Best;
            NonFiniteWeightException refusal = Assert.Throws<NonFiniteWeightException>(() => new GroupCase(matrix, isNvFp4, !isNvFp4 && run % 4 == 1).Encode(weights, encoder, set, globalScale: 1));
            Assert.True((row, column) == (refusal.Row, refusal.Column), $"seed {seed}: ({row}, {column}) reported as ({refusal.Row}, {refusal.Column})");
            Assert.Equal(bad, refusal.Value);
        }
    }

    [Theory]
    [InlineData(1, 0, 0, 0, "weights")]
    [InlineData(0, -1, 0, 0, "packed")]
    [InlineData(0, 0, 1, 0, "scales")]
    [InlineData(0, 0, 0, 1, "libraryErrors")]
    public void A_span_that_is_too_long_or_too_short_is_refused_by_name(int weights, int packed, int scales, int libraryErrors, string parameter)
    {
        ColumnWeights columns = ColumnWeights.Of([], 64);
        Assert.Equal(parameter, Assert.Throws<ArgumentException>(() => Int4Group.Encode(
            WeightEncoder.Best, ElementType.BF16, new byte[(3 * 64 * 2) + weights], 32, columns, new byte[96 + packed], new byte[12 + scales], new QuantizationError[3], new QuantizationError[3 + libraryErrors])).ParamName);
        Assert.Equal(parameter, Assert.Throws<ArgumentException>(() => NvFp4Group.Encode(
            WeightEncoder.Best, ElementType.BF16, new byte[(3 * 64 * 2) + weights], 1, columns, new byte[96 + packed], new byte[12 + scales], new QuantizationError[3], new QuantizationError[3 + libraryErrors])).ParamName);
    }

    [Theory]
    [InlineData(0)]
    [InlineData(-32)]
    [InlineData(24)]
    [InlineData(128)]
    [InlineData(512)]
    public void Groups_that_do_not_divide_the_columns_or_that_no_kernel_takes_are_refused(int group) =>
        Assert.Throws<ArgumentException>(() => Int4Group.Encode(
            WeightEncoder.Library, ElementType.BF16, new byte[192 * 2], group, ColumnWeights.Of([], 192), new byte[96], new byte[12], new QuantizationError[1], []));

    [Theory]
    [InlineData(0)]
    [InlineData(-1)]
    [InlineData(float.NaN)]
    [InlineData(float.PositiveInfinity)]
    public void A_global_scale_that_is_not_positive_and_finite_is_refused(float globalScale) =>
        Assert.Equal("globalScale", Assert.Throws<ArgumentException>(() => NvFp4Group.Encode(
            WeightEncoder.Library, ElementType.BF16, new byte[32], globalScale, ColumnWeights.Of([], 16), new byte[8], new byte[1], new QuantizationError[1], [])).ParamName);

    [Theory]
    [InlineData(-1)]
    [InlineData(float.NaN)]
    [InlineData(float.PositiveInfinity)]
    public void No_global_scale_exists_for_a_magnitude_that_is_none(float largest) =>
        Assert.Equal("largest", Assert.Throws<ArgumentException>(() => NvFp4Group.LibraryGlobalScale(ElementType.BF16, largest)).ParamName);

    private static uint[] Bits(float[] values) => MemoryMarshal.Cast<float, uint>(values).ToArray();

    private static float[] Importance(GroupCase matrix)
    {
        Random random = new(matrix.Matrix.Seed);
        return [.. Enumerable.Range(0, matrix.Matrix.Columns).Select(_ => random.Next(5) == 0 ? 20 * random.NextSingle() : random.NextSingle())];
    }

    private static QuantizationError Total(QuantizationError[] errors) => errors.Aggregate((left, right) => left + right);

    private static double Rounded(ElementType type, double value) => type switch
    {
        ElementType.BF16 => NearestEven.ToBFloat16(value),
        ElementType.F16 => NearestEven.ToHalf(value),
        _ => value,
    };

    /// <summary>Scale and zero point of a group, as the format's description has them.</summary>
    private static (float Scale, int Zero) ExpectedRange(ElementType type, double[] members)
    {
        float low = (float)Math.Min(0, members.Min()), high = (float)Math.Max(0, members.Max()), range = (float)Rounded(type, high - low);
        float scale = (float)Rounded(type, float.IsFinite(range) ? range / 15 : (high / 15) - (low / 15));
        if (scale == 0)
        {
            return (type switch { ElementType.BF16 => 1f / 128, ElementType.F16 => 1f / 1024, _ => 1f / (1 << 23) }, low < 0 ? 7 : 0);
        }

        double zero = Rounded(type, -8 - (float)Rounded(type, low / scale));
        return (scale, (int)Math.Round(Math.Clamp(zero, -8, 7), MidpointRounding.ToEven));
    }

    private static float ExpectedScale(GroupCase matrix, float largest, float globalScale)
    {
        if (matrix.IsNvFp4)
        {
            float wanted = globalScale * (float)Rounded(matrix.Matrix.Type, largest / 6);
            float stored = (float)NearestEven.ToE4M3(wanted);
            return (stored == 0 ? 0.125f : stored) / globalScale;
        }

        float scale = (float)Rounded(matrix.Matrix.Type, largest / 7.5f);
        return scale == 0 ? matrix.Matrix.Type switch { ElementType.BF16 => 1f / 128, ElementType.F16 => 1f / 1024, _ => 1f / (1 << 23) } : scale;
    }
}
