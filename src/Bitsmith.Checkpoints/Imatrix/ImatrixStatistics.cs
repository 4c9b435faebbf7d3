using System.Globalization;
using System.Text.RegularExpressions;

namespace Bitsmith.Checkpoints.Imatrix;

/// <summary>Statistics of an importance matrix by tensor and by layer, with llama-imatrix 0.7.0's definitions and order of additions.</summary>
public sealed partial class ImatrixStatistics
{
    private const double LeastShare = 1e-10, LeastDeviation = 1e-10;

    private ImatrixStatistics(IReadOnlyDictionary<string, TensorStatistics> tensors, IReadOnlyList<LayerStatistics> layers, int firstNextn)
    {
        (Tensors, Layers, FirstNextnLayer) = (tensors, layers, firstNextn);
    }

    /// <summary>By name.</summary>
    public IReadOnlyDictionary<string, TensorStatistics> Tensors { get; }

    /// <summary>By number.</summary>
    public IReadOnlyList<LayerStatistics> Layers { get; }

    /// <summary>First layer for multi-token prediction, which is compared only with others of its kind; above all numbers where there is none.</summary>
    public int FirstNextnLayer { get; }

    /// <summary>Computes the statistics.</summary>
    public static ImatrixStatistics Of(ImportanceMatrix matrix)
    {
        ArgumentNullException.ThrowIfNull(matrix);
        Dictionary<string, TensorStatistics> tensors = matrix.Entries.ToDictionary(entry => entry.Key, entry => Moments(entry.Key, entry.Value), StringComparer.Ordinal);
        int firstNextn = FirstNextn(tensors.Values, matrix.NextnLayers);
        foreach (TensorStatistics tensor in tensors.Values.Where(tensor => tensor.Layer > 0).ToArray())
        {
            if (Before(tensor, tensors, firstNextn) is { } before)
            {
                tensors[tensor.Tensor] = tensor with { Change = Compare((matrix.Entries[tensor.Tensor], tensor), (matrix.Entries[before.Tensor], before)) };
            }
        }

        LayerStatistics[] layers = [.. tensors.Values.Where(tensor => tensor.Layer is not null).GroupBy(tensor => tensor.Layer!.Value).OrderBy(layer => layer.Key)
            .Select(layer => Together(layer.Key, layer.OrderBy(tensor => tensor.Tensor, StringComparer.Ordinal)))];
        return new ImatrixStatistics(tensors, layers, firstNextn);
    }

    [GeneratedRegex(@"\bblk\.(?<layer>[0-9]{1,9})\.")]
    private static partial Regex LayerName();

    private static int FirstNextn(IEnumerable<TensorStatistics> tensors, int nextnLayers)
    {
        int last = tensors.Max(tensor => tensor.Layer) ?? -1;
        return nextnLayers > 0 && last >= 0
            ? Math.Max(0, last + 1 - nextnLayers)
            : tensors.Where(tensor => tensor.Tensor.Contains(".nextn.", StringComparison.Ordinal)).Min(tensor => tensor.Layer) ?? int.MaxValue;
    }

    private static TensorStatistics? Before(TensorStatistics tensor, Dictionary<string, TensorStatistics> all, int firstNextn)
    {
        int layer = tensor.Layer!.Value;
        for (int before = layer - 1; layer != firstNextn && before >= (layer > firstNextn ? firstNextn : 0); before--)
        {
            string name = LayerName().Replace(tensor.Tensor, string.Create(CultureInfo.InvariantCulture, $"blk.{before}."), 1);
            if (all.TryGetValue(name, out TensorStatistics? found))
            {
                return found;
            }
        }

        return null;
    }

    private static TensorStatistics Moments(string name, ImatrixEntry entry)
    {
        double sum = 0, energy = 0, mean = 0;
        long elements = 0;
        foreach ((double value, double square) in Means(entry))
        {
            sum += square;
            mean += (value - mean) / ++elements;
            energy += square;
        }

        double second = 0, third = 0, fourth = 0, entropy = 0;
        foreach ((double value, double square) in Means(entry))
        {
            double difference = value - mean, share = energy > 0 ? square * (1 / energy) : 0;
            second += difference * difference;
            third += difference * difference * difference;
            fourth += difference * difference * difference * difference;
            entropy -= share > LeastShare ? share * Math.Log(share) * (1 / Math.Log(2)) : 0;
        }

        double variance = elements > 1 ? second / elements : 0;
        float deviation = MathF.Sqrt((float)variance);
        bool spread = deviation > LeastDeviation;
        return new TensorStatistics(
            name,
            LayerName().Match(name) is { Success: true } match ? int.Parse(match.Groups["layer"].ValueSpan, CultureInfo.InvariantCulture) : null,
            entry.Sums is null,
            sum,
            elements,
            (float)mean,
            deviation,
            spread ? (float)(third / elements / (variance * Math.Sqrt(variance))) : 0,
            spread ? (float)((fourth / elements / (variance * variance)) - 3) : 0,
            elements > 1 ? 100 * ((float)entropy / MathF.Log2(elements)) : InputChange.None,
            null);
    }

    /// <summary>Means and mean squares of the columns that have seen tokens.</summary>
    private static IEnumerable<(double Mean, double Square)> Means(ImatrixEntry entry)
    {
        for (int i = 0; i < entry.Squares.Length; i++)
        {
            int count = entry.Counts[i / entry.Columns];
            if (count > 0)
            {
                double scale = 1.0 / count, square = entry.Squares[i] * scale;
                yield return (entry.Sums is { } sums ? sums[i] * scale : square, square);
            }
        }
    }

    private static InputChange? Compare((ImatrixEntry Entry, TensorStatistics Statistics) now, (ImatrixEntry Entry, TensorStatistics Statistics) before)
    {
        bool plain = now.Entry.Sums is not null && before.Entry.Sums is not null;
        float?[] current = Averages(now.Entry, plain), previous = Averages(before.Entry, plain);
        (float Now, float Before)[] both = current.Length != previous.Length ? [] : [.. current.Zip(previous).Where(pair => pair.First is not null && pair.Second is not null).Select(pair => (pair.First!.Value, pair.Second!.Value))];
        if (both.Length == 0)
        {
            return null;
        }

        (double mean, double meanBefore) = (Sum(both, pair => pair.Now) / both.Length, Sum(both, pair => pair.Before) / both.Length);
        (double Sum, long Columns) energy = (now.Statistics.SumSquares, now.Statistics.Elements), energyBefore = (before.Statistics.SumSquares, before.Statistics.Elements);
        return new InputChange(
            both.Length,
            Sum(both, pair => (double)pair.Now * pair.Before),
            Sum(both, pair => (double)pair.Now * pair.Now),
            Sum(both, pair => (double)pair.Before * pair.Before),
            Sum(both, pair => ((double)pair.Now - pair.Before) * ((double)pair.Now - pair.Before)),
            Sum(both, pair => (pair.Now - mean) * (pair.Before - meanBefore)),
            Sum(both, pair => (pair.Now - mean) * (pair.Now - mean)),
            Sum(both, pair => (pair.Before - meanBefore) * (pair.Before - meanBefore)),
            energy,
            energyBefore.Sum > InputChange.Nothing ? energyBefore : default);
    }

    private static double Sum((float Now, float Before)[] pairs, Func<(float Now, float Before), double> term)
    {
        double sum = 0;
        foreach ((float, float) pair in pairs)
        {
            sum += term(pair);
        }

        return sum;
    }

    private static float?[] Averages(ImatrixEntry entry, bool plain)
    {
        float[] values = plain ? entry.Sums! : entry.Squares;
        return [.. values.Select((value, i) => entry.Counts[i / entry.Columns] is > 0 and int count ? value * (1f / count) : (float?)null)];
    }

    private static LayerStatistics Together(int layer, IEnumerable<TensorStatistics> tensors)
    {
        float sum = 0;
        InputChange? together = null;
        foreach (TensorStatistics tensor in tensors)
        {
            sum = (float)(sum + tensor.SumSquares);
            if (tensor.Change is { } change && (change.Squares, change.SquaresBefore, change.SquaredDistance) is not (0, 0, 0))
            {
                InputChange counted = change.EnergyBefore.Columns > 0 ? change : change with { Energy = default };
                together = together is null ? counted : Add(together, counted);
            }
        }

        return new LayerStatistics(layer, sum, together);
    }

    private static InputChange Add(InputChange one, InputChange two) => new(
        one.Columns + two.Columns, one.Dot + two.Dot, one.Squares + two.Squares, one.SquaresBefore + two.SquaresBefore, one.SquaredDistance + two.SquaredDistance,
        one.Products + two.Products, one.Variations + two.Variations, one.VariationsBefore + two.VariationsBefore,
        (one.Energy.Sum + two.Energy.Sum, one.Energy.Columns + two.Energy.Columns),
        (one.EnergyBefore.Sum + two.EnergyBefore.Sum, one.EnergyBefore.Columns + two.EnergyBefore.Columns));
}
