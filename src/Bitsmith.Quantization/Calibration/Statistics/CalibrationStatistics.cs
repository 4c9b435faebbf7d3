using System.Text;
using Bitsmith.Models.Layers;

namespace Bitsmith.Quantization.Calibration.Statistics;

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
    public LayerWeights Finish(CalibrationLayer layer)
    {
        ArgumentNullException.ThrowIfNull(layer);
        if (statistics!.Complete() is { } tokens)
        {
            experts.Add(tokens);
        }

        foreach (Linear linear in layer.Layer.Linears)
        {
            inputs[linear.Name] = statistics.Of(linear);
        }

        return LayerWeights.None;
    }

    /// <summary>A line for each layer with experts: how many tokens they have, by the router and in the statistics.</summary>
    public IEnumerable<string> Report() => experts.Select(layer => layer.ToString());

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
