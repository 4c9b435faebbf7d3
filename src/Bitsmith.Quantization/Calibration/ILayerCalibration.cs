using Bitsmith.Models.Architectures;
using Bitsmith.Models.Layers;
using Bitsmith.Tensors.Matrices;

namespace Bitsmith.Quantization.Calibration;

/// <summary>What is done with each decoder layer while a <see cref="CalibrationPipeline"/> goes through a model.</summary>
public interface ILayerCalibration
{
    /// <summary>What its results depend on, besides the model and the samples; a job goes on only where it is the same.</summary>
    string Settings { get; }

    /// <summary>In the first run of a layer every expert sees every token; what flows on is what the router chooses.</summary>
    bool AllExperts { get; }

    /// <summary><see cref="Finish"/> returns weights: the layer runs once more with them, where the next one is to see what they do.</summary>
    bool ReplacesWeights { get; }

    /// <summary>Most memory that it takes while a layer is at work, in bytes.</summary>
    long MemoryBytes(IDecoderLayer layer);

    /// <summary>A layer begins.</summary>
    /// <returns>What sees the inputs of its Linears while all samples run through it.</returns>
    IForwardObserver Begin(CalibrationLayer layer);

    /// <summary>All samples ran through the layer. It may run again, with other weights or other observers.</summary>
    /// <returns>What takes the place of the layer's own weights from here on; <see cref="LayerWeights.None"/> where it keeps them.</returns>
    LayerWeights Finish(CalibrationLayer layer);

    /// <summary>Writes what was found for a layer, from which an interrupted job goes on.</summary>
    void Write(int layer, Stream target);

    /// <summary>Takes up what <see cref="Write"/> wrote. Layers come in their order.</summary>
    /// <exception cref="InvalidDataException">It is damaged.</exception>
    void Read(int layer, Stream source);
}

/// <summary>A decoder layer at work in a <see cref="CalibrationPipeline"/>.</summary>
public sealed class CalibrationLayer
{
    private readonly CalibrationPipeline pipeline;

    internal CalibrationLayer(CalibrationPipeline pipeline, int index, CancellationToken cancellationToken) => (this.pipeline, Index, CancellationToken) = (pipeline, index, cancellationToken);

    /// <summary>Its number.</summary>
    public int Index { get; }

    /// <summary>The layer.</summary>
    public IDecoderLayer Layer => pipeline.Model.Layers[Index];

    /// <summary>The numbers of the model.</summary>
    public DecoderConfig Config => pipeline.Model.Config;

    /// <summary>Threads and kernels.</summary>
    public ComputeOptions Compute => pipeline.Compute;

    /// <summary>Stops the job.</summary>
    public CancellationToken CancellationToken { get; }

    /// <summary>Names the model and the samples at work, for messages.</summary>
    public string AtWork => $"layer {Index}, {pipeline.AtWork}";

    /// <summary>Runs all samples through the layer, in order, several in a pass; what flows on stays what it is.</summary>
    /// <param name="observer">Sees the inputs of Linears; null for none.</param>
    /// <param name="allExperts">Every expert sees every token.</param>
    /// <param name="weights">Weights in the place of the layer's own; null for none.</param>
    /// <exception cref="OperationCanceledException">Cancelled.</exception>
    public void Run(IForwardObserver? observer, bool allExperts = false, LayerWeights? weights = null) =>
        pipeline.RunLayer(Index, observer, allExperts, weights, keep: false, CancellationToken);
}
