using Bitsmith.Checkpoints.Gguf;
using Bitsmith.Quantization.Mixes;

namespace Bitsmith.Quantization.Planning;

/// <summary>What the importance matrix says of a tensor.</summary>
public enum ImportanceUse
{
    /// <summary>None is used for this tensor: none was given, or the type does not look at it.</summary>
    None,

    /// <summary>Every matrix of the tensor is weighted.</summary>
    Full,

    /// <summary>Some experts have no data: their columns count the same.</summary>
    Partial,

    /// <summary>The matrix has no data for this tensor: all columns count the same.</summary>
    Missing,
}

/// <summary>What happens to one tensor on its way into a GGUF file.</summary>
/// <param name="Source">The tensor as it is, or as conversion would write it.</param>
/// <param name="Output">The tensor of the result.</param>
/// <param name="IsEncoded">True where the bytes change; false where they are carried over.</param>
/// <param name="Rule">What decided, in words.</param>
/// <param name="Importance">What the importance matrix says of it.</param>
/// <param name="MatricesWithoutData">Experts without data in the importance matrix.</param>
public sealed record GgufPlanRow(GgufTensorInfo Source, GgufTensorInfo Output, bool IsEncoded, string Rule, ImportanceUse Importance, int MatricesWithoutData);

/// <summary>What a job will write as GGUF: one row for each tensor, in the order of the file; key/value pairs; totals.</summary>
/// <param name="Mix">The mix.</param>
/// <param name="Rows">The rows.</param>
/// <param name="Metadata">The key/value pairs of the result.</param>
/// <param name="Warnings">What a reader should know before starting.</param>
public sealed record GgufPlan(GgufMix Mix, IReadOnlyList<GgufPlanRow> Rows, GgufMetadata Metadata, IReadOnlyList<string> Warnings)
{
    /// <summary>llama.cpp's name of the architecture.</summary>
    public string Architecture => Metadata.Text("general.architecture");

    /// <summary>Tensor bytes of the source.</summary>
    public long BytesBefore { get; } = Rows.Sum(row => row.Source.Bytes);

    /// <summary>Tensor bytes of the result.</summary>
    public long BytesAfter { get; } = Rows.Sum(row => row.Output.Bytes);

    /// <summary>Number of tensors that are encoded.</summary>
    public int EncodedTensors { get; } = Rows.Count(row => row.IsEncoded);

    /// <summary>Bits for each weight of the result, norms and scales included.</summary>
    public double BitsPerWeight { get; } = Rows.Sum(row => row.Output.Bytes) * 8.0 / Math.Max(1, Rows.Sum(row => row.Output.Elements));
}
