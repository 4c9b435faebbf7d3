namespace Bitsmith.Quantization.Calibration;

/// <summary>What a layer's inputs are in a <see cref="CalibrationPipeline"/>.</summary>
public enum Propagation
{
    /// <summary>Outputs of the layers before with the weights that took the place of their own: later layers can make good what earlier ones lost.</summary>
    Quantized,

    /// <summary>Outputs of the original layers.</summary>
    Original,
}

/// <summary>How a <see cref="CalibrationPipeline"/> works.</summary>
public sealed record PipelineOptions
{
    /// <summary>The folder in which the job works, which is its own: hidden states, results of layers, and how far it is.</summary>
    public required string WorkFolder { get; init; }

    /// <summary>What the layers see.</summary>
    public Propagation Propagation { get; init; }

    /// <summary>Most memory, in bytes, weights of the layer at work included; hidden states that do not fit beside the rest stay in their files. Null for three quarters of what the process may have, where hidden states are concerned.</summary>
    public long? MaxMemoryBytes { get; init; }

    /// <summary>Most tokens that run at once, where a sample has no more. Results do not depend on it.</summary>
    public int BatchTokens { get; init; } = 2048;

    /// <summary>Goes on where an interrupted job was.</summary>
    public bool Resume { get; init; }

    /// <summary>Begins an interrupted job anew.</summary>
    public bool Force { get; init; }

    /// <summary>The clock, for the time left.</summary>
    public TimeProvider Time { get; init; } = TimeProvider.System;
}

/// <summary>How far a <see cref="CalibrationPipeline"/> is.</summary>
/// <param name="Layer">The layer at work, from 0 on.</param>
/// <param name="Layers">Layers of the model.</param>
/// <param name="Samples">Samples that ran through it in this run of it.</param>
/// <param name="AllSamples">All samples.</param>
/// <param name="Done">Share of the work that is done, 0 to 1.</param>
/// <param name="Left">Time left, if the rest takes its time like what was done; null before that is known.</param>
public readonly record struct CalibrationProgress(int Layer, int Layers, int Samples, int AllSamples, double Done, TimeSpan? Left);
