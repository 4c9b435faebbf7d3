using Bitsmith.Checkpoints.Gguf;
using Bitsmith.Checkpoints.Imatrix;
using Bitsmith.Quantization.Conversion;
using Bitsmith.Quantization.Planning;
using Bitsmith.Tensors.Formats.Ggml;

namespace Bitsmith.Quantization.Jobs;

/// <summary>Rows of one matrix on their way into a GGUF file.</summary>
/// <param name="File">Index of the file.</param>
/// <param name="Row">The tensor.</param>
/// <param name="Part">Where the rows come from.</param>
/// <param name="Weights">How much each column counts.</param>
/// <param name="FirstRow">First row.</param>
/// <param name="Rows">Number of rows.</param>
/// <param name="Offset">Where their bytes start in the file.</param>
/// <param name="Bytes">Their bytes in the file.</param>
/// <param name="EndsTensor">The last of the tensor.</param>
/// <param name="EndsFile">The last of the file.</param>
internal readonly record struct GgufStep(
    int File, GgufPlanRow Row, TensorSource Part, ColumnWeights Weights, int FirstRow, int Rows, long Offset, int Bytes, bool EndsTensor, bool EndsFile)
{
    public int Values => Rows * Part.Columns;
}

/// <summary>
/// How a GGUF result is cut: into whole rows, front to back. The cut depends on shapes alone, never on threads, and a block never reaches over a row, so results do not depend on it.
/// </summary>
/// <param name="Source">The model.</param>
/// <param name="Plan">What becomes of its tensors.</param>
/// <param name="Layouts">The files.</param>
/// <param name="Imatrix">Importance, or null.</param>
internal sealed record GgufSteps(GgufSource Source, GgufPlan Plan, IReadOnlyList<GgufLayout> Layouts, ImportanceMatrix? Imatrix)
{
    /// <summary>Weights worked on at a time by a thread, unless a row has more.</summary>
    public const int TargetValues = 1 << 18;

    // Mapped weights stay in memory until they are given back: after so many of a matrix.
    private const long ReleaseValues = 1 << 25;

    /// <summary>Mapped bytes of one matrix that stay in memory at once, at most.</summary>
    public const long MappedBytes = ReleaseValues * sizeof(float);

    /// <summary>The most values that one step has.</summary>
    public static long MostValues(GgufPlan plan) => plan.Rows.Max(row => Math.Max(TargetValues, row.Output.Shape.LastOrDefault(1)));

    /// <summary>The steps behind those that are done.</summary>
    /// <param name="firstFile">The first file that is not finished.</param>
    /// <param name="position">Bytes of it that are.</param>
    public IEnumerable<GgufStep> From(int firstFile, long position)
    {
        Dictionary<string, GgufPlanRow> rows = Plan.Rows.ToDictionary(row => row.Output.Name, StringComparer.Ordinal);
        Dictionary<string, GgufOutput> outputs = Source.Tensors.ToDictionary(output => output.Info.Name, StringComparer.Ordinal);
        for (int file = firstFile; file < Layouts.Count; file++)
        {
            GgufTensor[] tensors = [.. Layouts[file].Tensors.Where(tensor => tensor.Bytes > 0)];
            for (int i = 0; i < tensors.Length; i++)
            {
                if (file > firstFile || tensors[i].Offset >= position)
                {
                    foreach (GgufStep step in Of(file, tensors[i], rows[tensors[i].Name], outputs[tensors[i].Name].Parts, i == tensors.Length - 1))
                    {
                        yield return step;
                    }
                }
            }
        }
    }

    private IEnumerable<GgufStep> Of(int file, GgufTensor tensor, GgufPlanRow row, IReadOnlyList<TensorSource> parts, bool endsFile)
    {
        float[] importance = row.Importance is ImportanceUse.Full or ImportanceUse.Partial ? Imatrix!.Entries[tensor.Name].Importance() : [];
        long offset = tensor.Offset;
        for (int matrix = 0; matrix < parts.Count; matrix++)
        {
            TensorSource part = parts[matrix];
            ColumnWeights weights = ColumnWeights.Of(importance.Length == 0 ? [] : importance.AsSpan(matrix * part.Columns, part.Columns), part.Columns);
            int rowBytes = checked(part.Columns / tensor.Type.BlockValues * tensor.Type.BlockBytes), rowsEach = Math.Clamp(TargetValues / part.Columns, 1, part.Rows);
            long read = 0;
            for (int first = 0; first < part.Rows; first += rowsEach)
            {
                int rows = Math.Min(rowsEach, part.Rows - first), bytes = checked(rows * rowBytes);
                bool ends = matrix == parts.Count - 1 && first + rows == part.Rows;
                yield return new GgufStep(file, row, part, weights, first, rows, offset, bytes, ends, ends && endsFile);
                offset += bytes;
                read += (long)rows * part.Columns;
                if (read >= ReleaseValues || first + rows == part.Rows)
                {
                    part.Release(); // rows that others still read are read from the file again
                    read = 0;
                }
            }
        }
    }
}
