using Bitsmith.Checkpoints;
using Bitsmith.Models.Layers;
using Bitsmith.Quantization.Calibration.Statistics;
using Bitsmith.Quantization.Formats;
using Bitsmith.Quantization.Modules;
using Bitsmith.Tensors.ElementTypes;
using Bitsmith.Tensors.Formats;
using Bitsmith.Tensors.Formats.Ggml;
using Bitsmith.Tensors.Matrices;

namespace Bitsmith.Quantization.Calibration.Awq;

/// <summary>
/// AWQ: for each <see cref="AwqMapping"/> of a layer the factors s, of those of a grid, with which rounding W · s costs least in the outputs of the Linears, Σ tr(D H Dᵀ), D = Q(W · s) / s - W, H the second moments of
/// what they read. The first of the least wins; the first is the identity.
/// </summary>
/// <remarks>
/// <para>Source of the grid: Lin and others, AWQ, 2023 (arXiv 2306.00978), with the factors of llm-compressor's "duo scaling". The loss there is that of the parent module's output, run again at every point; here it is the
/// exact one of the Linears' own outputs over all tokens, which needs no run.</para>
/// <para>Q is the format's own rounding, stored scales included, of weights that were rounded to their type before. Matrices that clients fuse share their global scale. The searches of a layer do not depend on each
/// other: each sees the original weights of the Linears that read, because what divides a row (of v, of up) divides its error alike, but for what it does to a fused global scale. Of a norm, s is what its rounded quotient leaves to be
/// made good: the old weight over the new one, as it is stored.</para>
/// <para>Cost, in multiplications and additions: points · rows · columns² / 2 for each mapping, with at most about <see cref="AwqOptions.Rows"/> rows, but no fewer than one of each Linear; all weights are read once, and the
/// rows rounded at all points. For GLM-4-9B with 20 points and 1024 rows that is 1.7e12 in a layer, 3 % of the 5.3e13 that 128 samples of 2048 tokens take in its Linears (all rows: 1.4e13, 26 %); BF16 dot products serve both where the machine has them.</para>
/// <para>Memory: <see cref="MemoryBytes"/>. Results do not depend on threads; they may on the instruction set, as all that follows from a forward pass.</para>
/// </remarks>
public static class AwqSearch
{
    /// <summary>Finds the factors of a layer.</summary>
    /// <param name="layer">The layer.</param>
    /// <param name="statistics">Of the original layer's inputs, with second moments, of all Linears that are quantized.</param>
    /// <param name="formatOf">How a Linear is stored; null where it is not quantized.</param>
    /// <param name="typeOf">The element type of a stored tensor, by its name in the checkpoint (weights, biases, norms, the router): F32, F16 or BF16.</param>
    /// <param name="options">How; null for the defaults.</param>
    /// <exception cref="CheckpointException">A weight is NaN or infinite.</exception>
    /// <exception cref="InvalidOperationException">Second moments are missing.</exception>
    /// <exception cref="OperationCanceledException">Cancelled.</exception>
    public static AwqResult Find(
        CalibrationLayer layer, LayerStatistics statistics, Func<Linear, StorageFormat?> formatOf, Func<string, ElementType> typeOf, AwqOptions? options = null)
    {
        ArgumentNullException.ThrowIfNull(layer);
        ArgumentNullException.ThrowIfNull(statistics);
        ArgumentNullException.ThrowIfNull(formatOf);
        ArgumentNullException.ThrowIfNull(typeOf);
        options ??= new AwqOptions();
        using AwqLoss loss = new(options, layer.Compute);
        List<AwqChoice> choices = [];
        foreach (AwqMapping mapping in AwqMappings.Of(layer.Layer, layer.Config.HeadDim))
        {
            layer.CancellationToken.ThrowIfCancellationRequested();
            (Linear Linear, StorageFormat Format)[] quantized =
                [.. mapping.Balance.Select(linear => (linear, formatOf(linear))).Where(pair => pair.Item2 is not null).Select(pair => (pair.linear, pair.Item2!))];
            if (quantized.Length > 0)
            {
                choices.Add(Choose(mapping, quantized, statistics, typeOf, options, loss, layer.Compute));
            }
        }

        return new AwqResult(choices, typeOf);
    }

    /// <summary>Most memory that a search takes beside the weights and their statistics, in bytes.</summary>
    /// <param name="layer">The layer.</param>
    /// <param name="formatOf">As for <see cref="Find"/>.</param>
    /// <param name="options">How; null for the defaults.</param>
    public static long MemoryBytes(IDecoderLayer layer, Func<Linear, StorageFormat?> formatOf, AwqOptions? options = null)
    {
        ArgumentNullException.ThrowIfNull(layer);
        ArgumentNullException.ThrowIfNull(formatOf);
        return layer.Linears.Select(linear => (linear.Weight.Columns, Format: formatOf(linear))).Where(pair => pair.Format is not null)
            .Select(pair => AwqLoss.MemoryBytes(pair.Columns, pair.Format!.Block.Rows, (options ?? new AwqOptions()).Points)).DefaultIfEmpty().Max();
    }

    private static AwqChoice Choose(
        AwqMapping mapping, (Linear Linear, StorageFormat Format)[] quantized, LayerStatistics statistics, Func<string, ElementType> typeOf, AwqOptions options, AwqLoss loss, ComputeOptions compute)
    {
        // Of experts' inputs the one that saw most: that of the shared experts, which see all tokens.
        InputSums inputs = quantized.Select(pair => statistics.Of(pair.Linear)).MaxBy(sums => sums.Tokens)!;
        if (!(inputs.Weight > 0))
        {
            return AwqChoice.Unseen(mapping);
        }

        WeightProfile profile = new(mapping.Columns);
        foreach ((Linear linear, StorageFormat format) in quantized)
        {
            profile.Add(linear, format.Block.Columns, KeyOf(linear, format), compute);
        }

        double[] means = new double[mapping.Columns];
        for (int column = 0; column < means.Length; column++)
        {
            means[column] = inputs.Magnitudes[column] / inputs.Weight;
        }

        List<(int Number, float[] Channels, float[] Columns)> points = [];
        foreach ((int number, float[] tried) in AwqGrid.Of(mapping.OverHeads(means), mapping.OverHeads(profile.Means), options.Points).Index())
        {
            float[] channels = mapping.Norm is { } norm ? MakeGood(norm, tried, typeOf(norm.Name)) : tried, columns = mapping.ToColumns(channels);
            if (number == 0 || quantized.All(pair => float.IsFinite(Largest(profile.LargestOf(KeyOf(pair.Linear, pair.Format)), columns, typeOf(pair.Linear.WeightName())))))
            {
                points.Add((number, channels, columns));
            }
        }

        Dictionary<InputSums, ColumnWeights[]> importance = new(ReferenceEqualityComparer.Instance);
        ColumnWeights alike = ColumnWeights.Of([], mapping.Columns);
        WeighedLinear[] weighed = [.. quantized.Select(pair => Weighed(pair.Linear, pair.Format))];
        double[] losses = loss.Measure(weighed, [.. points.Select(point => point.Columns)]);
        int best = 0;
        for (int i = 1; i < losses.Length; i++)
        {
            best = losses[i] < losses[best] ? i : best;
        }

        return new AwqChoice(mapping, points[best].Channels, points[best].Number, losses[best], losses[0]);

        WeighedLinear Weighed(Linear linear, StorageFormat format)
        {
            ElementType type = typeOf(linear.WeightName());
            InputSums sums = statistics.Of(linear);
            if (!importance.TryGetValue(sums, out ColumnWeights[]? weights))
            {
                importance[sums] = weights = [.. points.Select(point => options.Encoder == WeightEncoder.Best ? ImportanceOf(sums, point.Columns) : alike)];
            }

            float[] scales = [.. points.Select(point => format.HasGlobalScale ? NvFp4Group.LibraryGlobalScale(type, Largest(profile.LargestOf(KeyOf(linear, format)), point.Columns, type)) : 1)];
            return new WeighedLinear(linear, format, type, statistics.MomentsOf(linear), scales, weights);
        }
    }

    /// <summary>The mean squares of the inputs that scaled weights are multiplied with, up to a factor.</summary>
    private static ColumnWeights ImportanceOf(InputSums sums, float[] factors)
    {
        double[] squares = new double[factors.Length];
        for (int i = 0; i < squares.Length; i++)
        {
            squares[i] = sums.Squares[i] / factors[i] / factors[i];
        }

        double most = squares.Max();
        return ColumnWeights.Of(most > 0 ? [.. squares.Select(square => (float)(square / most))] : [], squares.Length);
    }

    private static string KeyOf(Linear linear, StorageFormat format) => format.HasGlobalScale ? Fusion.KeyOf(linear.Name) : linear.Name;

    /// <summary>The largest magnitude of scaled weights, rounded to their type.</summary>
    private static float Largest(ReadOnlySpan<float> largest, ReadOnlySpan<float> factors, ElementType type)
    {
        float most = 0;
        for (int i = 0; i < largest.Length; i++)
        {
            most = MathF.Max(most, largest[i] * factors[i]);
        }

        return StoredType.Round(type, most);
    }

    /// <summary>What the readers must be multiplied with when a norm's weight is divided and rounded: the old weight over the new one, or 1 where the norm stays what it is.</summary>
    private static float[] MakeGood(LayerVector norm, ReadOnlySpan<float> factors, ElementType type)
    {
        float[] made = new float[factors.Length];
        for (int i = 0; i < made.Length; i++)
        {
            float ratio = norm.Values[i] / StoredType.Round(type, norm.Values[i] / factors[i]);
            made[i] = ratio > 0 && float.IsFinite(ratio) ? ratio : 1;
        }

        return made;
    }
}
