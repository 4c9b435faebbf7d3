using Bitsmith.Quantization.Allocation;
using Bitsmith.Quantization.Mixes;

namespace Bitsmith.Quantization.Jobs;

/// <summary>What a job that writes GGUF is asked to do.</summary>
public sealed record GgufJobOptions
{
    /// <summary>The source: a Hugging Face folder, or a GGUF file.</summary>
    public required string Model { get; init; }

    /// <summary>The file to write; where it is split, the name without numbers.</summary>
    public required string Output { get; init; }

    /// <summary>Which types tensors take.</summary>
    public required GgufMix Mix { get; init; }

    /// <summary>What is to be otherwise than in the mix.</summary>
    public MixOptions MixOptions { get; init; } = MixOptions.None;

    /// <summary>Types that were chosen for a size, for tensors to which <see cref="MixOptions"/> gives none; null to follow the mix.</summary>
    public AllocationPlan? Allocation { get; init; }

    /// <summary>An importance matrix, GGUF or .dat; null for none.</summary>
    public string? Imatrix { get; init; }

    /// <summary>Types that need an importance matrix may be encoded without one.</summary>
    public bool AllowNoImatrix { get; init; }

    /// <summary>The source may be quantized already.</summary>
    public bool AllowRequantize { get; init; }

    /// <summary>Tensor bytes of a file at most, unless a single tensor has more; null for one file.</summary>
    public long? MaxFileBytes { get; init; }

    /// <summary>Encoding threads.</summary>
    public int Threads { get; init; } = Environment.ProcessorCount;

    /// <summary>Replace an existing output, or start an interrupted job over.</summary>
    public bool Force { get; init; }

    /// <summary>Go on with an interrupted job.</summary>
    public bool Resume { get; init; }

    /// <summary>The most memory the job may use, in bytes; null for no limit of its own.</summary>
    public long? MaxMemoryBytes { get; init; }

    /// <summary>After so many weights the file is flushed to disk and the journal says how far it is.</summary>
    internal long CheckpointValues { get; init; } = 1 << 26;

    /// <summary>What is otherwise than in the mix, chosen types included.</summary>
    internal MixOptions AllMixOptions => Allocation is null ? MixOptions : MixOptions with { Overrides = [.. MixOptions.Overrides, .. Allocation.OverridesBeside(MixOptions)] };
}
