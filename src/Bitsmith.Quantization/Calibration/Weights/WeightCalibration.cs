using Bitsmith.Models.Layers;
using Bitsmith.Quantization.Calibration.Statistics;
using Bitsmith.Quantization.Planning;
using Bitsmith.Tensors.Matrices;

namespace Bitsmith.Quantization.Calibration.Weights;

/// <summary>
/// Encodes Linears layer by layer, with regard to what flows into them. Several plans for the same model share a pass over the samples and its statistics, each with results of its own; what flows on is then what the
/// first plan's weights compute, or with <see cref="Propagation.Original"/> the layers' own, whatever the plans.
/// </summary>
public sealed class WeightCalibration : ILayerCalibration, IDisposable
{
    private readonly PlanCalibration[] plans;
    private readonly WeightCalibrationOptions options;
    private ExpertTokens? experts;
    private LayerStatistics? inputs;

    /// <summary>Begins.</summary>
    /// <param name="plans">Which Linears, and in what formats.</param>
    /// <param name="options">How.</param>
    public WeightCalibration(IReadOnlyList<QuantizationPlan> plans, WeightCalibrationOptions options)
    {
        ArgumentNullException.ThrowIfNull(plans);
        ArgumentNullException.ThrowIfNull(options);
        (this.options, this.plans) = (options, [.. plans.Select(plan => new PlanCalibration(plan, options))]);
    }

    /// <inheritdoc/>
    public string Settings => string.Join('\n', (string[])[options.ToString(), .. plans.Select(plan => plan.Settings)]);

    /// <inheritdoc/>
    public bool AllExperts => options.AllExperts;

    /// <inheritdoc/>
    public bool ReplacesWeights => true;

    /// <inheritdoc/>
    public long MemoryBytes(IDecoderLayer layer)
    {
        ArgumentNullException.ThrowIfNull(layer);
        bool alike = options.Statistics is { AllExperts: true, Weighting: TokenWeighting.Alike };
        long moments = layer.Linears.Where(UsesMoments).GroupBy(linear => LinearName.SharedInput(linear.Name, alike)).Sum(shared => SecondMoments.BytesOf(shared.First().Weight.Columns));
        (long Kept, long Working)[] needs = [.. plans.Select(plan => plan.MemoryBytes(layer))];
        return moments + needs.Sum(need => need.Kept) + needs.Max(need => need.Working);
    }

    /// <inheritdoc/>
    public IForwardObserver Begin(CalibrationLayer layer)
    {
        inputs?.Dispose();
        return inputs = new LayerStatistics(layer, options.Statistics, UsesMoments, linear => Array.Exists(plans, plan => plan.Encodes(linear)));
    }

    /// <inheritdoc/>
    public LayerWeights Finish(CalibrationLayer layer)
    {
        ArgumentNullException.ThrowIfNull(layer);
        experts = inputs!.Complete();
        LayerWeights[] weights = [.. plans.Select(plan => plan.Encode(layer, inputs))];
        inputs.Dispose();
        return weights[0];
    }

    /// <inheritdoc/>
    public void Write(int layer, Stream target) => CalibratedWeights.Write(target, [.. plans.Select(plan => plan.Results)], experts);

    /// <inheritdoc/>
    public void Read(int layer, Stream source)
    {
        // The files themselves are the result; CalibratedWeights checks and reads them.
    }

    /// <inheritdoc/>
    public void Dispose() => inputs?.Dispose();

    private bool UsesMoments(Linear linear) => Array.Exists(plans, plan => plan.UsesMoments(linear));
}
