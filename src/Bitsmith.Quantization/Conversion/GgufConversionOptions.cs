using Bitsmith.Checkpoints.Gguf;

namespace Bitsmith.Quantization.Conversion;

/// <summary>What a conversion to GGUF is asked to do.</summary>
public sealed record GgufConversionOptions
{
    /// <summary>The source: a Hugging Face folder, original or FP8 blocks.</summary>
    public required string Model { get; init; }

    /// <summary>The file to write; where it is split, the name without numbers.</summary>
    public required string Output { get; init; }

    /// <summary>The type of matrices: F32, F16 or BF16.</summary>
    public GgufTensorType Type { get; init; } = GgufTensorType.BF16;

    /// <summary>Write the vision tower instead of the language model: what llama.cpp calls a multimodal projector file.</summary>
    public bool Mmproj { get; init; }

    /// <summary>Tensor bytes of a file at most, unless a single tensor has more; null for one file.</summary>
    public long? MaxFileBytes { get; init; }

    /// <summary>Replace existing files.</summary>
    public bool Force { get; init; }
}

/// <summary>A finished conversion.</summary>
/// <param name="Files">The files.</param>
/// <param name="Architecture">llama.cpp's name of the architecture.</param>
/// <param name="Type">The type of matrices.</param>
/// <param name="Tensors">Number of tensors.</param>
/// <param name="Bytes">Length of all files together.</param>
/// <param name="Notes">What was left out, and what the source lacks.</param>
public sealed record GgufConversionResult(IReadOnlyList<string> Files, string Architecture, string Type, int Tensors, long Bytes, IReadOnlyList<string> Notes);
