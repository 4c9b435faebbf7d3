using Bitsmith.Quantization.Formats;
using Bitsmith.Tensors.ElementTypes;
using Bitsmith.Tensors.Formats;
using Bitsmith.Tensors.Formats.Ggml;
using Bitsmith.Tensors.Matrices;
using Bitsmith.Tensors.Threading;

namespace Bitsmith.Quantization.Calibration.Awq;

/// <summary>
/// AWQ's second stage, an option: the weights of each group are limited to ±p times the largest of them, with the p of 1, 0.95, .., 0.55 for which rounding costs least in the outputs, as if the other groups were not
/// rounded: d B dᵀ, B the group's block of the second moments. The first of the least wins. It serves encoders that take the scale from the largest weight; one that searches scales gains little.
/// </summary>
/// <remarks>Cost for each group of g columns of a row: 10 · g² multiplications and additions, and 10 roundings. Memory: ten times that of the rows at work, and losses. Results do not depend on threads.</remarks>
public static class AwqClip
{
    /// <summary>Copies of the rows at work.</summary>
    internal const int Copies = 10;

    private const int Steps = Copies;
    private const float StepSize = 0.05f;
    private const int RowsPerTask = 16;

    /// <summary>Limits the weights of some rows.</summary>
    /// <param name="rows">Whole rows of the weight as it is to be encoded, columns scaled; changed in place.</param>
    /// <param name="factors">What the columns were multiplied with; empty where that is 1.</param>
    /// <param name="moments">The second moments of the original input.</param>
    /// <param name="format">How the rows are stored.</param>
    /// <param name="type">The type of the stored weights.</param>
    /// <param name="globalScale">Where the format has one.</param>
    /// <param name="compute">Threads and kernels.</param>
    /// <exception cref="ArgumentException">The rows do not fit the moments, or the format has scales for more than one row.</exception>
    /// <exception cref="NonFiniteWeightException">A weight is NaN or infinite.</exception>
    public static void Limit(
        Memory<float> rows, ReadOnlyMemory<float> factors, SecondMoments moments, StorageFormat format, ElementType type, float globalScale, ComputeOptions compute)
    {
        ArgumentNullException.ThrowIfNull(moments);
        ArgumentNullException.ThrowIfNull(format);
        ArgumentNullException.ThrowIfNull(compute);
        int columns = moments.Columns, group = format.Block.Columns, count = rows.Length / columns, groups = (columns + group - 1) / group;
        if (rows.Length % columns != 0 || format.Block.Rows != 1 || (factors.Length != 0 && factors.Length != columns))
        {
            throw new ArgumentException($"{rows.Length} weights are no rows of {columns} columns, or {format} has scales for several rows.", nameof(rows));
        }

        float[] divisors = factors.IsEmpty ? [.. Enumerable.Repeat(1f, columns)] : factors.ToArray(), errors = new float[Steps * rows.Length];
        double[] losses = new double[Steps * count * groups];
        Work work = new(rows, divisors, errors, format, type, globalScale);
        compute.Run((count + RowsPerTask - 1) / RowsPerTask * Steps, work);
        QuadraticForm.EvaluateBlocks(moments, group, errors, losses, compute);
        for (int place = 0; place < count * groups; place++)
        {
            int best = 0;
            for (int step = 1; step < Steps; step++)
            {
                best = losses[(step * count * groups) + place] < losses[(best * count * groups) + place] ? step : best;
            }

            int first = place % groups * group;
            Limit(rows.Span.Slice((place / groups * columns) + first, Math.Min(group, columns - first)), best);
        }
    }

    private static void Limit(Span<float> group, int step)
    {
        float largest = 0;
        foreach (float weight in group)
        {
            largest = MathF.Max(largest, MathF.Abs(weight));
        }

        float limit = largest * (1 - (step * StepSize));
        foreach (ref float weight in group[..(step == 0 ? 0 : group.Length)])
        {
            weight = Math.Clamp(weight, -limit, limit);
        }
    }

    /// <summary>Rounds some rows with one limit.</summary>
    private readonly struct Work(
        Memory<float> rows, float[] divisors, float[] errors, StorageFormat format, ElementType type, float globalScale) : IParallelWork
    {
        public void Run(int task)
        {
            (int batch, int step) = Math.DivRem(task, Steps);
            int columns = divisors.Length, group = format.Block.Columns, start = batch * RowsPerTask * columns, length = Math.Min(RowsPerTask * columns, rows.Length - start);
            ReadOnlySpan<float> wanted = rows.Span.Slice(start, length);
            Span<float> values = errors.AsSpan((step * rows.Length) + start, length);
            wanted.CopyTo(values);
            for (int first = 0; first < length; first += columns)
            {
                for (int column = 0; column < columns; column += group)
                {
                    Limit(values.Slice(first + column, Math.Min(group, columns - column)), step);
                }
            }

            ScaledRounding.Round(format, WeightEncoder.Library, type, length / columns, ColumnWeights.Of([], columns), globalScale, values);
            RowScaling.Subtract(values, wanted, values);
            RowScaling.Divide(values, divisors);
        }
    }
}
