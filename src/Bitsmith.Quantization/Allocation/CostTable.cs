using Bitsmith.Checkpoints.Imatrix;
using Bitsmith.Quantization.Conversion;
using Bitsmith.Tensors.Formats.Ggml;
using Bitsmith.Tensors.Matrices;
using Bitsmith.Tensors.Threading;

namespace Bitsmith.Quantization.Allocation;

/// <summary>Costs of a tensor in some types, from rows that are encoded and decoded.</summary>
/// <param name="cost">The currency.</param>
/// <param name="imatrix">What is known of the inputs, or null.</param>
/// <param name="compute">Threads; costs do not depend on them.</param>
internal sealed class CostTable(IRowCost cost, ImportanceMatrix? imatrix, ComputeOptions compute)
{
    // Rows that a thread reads and encodes to every type at a time.
    private const int RowsPerTask = 8;

    /// <summary>Measures.</summary>
    /// <param name="tensor">The tensor.</param>
    /// <param name="types">The types.</param>
    /// <param name="rowsWanted">Rows to take of a matrix, by rows, columns and number of matrices.</param>
    /// <param name="cancellationToken">Stops between matrices.</param>
    /// <returns>A cost for each type: the sum over the matrices of the tensor.</returns>
    /// <exception cref="OperationCanceledException">Cancelled.</exception>
    public double[] Of(GgufOutput tensor, IReadOnlyList<GgmlType> types, Func<int, int, int, int> rowsWanted, CancellationToken cancellationToken)
    {
        double[] costs = new double[types.Count];
        for (int matrix = 0; matrix < tensor.Parts.Count; matrix++)
        {
            cancellationToken.ThrowIfCancellationRequested();
            TensorSource part = tensor.Parts[matrix];
            InputMoments inputs = InputMoments.Of(imatrix, tensor.Info.Name, matrix, part.Columns);
            RowSample sample = RowSample.Of(tensor.Info.Name, matrix, part.Rows, rowsWanted(part.Rows, part.Columns, tensor.Parts.Count));
            double[][] numbers = [.. types.Select(_ => new double[sample.Count * cost.Numbers])];
            Work work = new(cost, part, inputs, ColumnWeights.Of(inputs.Tokens > 0 ? inputs.Squares : [], part.Columns), sample, types, numbers);
            compute.Run((sample.Count + RowsPerTask - 1) / RowsPerTask, work);
            part.Release();
            double[] each = cost.Costs(part.Rows, inputs, numbers);
            for (int i = 0; i < costs.Length; i++)
            {
                costs[i] += each[i];
            }
        }

        return costs;
    }

    private readonly struct Work(
        IRowCost cost, TensorSource part, InputMoments inputs, ColumnWeights weights, RowSample sample, IReadOnlyList<GgmlType> types, double[][] numbers) : IParallelWork
    {
        public void Run(int task)
        {
            int first = task * RowsPerTask, count = Math.Min(RowsPerTask, sample.Count - first), columns = part.Columns;
            float[] rows = new float[count * columns], decoded = new float[rows.Length];
            for (int i = 0; i < count; i++)
            {
                part.Read(sample.First + ((first + i) * sample.Stride), 1, rows.AsSpan(i * columns, columns));
            }

            foreach ((int index, GgmlType type) in types.Index())
            {
                GgmlFormat format = GgmlFormats.Of(type);
                byte[] bytes = new byte[count * format.RowBytes(columns)];
                format.Encode(rows, weights, bytes);
                format.Decode(bytes, decoded);
                for (int i = 0; i < decoded.Length; i++)
                {
                    decoded[i] -= rows[i];
                }

                for (int i = 0; i < count; i++)
                {
                    cost.Measure(rows.AsSpan(i * columns, columns), decoded.AsSpan(i * columns, columns), inputs, numbers[index].AsSpan((first + i) * cost.Numbers, cost.Numbers));
                }
            }
        }
    }
}
