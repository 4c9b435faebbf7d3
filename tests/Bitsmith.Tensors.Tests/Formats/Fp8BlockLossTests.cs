using Bitsmith.Tensors.ElementTypes;
using Bitsmith.Tensors.Formats;
using Bitsmith.Tensors.Tests.Support;

namespace Bitsmith.Tensors.Tests.Formats;

public sealed class Fp8BlockLossTests
{
    [Theory]
    [InlineData(WeightEncoder.Library, 150)]
    [InlineData(WeightEncoder.Best, 40)]
    public void Every_weight_is_within_the_error_bound_and_every_scale_is_finite_and_positive(WeightEncoder encoder, int runs) =>
        Law.Holds(
            Matrix.Any(mostRows: 100, mostColumns: 200, largestSide: 160),
            matrix =>
            {
                byte[] bytes = matrix.Bytes();
                Encoded encoded = Encoded.From(matrix, bytes, encoder);
                double[] weights = matrix.Values(bytes), scales = matrix.Values(encoded.Scales);
                Assert.All(scales, scale => Assert.True(double.IsFinite(scale) && scale > 0, $"scale {scale:R}"));
                for (int i = 0; i < weights.Length; i++)
                {
                    double scale = ScaleOf(matrix, scales, i);
                    double error = Math.Abs(weights[i] - (Value(encoded.Codes[i]) * scale));
                    float bound = Fp8Block.ErrorBound(matrix.Type, (float)Math.Abs(weights[i]), (float)scale);
                    Assert.True(error <= (bound * (1 + 1e-6)) + float.Epsilon, $"element {i}: {weights[i]:R} with scale {scale:R} is off by {error:R}, bound {bound:R}");
                }
            },
            runs);

    [Theory]
    [InlineData(WeightEncoder.Library, 150)]
    [InlineData(WeightEncoder.Best, 40)]
    public void The_loss_agrees_with_a_recomputation_in_binary64(WeightEncoder encoder, int runs) =>
        Law.Holds(
            Matrix.Any(mostRows: 100, mostColumns: 200, largestSide: 160),
            matrix =>
            {
                byte[] bytes = matrix.Bytes();
                Encoded encoded = Encoded.From(matrix, bytes, encoder);
                double[] weights = matrix.Values(bytes), scales = matrix.Values(encoded.Scales);
                for (int blockRow = 0; blockRow < matrix.Grid.Rows; blockRow++)
                {
                    int first = blockRow * matrix.Block.Rows * matrix.Columns;
                    int end = Math.Min(first + (matrix.Block.Rows * matrix.Columns), weights.Length);
                    double error = 0, signal = 0, maximum = 0, rounding = 0, vanished = 0, most = 0;
                    for (int i = first; i < end; i++)
                    {
                        double scale = ScaleOf(matrix, scales, i), difference = Math.Abs(weights[i] - (Value(encoded.Codes[i]) * scale));
                        error += difference * difference;
                        signal += weights[i] * weights[i];
                        maximum = Math.Max(maximum, difference);

                        // What binary32 may lose: the rounding of code * scale and of the difference, and squares below its range.
                        double step = (Math.Abs(weights[i]) * 3e-7) + float.Epsilon;
                        rounding += step * step;
                        most = Math.Max(most, step);
                        vanished += scale * scale * 1e-36;
                    }

                    QuantizationError measured = encoded.Errors[blockRow];
                    Assert.Equal(end - first, measured.Count);
                    Near(error, measured.SquaredError, (error * 1e-5) + (2 * Math.Sqrt(error * rounding)) + rounding + vanished, "squared error");
                    Near(signal, measured.SquaredSignal, (signal * 1e-5) + vanished, "squared signal");
                    Near(maximum, measured.MaxAbsolute, (maximum * 1e-6) + most, "largest error");
                }
            },
            runs);

    [Fact]
    public void The_best_encoder_never_loses_more_than_the_library_and_reports_the_librarys_loss_as_the_library_encoder_does() =>
        Law.Holds(
            Matrix.Any(mostRows: 200, mostColumns: 150, largestSide: 160),
            matrix =>
            {
                byte[] bytes = matrix.Bytes();
                Encoded best = Encoded.From(matrix, bytes, WeightEncoder.Best), library = Encoded.From(matrix, bytes, WeightEncoder.Library);
                Assert.Equal(library.Errors, best.LibraryErrors);
                for (int i = 0; i < best.Errors.Length; i++)
                {
                    Assert.True(best.Errors[i].SquaredError <= library.Errors[i].SquaredError, $"block row {i}: {best.Errors[i].SquaredError:R} over {library.Errors[i].SquaredError:R}");
                    Assert.Equal(library.Errors[i].SquaredSignal, best.Errors[i].SquaredSignal, library.Errors[i].SquaredSignal * 1e-5);
                }
            },
            runs: 60);

    [Fact]
    public void The_best_encoder_is_really_better_on_ordinary_weights()
    {
        Matrix matrix = new(17, 256, 256, new BlockShape(128, 128), ElementType.BF16, Content.Ordinary);
        Encoded best = Encoded.From(matrix, matrix.Bytes(), WeightEncoder.Best);
        QuantizationError chosen = best.Errors[0] + best.Errors[1], library = best.LibraryErrors[0] + best.LibraryErrors[1];
        Assert.True(chosen.SquaredError < library.SquaredError);
        Assert.InRange(library.SignalToNoiseDecibels, 28, 36);
    }

    [Theory]
    [InlineData(ElementType.BF16, 0x3C00)] // 2^-7
    [InlineData(ElementType.F16, 0x1400)] // 2^-10
    [InlineData(ElementType.F32, 0x3400_0000)] // 2^-23
    public void A_block_of_zeros_gets_the_machine_epsilon_as_its_scale_and_keeps_its_signs(ElementType type, int epsilon)
    {
        Matrix matrix = new(5, 20, 30, new BlockShape(8, 16), type, Content.Zeros);
        byte[] weights = matrix.Bytes();
        foreach (WeightEncoder encoder in Enum.GetValues<WeightEncoder>())
        {
            Encoded encoded = Encoded.From(matrix, weights, encoder);
            byte[] expected = BitConverter.GetBytes(epsilon)[..type.Bytes()];
            Assert.All(encoded.Scales.Chunk(type.Bytes()), scale => Assert.Equal(expected, scale));
            Assert.Equal(matrix.Values(weights).Select(weight => double.IsNegative(weight) ? (byte)0x80 : (byte)0), encoded.Codes);
            Assert.All(encoded.Errors, error => Assert.Equal(0, error.SquaredError + error.SquaredSignal + error.MaxAbsolute));
        }
    }

    private static double ScaleOf(Matrix matrix, double[] scales, int element) =>
        scales[(element / matrix.Columns / matrix.Block.Rows * matrix.Grid.Columns) + (element % matrix.Columns / matrix.Block.Columns)];

    private static double Value(byte code) => NearestEven.Value(code, 4, 3, infinities: false);

    private static void Near(double expected, double actual, double tolerance, string what) =>
        Assert.True(Math.Abs(expected - actual) <= tolerance, $"{what} is {actual:R}, recomputed {expected:R}, tolerance {tolerance:R}");
}
