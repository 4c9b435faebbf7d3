using System.Globalization;
using System.Text;
using Bitsmith.Checkpoints;
using Bitsmith.Models.Layers;
using Bitsmith.Tensors.Matrices;

namespace Bitsmith.Quantization.Calibration.Statistics;

/// <summary>Tokens of the routed experts of a layer.</summary>
/// <param name="Layer">The layer.</param>
/// <param name="Routed">Tokens that the router gave to each expert.</param>
/// <param name="Seen">Tokens in each expert's statistics.</param>
/// <param name="FallenBack">Experts without a token, whose statistics are of all tokens instead.</param>
public sealed record ExpertTokens(int Layer, IReadOnlyList<long> Routed, IReadOnlyList<long> Seen, IReadOnlyList<int> FallenBack);

/// <summary>Takes the statistics of all Linears of a model, without second moments, and keeps its weights.</summary>
/// <param name="options">Which statistics.</param>
public sealed class CalibrationStatistics(StatisticsOptions options) : ILayerCalibration, IDisposable
{
    private readonly Dictionary<string, InputSums> inputs = new(StringComparer.Ordinal);
    private readonly List<ExpertTokens> experts = [];
    private LayerStatistics? statistics;

    /// <summary>The statistics by the names of Linears; those that take the same input have the same object.</summary>
    public IReadOnlyDictionary<string, InputSums> Inputs => inputs;

    /// <summary>Tokens of experts, for each layer that has some.</summary>
    public IReadOnlyList<ExpertTokens> Experts => experts;

    /// <inheritdoc/>
    public string Settings => options.ToString();

    /// <inheritdoc/>
    public bool AllExperts => options.AllExperts;

    /// <inheritdoc/>
    public bool ReplacesWeights => false;

    /// <inheritdoc/>
    public long MemoryBytes(IDecoderLayer layer)
    {
        ArgumentNullException.ThrowIfNull(layer);
        return layer.Linears.Sum(linear => (2L * sizeof(double) * linear.Weight.Columns) + (options.Quantiles ? 1 << 17 : 0));
    }

    /// <inheritdoc/>
    public IForwardObserver Begin(CalibrationLayer layer) => statistics = new LayerStatistics(layer, options);

    /// <inheritdoc/>
    public IReadOnlyDictionary<Linear, WeightMatrix> Finish(CalibrationLayer layer)
    {
        ArgumentNullException.ThrowIfNull(layer);
        Linear[] unseen = [.. layer.Layer.Linears.Where(linear => statistics!.Of(linear).Tokens == 0)];
        int[] names = [.. unseen.Select(linear => LinearName.ExpertOf(linear.Name)!.Value).Distinct()];
        LayerStatistics? all = null;
        if (unseen.Length > 0)
        {
            if (options.Unseen == UnseenExpert.Error)
            {
                throw new CheckpointException(
                    $"layer {layer.Index}", $"the router gave no token to {names.Length} of its experts: {string.Join(", ", names.Take(20))}{(names.Length > 20 ? ", ..." : string.Empty)}. Calibrate all experts, take more samples, or allow statistics of all tokens for such experts.");
            }

            HashSet<Linear> set = new(unseen, ReferenceEqualityComparer.Instance);
            all = new LayerStatistics(layer, options with { AllExperts = true, Weighting = TokenWeighting.Alike }, only: set.Contains);
            layer.Run(all, allExperts: true);
        }

        foreach (Linear linear in layer.Layer.Linears)
        {
            inputs[linear.Name] = unseen.Contains(linear) ? all!.Of(linear) : statistics!.Of(linear);
        }

        if (statistics!.RoutedTokens is { Count: > 0 } routed)
        {
            Dictionary<int, long> seen = layer.Layer.Linears.Where(linear => LinearName.ExpertOf(linear.Name) is not null)
                .GroupBy(linear => LinearName.ExpertOf(linear.Name)!.Value).ToDictionary(expert => expert.Key, expert => expert.Min(linear => inputs[linear.Name].Tokens));
            experts.Add(new ExpertTokens(layer.Index, [.. routed], [.. Enumerable.Range(0, routed.Count).Select(expert => seen[expert])], names));
        }

        all?.Dispose();
        return new Dictionary<Linear, WeightMatrix>();
    }

    /// <summary>A line for each layer with experts: how many tokens they have, by the router and in the statistics.</summary>
    public IEnumerable<string> Report() => experts.Select(layer => string.Create(CultureInfo.InvariantCulture,
        $"layer {layer.Layer}: {layer.Routed.Count} experts, routed tokens {layer.Routed.Min()} to {layer.Routed.Max()}, {layer.Routed.Count(tokens => tokens == 0)} without any; in the statistics {layer.Seen.Min()} to {layer.Seen.Max()}{(layer.FallenBack.Count > 0 ? $"; of all tokens instead: {string.Join(", ", layer.FallenBack)}" : string.Empty)}"));

    /// <inheritdoc/>
    public void Write(int layer, Stream target)
    {
        using BinaryWriter writer = new(target, Encoding.UTF8, leaveOpen: true);
        IGrouping<InputSums, string>[] groups = [.. inputs.Where(pair => LinearName.LayerOf(pair.Key) == layer).GroupBy(pair => pair.Value, pair => pair.Key)];
        writer.Write(groups.Length);
        foreach (IGrouping<InputSums, string> group in groups)
        {
            writer.Write(group.Key.Columns);
            writer.Write(string.Join('\n', group));
            group.Key.Write(writer);
        }

        ExpertTokens? tokens = experts.Find(found => found.Layer == layer);
        foreach (IReadOnlyList<long> list in (IReadOnlyList<long>[])[tokens?.Routed ?? [], tokens?.Seen ?? [], [.. (tokens?.FallenBack ?? []).Select(expert => (long)expert)]])
        {
            writer.Write(list.Count);
            foreach (long number in list)
            {
                writer.Write(number);
            }
        }
    }

    /// <inheritdoc/>
    public void Read(int layer, Stream source)
    {
        using BinaryReader reader = new(source, Encoding.UTF8, leaveOpen: true);
        for (int groups = reader.ReadInt32(); groups > 0; groups--)
        {
            int columns = reader.ReadInt32();
            string[] names = reader.ReadString().Split('\n');
            InputSums sums = InputSums.Read(reader, columns, options.Quantiles);
            Array.ForEach(names, name => inputs[name] = sums);
        }

        long[] routed = Numbers(), seen = Numbers(), fallen = Numbers();
        if (routed.Length > 0)
        {
            experts.Add(new ExpertTokens(layer, routed, seen, [.. fallen.Select(expert => (int)expert)]));
        }

        long[] Numbers() => [.. Enumerable.Range(0, reader.ReadInt32()).Select(_ => reader.ReadInt64())];
    }

    /// <inheritdoc/>
    public void Dispose() => statistics?.Dispose();
}
