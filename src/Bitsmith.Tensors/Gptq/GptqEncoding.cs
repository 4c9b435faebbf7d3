using System.Runtime.InteropServices;
using Bitsmith.Tensors.ElementTypes;
using Bitsmith.Tensors.Formats;
using Bitsmith.Tensors.Formats.Ggml;
using Bitsmith.Tensors.InstructionSets;
using Bitsmith.Tensors.Matrices;
using Bitsmith.Tensors.Memory;
using Bitsmith.Tensors.Threading;

namespace Bitsmith.Tensors.Gptq;

/// <summary>
/// GPTQ for formats of 4-bit codes in groups, a panel of rows at a time: scales by the weighted search of <see cref="WeightEncoder.Best"/>, one pass that rounds column by column and carries the errors on
/// (<see cref="MomentFactor"/>), then sweeps over the groups, in which scale and codes become what is best with all others as they are.
/// </summary>
/// <remarks>
/// Everything is binary32; sums over columns run in a fixed order, products fused where the instruction set can, so results depend on neither threads nor on which rows are encoded together, but may differ between
/// instruction sets. A row costs columns² · (4.5 + sweeps) multiplications, a thread's memory is 1 KB for each column.
/// </remarks>
internal static unsafe class GptqEncoding
{
    private const int Rows = PanelProduct.Width;

    /// <summary>Columns worked on together, in whole groups, while what the others do to them is known.</summary>
    private const int BlockColumns = 64;

    /// <summary>Encodes all rows of a matrix; lengths are checked here.</summary>
    /// <param name="format">The format.</param>
    /// <param name="weights">rows × columns.</param>
    /// <param name="factor">Of the inputs.</param>
    /// <param name="options">How long to go on.</param>
    /// <param name="packed">Receives half a byte for each weight.</param>
    /// <param name="scales">Receives a scale for each group.</param>
    /// <param name="zeroPoints">Where the format has zero points: receives them, packed. Otherwise empty.</param>
    /// <param name="compute">Threads and kernels.</param>
    /// <returns>What it costs the outputs.</returns>
    public static GptqLoss Encode<TFormat>(
        TFormat format, ReadOnlyMemory<float> weights, MomentFactor factor, GptqOptions options, Memory<byte> packed, Memory<byte> scales, Memory<byte> zeroPoints, ComputeOptions compute)
        where TFormat : struct, IGroupFormat
    {
        ArgumentNullException.ThrowIfNull(factor);
        ArgumentNullException.ThrowIfNull(options);
        ArgumentNullException.ThrowIfNull(compute);
        int columns = factor.Columns, rows = weights.Length / columns;
        if (weights.Length != (long)rows * columns || columns % format.GroupSize != 0
            || packed.Length != (long)rows * columns / 2 || scales.Length != (long)rows * (columns / format.GroupSize) * format.ScaleBytes
            || zeroPoints.Length != (format.HasZeroPoints ? ZeroPoints.BytesOf(rows, columns / format.GroupSize) : 0))
        {
            throw new ArgumentException($"{weights.Length} weights, {packed.Length} bytes of codes, {scales.Length} of scales and {zeroPoints.Length} of zero points do not fit {columns} columns in groups of {format.GroupSize}.", nameof(weights));
        }

        GptqLoss[] losses = new GptqLoss[(rows + Rows - 1) / Rows];
        compute.Run(losses.Length, new Panels<TFormat>(format, weights, ColumnWeights.Of(factor.Diagonal, columns), factor, options, packed, scales, zeroPoints, losses, compute.InstructionSet));
        return losses.Aggregate(default(GptqLoss), (sum, loss) => sum + loss);
    }

    private readonly struct Panels<TFormat>(
        TFormat format, ReadOnlyMemory<float> weights, ColumnWeights importance, MomentFactor factor, GptqOptions options, Memory<byte> packed, Memory<byte> scales, Memory<byte> zeroPoints,
        GptqLoss[] losses, InstructionSet set) : IParallelWork
        where TFormat : struct, IGroupFormat
    {
        public void Run(int task)
        {
            losses[task] = set switch
            {
                InstructionSet.Avx512 => Encode<Lanes512>(task),
                InstructionSet.Avx2 => Encode<Lanes256>(task),
                InstructionSet.Vector128 => Encode<Lanes128>(task),
                _ => Encode<ScalarLanes>(task),
            };
        }

        private GptqLoss Encode<TLanes>(int task)
            where TLanes : struct, ILanes16<TLanes>
        {
            int columns = factor.Columns, first = task * Rows, rows = Math.Min(Rows, (weights.Length / columns) - first), groups = columns / format.GroupSize;
            ReadOnlySpan<float> source = weights.Span.Slice(first * columns, rows * columns);
            Span<byte> codes = packed.Span.Slice(first * columns / 2, rows * columns / 2), stored = scales.Span.Slice(first * groups * format.ScaleBytes, rows * groups * format.ScaleBytes);
            // A panel is whole words of zero points.
            Span<byte> zeros = format.HasZeroPoints ? zeroPoints.Span.Slice((int)ZeroPoints.BytesOf(first, groups), (int)ZeroPoints.BytesOf(rows, groups)) : [];
            int block = format.GroupSize * Math.Max(1, BlockColumns / format.GroupSize);
            Span<float> scratch = ThreadScratch.Take<float>(checked((((3 * columns) + (3 * groups) + (2 * block)) * Rows)));
            scratch.Clear();
            fixed (float* memory = scratch)
            {
                GptqPanel<TFormat, TLanes> panel = new(format, factor, memory, block, rows);
                panel.Load(source);
                double signal = panel.Square();
                Find(WeightEncoder.Library, source, first, codes, stored, zeros);
                panel.LoadScales(stored, zeros);
                panel.LoadCodes(codes);
                double library = panel.Square();
                Find(WeightEncoder.Best, source, first, codes, stored, zeros);
                panel.Load(source);
                panel.LoadScales(stored, zeros);
                panel.Round();
                for (int sweep = 0; sweep < options.Sweeps && panel.Sweep(); sweep++)
                {
                }

                panel.Store(codes, stored, zeros);
                return new GptqLoss(panel.Square(), library, signal);
            }
        }

        /// <summary>Scales and codes without regard to other columns.</summary>
        private void Find(WeightEncoder encoder, ReadOnlySpan<float> source, int firstRow, Span<byte> codes, Span<byte> stored, Span<byte> zeros)
        {
            Span<QuantizationError> errors = stackalloc QuantizationError[source.Length / factor.Columns], libraryErrors = stackalloc QuantizationError[encoder == WeightEncoder.Best ? errors.Length : 0];
            try
            {
                GroupEncoding.Encode(format, encoder, ElementType.F32, MemoryMarshal.AsBytes(source), importance, codes, stored, zeros, errors, libraryErrors, set);
            }
            catch (NonFiniteWeightException problem)
            {
                throw new NonFiniteWeightException(firstRow + problem.Row, problem.Column, problem.Value);
            }
        }
    }
}
