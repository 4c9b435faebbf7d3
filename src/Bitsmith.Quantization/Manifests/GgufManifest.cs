using System.Text.Json.Serialization;
using Bitsmith.Quantization.Allocation;

namespace Bitsmith.Quantization.Manifests;

/// <summary>
/// NAME.bitsmith.json beside NAME.gguf: where a GGUF file came from, how it was made and what it lost. Holds no time, path or machine, so the same work gives the same bytes.
/// </summary>
public sealed record GgufManifest
{
    /// <summary>Version of this layout.</summary>
    public const int CurrentFormat = 1;

    /// <summary>What follows the name of a result.</summary>
    public const string Suffix = ".bitsmith.json";

    /// <summary>Version of this layout that the file has.</summary>
    public required int Format { get; init; }

    /// <summary>The Bitsmith that wrote it, with commit.</summary>
    public required string Version { get; init; }

    /// <summary>llama.cpp's name of the architecture.</summary>
    public required string Architecture { get; init; }

    /// <summary>The mix and what was changed of it.</summary>
    public required GgufRecipe Recipe { get; init; }

    /// <summary>Totals.</summary>
    public required GgufTotals Totals { get; init; }

    /// <summary>What the plan warned of.</summary>
    public required IReadOnlyList<string> Warnings { get; init; }

    /// <summary>Name and length of every weight file read.</summary>
    public required IReadOnlyList<SourceLength> Source { get; init; }

    /// <summary>Every file of the result but this one.</summary>
    public required IReadOnlyList<FileDigest> Output { get; init; }

    /// <summary>Every encoded tensor with its loss.</summary>
    public required IReadOnlyList<TensorReport> Tensors { get; init; }

    /// <summary>SHA-256 of this file with this value as 64 zeros.</summary>
    public required string Digest { get; init; }

    /// <summary>The manifest of a result, whichever of its files is named.</summary>
    public static string PathFor(string result)
    {
        ArgumentNullException.ThrowIfNull(result);
        string name = result.EndsWith(".gguf", StringComparison.OrdinalIgnoreCase) ? result[..^".gguf".Length] : result;
        int split = name.Length - "-00001-of-00001".Length;
        return (split > 0 && name[split] == '-' && name.AsSpan(split + 6, 4).SequenceEqual("-of-") ? name[..split] : name) + Suffix;
    }
}

/// <summary>What decides the bytes of a GGUF result.</summary>
/// <param name="Scheme">The mix.</param>
/// <param name="TensorTypes">Types by name, as given.</param>
/// <param name="Pure">Every matrix takes the base type.</param>
/// <param name="OutputType">The type of the output head, where one was given.</param>
/// <param name="EmbeddingType">The type of the embedding, where one was given.</param>
/// <param name="Imatrix">The importance matrix, or null.</param>
/// <param name="MaxFileBytes">Limit of a file, or null.</param>
/// <param name="Allocation">Types that were chosen for a size, or null.</param>
public sealed record GgufRecipe(
    string Scheme, IReadOnlyList<string> TensorTypes, bool Pure, string? OutputType, string? EmbeddingType, FileDigest? Imatrix, long? MaxFileBytes,
    [property: JsonIgnore(Condition = JsonIgnoreCondition.WhenWritingNull)] GgufAllocation? Allocation = null);

/// <summary>Types that were chosen for a size.</summary>
/// <param name="Target">The size.</param>
/// <param name="Method">What counted as loss.</param>
/// <param name="Types">The types, each <c>NAME=TYPE</c>; they came after the types by name.</param>
public sealed record GgufAllocation(AllocationTarget Target, AllocationMethod Method, IReadOnlyList<string> Types);

/// <summary>A file of the source.</summary>
/// <param name="File">Its name.</param>
/// <param name="Bytes">Its length.</param>
public sealed record SourceLength(string File, long Bytes);

/// <summary>Totals of a GGUF result.</summary>
/// <param name="Tensors">Tensors.</param>
/// <param name="EncodedTensors">Tensors whose type changed.</param>
/// <param name="BytesBefore">Tensor bytes of the source.</param>
/// <param name="BytesAfter">Tensor bytes of the result.</param>
/// <param name="BitsPerWeight">Bits for each weight of the result.</param>
/// <param name="RelativeRmse">Over all encoded tensors together.</param>
/// <param name="SnrDb">Signal to noise ratio in dB over all encoded tensors together; null where nothing was lost.</param>
public sealed record GgufTotals(int Tensors, int EncodedTensors, long BytesBefore, long BytesAfter, double BitsPerWeight, double? RelativeRmse, double? SnrDb);
