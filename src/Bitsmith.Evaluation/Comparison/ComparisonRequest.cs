using Bitsmith.Evaluation.Speed;
using Bitsmith.Evaluation.Tasks;
using Bitsmith.Evaluation.Texts;

namespace Bitsmith.Evaluation.Comparison;

/// <summary>What is compared, and by what.</summary>
/// <param name="Base">The base model, a folder or a GGUF file.</param>
/// <param name="Models">The models made from it.</param>
/// <param name="Text">The text that perplexity and divergence are measured on.</param>
/// <param name="Cut">How it is cut.</param>
/// <param name="Settings">How the models are run.</param>
public sealed record ComparisonRequest(string Base, IReadOnlyList<string> Models, string Text, TextChunkSettings Cut, EvaluationSettings Settings)
{
    /// <summary>A second row, with exact inputs, for each model whose scheme quantizes the inputs of Linears: what the weights alone have lost.</summary>
    public bool AlsoExact { get; init; }

    /// <summary>What becomes of inputs in the base model.</summary>
    public ActivationMode BaseActivations { get; init; } = ActivationMode.Exact;

    /// <summary>The chunk of the text, from 1 on, whose tokens and layers are shown one by one.</summary>
    public int Passage { get; init; } = 1;

    /// <summary>Tasks to score.</summary>
    public IReadOnlyList<TaskRequest> Tasks { get; init; } = [];

    /// <summary>How tasks are evaluated.</summary>
    public TaskSettings TaskSettings { get; init; } = new();

    /// <summary>What speed is measured of; null for none.</summary>
    public SpeedSettings? Speed { get; init; }

    /// <summary>Measure again what was measured before.</summary>
    public bool Anew { get; init; }
}

/// <summary>Told while a comparison is at work.</summary>
/// <param name="Model">The model's name in the report; empty where all are measured at once.</param>
/// <param name="Metric">What is measured.</param>
/// <param name="Done">Parts done.</param>
/// <param name="Total">All parts.</param>
/// <param name="IsDone">True where the measurement is known.</param>
/// <param name="IsKept">True where it was there from an earlier run.</param>
public sealed record ComparisonProgress(string Model, string Metric, int Done, int Total, bool IsDone = false, bool IsKept = false);
