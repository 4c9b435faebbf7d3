using Bitsmith.Models.Layers;
using Bitsmith.Quantization.Formats;
using Bitsmith.Tensors.ElementTypes;
using Bitsmith.Tensors.Formats;
using Bitsmith.Tensors.Formats.Ggml;
using Bitsmith.Tensors.Matrices;
using Bitsmith.Tensors.Threading;

namespace Bitsmith.Quantization.Calibration.Awq;

/// <summary>A Linear whose rounding is weighed at several points, and what the rounding needs at each.</summary>
/// <param name="Linear">The Linear.</param>
/// <param name="Format">How it is rounded.</param>
/// <param name="Type">The type of its stored weights, to which scaled weights are rounded first.</param>
/// <param name="Moments">The second moments of its input.</param>
/// <param name="GlobalScales">The format's global scale at each point.</param>
/// <param name="Importance">How much each column counts for the encoder at each point.</param>
internal sealed record WeighedLinear(
    Linear Linear, StorageFormat Format, ElementType Type, SecondMoments Moments, IReadOnlyList<float> GlobalScales, IReadOnlyList<ColumnWeights> Importance);

/// <summary>
/// What rounding costs in the outputs of Linears: Σ D H Dᵀ over rows, D = Q(T(w · s)) / s - w, H the second moments of the input. That is the squared error of the outputs over all tokens, without running them. Some
/// rows are rounded at all points s at once, so that H is read once for all of them. The Linears share their input, or have inputs of their own. Results do not depend on threads.
/// </summary>
internal sealed class AwqLoss(AwqOptions options, ComputeOptions compute) : IDisposable
{
    // Errors at work, of all points. A batch of rows is rounded by one thread at one point.
    private const long ErrorBytes = 64 << 20;
    private const int BatchRows = 16;

    private readonly QuadraticForm form = new();
    private float[] originals = [], errors = [];
    private double[] results = [];

    /// <summary>Most bytes of memory at work for weights of so many columns in blocks of a format.</summary>
    public static long MemoryBytes(int columns, int blockRows, int points)
    {
        long chunk = Math.Max(ErrorBytes, (long)points * columns * sizeof(float) * RowsOf(blockRows));
        return (2 * chunk) + QuadraticForm.BytesOf((chunk / ((long)columns * sizeof(float))) + 1, columns);
    }

    /// <summary>Weighs.</summary>
    /// <param name="linears">Linears with as many columns as there are factors.</param>
    /// <param name="points">s at each point, a factor for each column.</param>
    /// <returns>The loss at each point.</returns>
    public double[] Measure(IReadOnlyList<WeighedLinear> linears, IReadOnlyList<float[]> points)
    {
        double[] losses = new double[points.Count];
        int step = StepOf(linears, options.Rows);
        foreach (IGrouping<SecondMoments, WeighedLinear> alike in linears.GroupBy(linear => linear.Moments))
        {
            int most = (int)Math.Max(1, ErrorBytes / ((long)points.Count * alike.Key.Columns * sizeof(float)));
            List<Batch> batches = [];
            int rows = 0;
            foreach (Batch batch in alike.SelectMany(linear => BatchesOf(linear, step)))
            {
                if (rows > 0 && rows + batch.Rows > most)
                {
                    Measure(batches, rows, alike.Key, points, losses);
                    batches.Clear();
                    rows = 0;
                }

                batches.Add(batch with { Start = rows });
                rows += batch.Rows;
            }

            Measure(batches, rows, alike.Key, points, losses);
        }

        return losses;
    }

    /// <inheritdoc/>
    public void Dispose() => form.Dispose();

    /// <summary>Every how many block rows one is taken: odd, so that the rows taken stand at all places in heads.</summary>
    private static int StepOf(IReadOnlyList<WeighedLinear> linears, int rows)
    {
        long all = linears.Sum(linear => (long)linear.Linear.Weight.Rows), step = (all + rows - 1) / rows;
        return (int)(step <= 1 ? 1 : step | 1);
    }

    private static int RowsOf(int blockRows) => Math.Max(1, BatchRows / blockRows) * blockRows;

    private static IEnumerable<Batch> BatchesOf(WeighedLinear linear, int step)
    {
        int block = linear.Format.Block.Rows, height = linear.Linear.Weight.Rows, blocks = (((height + block - 1) / block) + step - 1) / step, each = RowsOf(block) / block;
        for (int first = 0; first < blocks; first += each)
        {
            int count = Math.Min(each, blocks - first), last = (first + count - 1) * step * block;
            yield return new Batch(linear, 0, first * step, step, count, ((count - 1) * block) + Math.Min(block, height - last));
        }
    }

    private void Measure(List<Batch> batches, int rows, SecondMoments moments, IReadOnlyList<float[]> points, double[] losses)
    {
        int columns = moments.Columns;
        Grow(ref originals, rows * columns);
        Grow(ref errors, checked(points.Count * rows * columns));
        Grow(ref results, points.Count * rows);
        compute.Run(batches.Count, new Reading(this, batches));
        compute.Run(batches.Count * points.Count, new Rounding(this, batches, rows, points));
        Memory<double> found = results.AsMemory(0, points.Count * rows);
        form.Evaluate(moments, errors.AsMemory(0, found.Length * columns), found, compute);
        for (int i = 0; i < found.Length; i++)
        {
            losses[i / rows] += found.Span[i];
        }

        static void Grow<T>(ref T[] array, int length) => array = array.Length < length ? GC.AllocateUninitializedArray<T>(length) : array;
    }

    /// <summary>Some block rows of a Linear.</summary>
    /// <param name="Part">The Linear.</param>
    /// <param name="Start">Their place among the rows at work.</param>
    /// <param name="First">The first one's number.</param>
    /// <param name="Step">From one to the next.</param>
    /// <param name="Blocks">How many.</param>
    /// <param name="Rows">Their rows: the last block of a matrix may have fewer.</param>
    private readonly record struct Batch(WeighedLinear Part, int Start, int First, int Step, int Blocks, int Rows);

    private readonly struct Reading(AwqLoss loss, List<Batch> batches) : IParallelWork
    {
        public void Run(int task)
        {
            (WeighedLinear part, int start, int first, int step, int blocks, int rows) = batches[task];
            int columns = part.Linear.Weight.Columns, block = part.Format.Block.Rows;
            for (int i = 0, row = 0; i < blocks; i++, row += block)
            {
                int count = Math.Min(block, rows - row);
                part.Linear.Weight.Read((first + (i * step)) * block, count, loss.originals.AsSpan((start + row) * columns, count * columns), loss.Compute.InstructionSet);
            }
        }
    }

    private readonly struct Rounding(AwqLoss loss, List<Batch> batches, int allRows, IReadOnlyList<float[]> points) : IParallelWork
    {
        public void Run(int task)
        {
            (int batch, int point) = Math.DivRem(task, points.Count);
            (WeighedLinear part, int start, _, _, _, int rows) = batches[batch];
            int columns = part.Linear.Weight.Columns, count = rows * columns;
            ReadOnlySpan<float> original = loss.originals.AsSpan(start * columns, count), factors = points[point];
            Span<float> values = loss.errors.AsSpan(((point * allRows) + start) * columns, count);
            original.CopyTo(values);
            RowScaling.Multiply(values, factors);
            ScaledRounding.Round(part.Format, loss.Encoder, part.Type, rows, part.Importance[point], part.GlobalScales[point], values);
            RowScaling.Divide(values, factors);
            RowScaling.Subtract(values, original, values);
        }
    }

    private ComputeOptions Compute => compute;

    private WeightEncoder Encoder => options.Encoder;
}
