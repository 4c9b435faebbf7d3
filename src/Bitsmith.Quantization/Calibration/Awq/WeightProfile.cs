using System.Numerics;
using Bitsmith.Checkpoints;
using Bitsmith.Models.Layers;
using Bitsmith.Tensors.Matrices;
using Bitsmith.Tensors.Threading;

namespace Bitsmith.Quantization.Calibration.Awq;

/// <summary>What the weights of some Linears with the same input are, column by column. A column's rows are added one by one, in binary64, so that results do not depend on threads.</summary>
internal sealed class WeightProfile(int columns)
{
    private const int RowsAtOnce = 64, ColumnsPerTask = 256;

    // Keeps groups of zeros from being divided by zero.
    private const float Least = 1e-6f;

    private readonly double[] relative = new double[columns];
    private readonly Dictionary<string, float[]> largest = new(StringComparer.Ordinal);
    private float[] rows = [];
    private long count;

    /// <summary>The mean of |w| / (the largest of its group + 1e-6) of each column.</summary>
    public double[] Means => [.. relative.Select(sum => sum / count)];

    /// <summary>The largest |w| of each column, of all Linears that were added under a key.</summary>
    public ReadOnlySpan<float> LargestOf(string key) => largest[key];

    /// <summary>Adds all rows of a Linear.</summary>
    /// <param name="linear">The Linear.</param>
    /// <param name="groupColumns">Columns of a group; the last group may be cut off.</param>
    /// <param name="key">For <see cref="LargestOf"/>.</param>
    /// <param name="compute">Threads and kernels.</param>
    /// <exception cref="CheckpointException">A weight is NaN or infinite.</exception>
    public void Add(Linear linear, int groupColumns, string key, ComputeOptions compute)
    {
        if (!largest.TryGetValue(key, out float[]? most))
        {
            largest[key] = most = new float[columns];
        }

        if (rows.Length == 0)
        {
            rows = GC.AllocateUninitializedArray<float>(RowsAtOnce * columns);
        }

        int stripe = Math.Max(1, ColumnsPerTask / groupColumns) * groupColumns;
        for (int first = 0; first < linear.Weight.Rows; first += RowsAtOnce)
        {
            int height = Math.Min(RowsAtOnce, linear.Weight.Rows - first);
            compute.Run(height, new Reading(linear.Weight, first, rows, compute));
            compute.Run((columns + stripe - 1) / stripe, new Adding(this, height, groupColumns, stripe, most));
        }

        count += linear.Weight.Rows;
        if (Array.Exists(relative, sum => !double.IsFinite(sum)))
        {
            throw NotFinite(linear, compute);
        }
    }

    private CheckpointException NotFinite(Linear linear, ComputeOptions compute)
    {
        int row = -1, column = -1;
        while (column < 0)
        {
            linear.Weight.Read(++row, 1, rows.AsSpan(0, columns), compute.InstructionSet);
            column = Array.FindIndex(rows, 0, columns, weight => !float.IsFinite(weight));
        }

        return new CheckpointException(linear.Name, $"the weight at row {row}, column {column} is {rows[column]} and cannot be rounded. The checkpoint is damaged, or ignore the module.");
    }

    private readonly struct Reading(WeightMatrix weight, int first, float[] rows, ComputeOptions compute) : IParallelWork
    {
        public void Run(int task) => weight.Read(first + task, 1, rows.AsSpan(task * weight.Columns, weight.Columns), compute.InstructionSet);
    }

    private readonly struct Adding(WeightProfile profile, int height, int groupColumns, int stripe, float[] largest) : IParallelWork
    {
        public void Run(int task)
        {
            int columns = largest.Length;
            for (int row = 0; row < height; row++)
            {
                for (int first = task * stripe; first < Math.Min(columns, (task + 1) * stripe); first += groupColumns)
                {
                    int width = Math.Min(groupColumns, columns - first);
                    AddGroup(profile.rows.AsSpan((row * columns) + first, width), profile.relative.AsSpan(first, width), largest.AsSpan(first, width));
                }
            }
        }

        private static void AddGroup(ReadOnlySpan<float> group, Span<double> relative, Span<float> largest)
        {
            Vector<float> most = Vector<float>.Zero;
            float rest = 0;
            int i = 0;
            for (; i <= group.Length - Vector<float>.Count; i += Vector<float>.Count)
            {
                Vector<float> magnitude = Vector.Abs(new Vector<float>(group[i..]));
                most = Vector.Max(most, magnitude);
                Vector.Max(new Vector<float>(largest[i..]), magnitude).CopyTo(largest[i..]);
            }

            for (; i < group.Length; i++)
            {
                float magnitude = MathF.Abs(group[i]);
                (rest, largest[i]) = (MathF.Max(rest, magnitude), MathF.Max(largest[i], magnitude));
            }

            for (int lane = 0; lane < Vector<float>.Count; lane++)
            {
                rest = MathF.Max(rest, most[lane]);
            }

            float divisor = rest + Least;
            Vector<float> divisors = new(divisor);
            for (i = 0; i <= group.Length - Vector<float>.Count; i += Vector<float>.Count)
            {
                Vector.Widen(Vector.Abs(new Vector<float>(group[i..])) / divisors, out Vector<double> low, out Vector<double> high);
                (new Vector<double>(relative[i..]) + low).CopyTo(relative[i..]);
                int middle = i + Vector<double>.Count;
                (new Vector<double>(relative[middle..]) + high).CopyTo(relative[middle..]);
            }

            for (; i < group.Length; i++)
            {
                relative[i] += MathF.Abs(group[i]) / divisor;
            }
        }
    }
}
