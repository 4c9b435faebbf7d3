using Bitsmith.Checkpoints.Imatrix;
using Bitsmith.Evaluation.Texts;

namespace Bitsmith.Quantization.Calibration;

/// <summary>What an <see cref="ImatrixJob"/> does.</summary>
public sealed record ImatrixOptions
{
    /// <summary>The model: a Hugging Face folder or a GGUF file.</summary>
    public required string Model { get; init; }

    /// <summary>The text, UTF-8.</summary>
    public required string Text { get; init; }

    /// <summary>The file to write. While the job runs, what it has so far stands in the file of this name with <c>.partial</c> behind it.</summary>
    public required string Output { get; init; }

    /// <summary>The form of the file.</summary>
    public ImatrixFormat Format { get; init; }

    /// <summary>Files of earlier runs on the same model, whose sums are added to the result.</summary>
    public IReadOnlyList<string> Added { get; init; } = [];

    /// <summary>How the text is cut; what takes the place of first tokens is the model's to say.</summary>
    public TextChunkSettings Chunks { get; init; } = new();

    /// <summary>Every expert sees every token; what flows on is what the router chooses.</summary>
    public bool AllExperts { get; init; }

    /// <summary>The head's inputs are taken too.</summary>
    public bool ProcessOutput { get; init; }

    /// <summary>Chunks between two savings.</summary>
    public int SaveFrequency { get; init; } = 10;

    /// <summary>Goes on where an interrupted job was.</summary>
    public bool Resume { get; init; }

    /// <summary>Replaces an existing file, and begins an interrupted job anew.</summary>
    public bool Force { get; init; }

    /// <summary>Threads at work.</summary>
    public int Threads { get; init; } = Environment.ProcessorCount;

    /// <summary>Inputs stay exact where the scheme quantizes them, and where the CPU's BF16 products would round them.</summary>
    public bool ExactActivations { get; init; }
}

/// <summary>How far an <see cref="ImatrixJob"/> is.</summary>
/// <param name="Done">Chunks done, those of an interrupted run included.</param>
/// <param name="Total">All chunks.</param>
/// <param name="Running">Chunks at work, which run together.</param>
/// <param name="Layer">Layers that they have behind them.</param>
/// <param name="Layers">Layers of the model.</param>
public sealed record ImatrixProgress(int Done, int Total, int Running, int Layer, int Layers);
