using Bitsmith.Models.Layers;
using Bitsmith.Tensors.ElementTypes;

namespace Bitsmith.Quantization.Calibration.Awq;

/// <summary>The factors of a mapping.</summary>
/// <param name="Mapping">The mapping.</param>
/// <param name="Factors">s, for each channel.</param>
/// <param name="Point">The point of the grid; 0 is the identity.</param>
/// <param name="Loss">Its loss.</param>
/// <param name="IdentityLoss">The loss without factors.</param>
public sealed record AwqChoice(AwqMapping Mapping, IReadOnlyList<float> Factors, int Point, double Loss, double IdentityLoss)
{
    /// <summary>Something is moved.</summary>
    public bool IsMoved => Point > 0;

    /// <summary>The choice where nothing is known of the inputs: an expert without tokens.</summary>
    internal static AwqChoice Unseen(AwqMapping mapping) => new(mapping, [.. Enumerable.Repeat(1f, mapping.Channels)], 0, 0, 0);
}

/// <summary>What AWQ makes of a layer: each weight W of a Linear becomes W · column factors / row divisors, and norms, biases and the router become <see cref="Vectors"/>. The layer then computes what it did, but for the rounding of those.</summary>
public sealed class AwqResult
{
    private readonly Dictionary<string, float[]> columns = new(StringComparer.Ordinal), rows = new(StringComparer.Ordinal);
    private readonly Dictionary<LayerVector, float[]> vectors = [];

    /// <summary>Takes up choices.</summary>
    /// <param name="choices">Of different mappings of one layer.</param>
    /// <param name="typeOf">The element type of a stored tensor, by its name in the checkpoint.</param>
    public AwqResult(IReadOnlyList<AwqChoice> choices, Func<string, ElementType> typeOf)
    {
        ArgumentNullException.ThrowIfNull(choices);
        ArgumentNullException.ThrowIfNull(typeOf);
        Choices = choices;
        foreach (AwqChoice choice in choices.Where(choice => choice.IsMoved))
        {
            float[] channels = [.. choice.Factors], factors = choice.Mapping.ToColumns(channels);
            foreach (Linear linear in choice.Mapping.Balance)
            {
                columns[linear.Name] = factors;
            }

            if (choice.Mapping.Norm is { } norm)
            {
                vectors[norm] = Stored(norm, typeOf, (i, value) => value / channels[i]);
            }

            if (choice.Mapping.Router is { } router)
            {
                vectors[router] = Stored(router, typeOf, (i, value) => value * factors[i % factors.Length]);
            }

            if (choice.Mapping.Projection is { } projection)
            {
                int kept = projection.Weight.Rows - channels.Length;
                float[] divisors = rows[projection.Name] = [.. Enumerable.Repeat(1f, kept), .. channels];
                if (projection.Bias.Length > 0)
                {
                    LayerVector bias = new($"{projection.Name}.bias", projection.Bias);
                    vectors[bias] = Stored(bias, typeOf, (i, value) => value / divisors[i]);
                }
            }
        }
    }

    /// <summary>The choice of each mapping with a quantized reader.</summary>
    public IReadOnlyList<AwqChoice> Choices { get; }

    /// <summary>New contents of norms, biases and the router, each rounded once to its stored type; tensors that are not among them stay what they are.</summary>
    public IReadOnlyDictionary<LayerVector, float[]> Vectors => vectors;

    /// <summary>True where a Linear's weight changes; one that is not quantized must be stored anew too, rounded to its type.</summary>
    public bool Changes(Linear linear)
    {
        ArgumentNullException.ThrowIfNull(linear);
        return columns.ContainsKey(linear.Name) || rows.ContainsKey(linear.Name);
    }

    /// <summary>What each column of a Linear's weight is multiplied with; empty where that is 1.</summary>
    public ReadOnlySpan<float> ColumnFactors(Linear linear)
    {
        ArgumentNullException.ThrowIfNull(linear);
        return columns.GetValueOrDefault(linear.Name);
    }

    /// <summary>As <see cref="ColumnFactors"/>: the same array for all Linears of a mapping, null where all are 1.</summary>
    internal float[]? FactorsOf(Linear linear) => columns.GetValueOrDefault(linear.Name);

    /// <summary>What each row of a Linear's weight is divided by; empty where that is 1.</summary>
    public ReadOnlySpan<float> RowDivisors(Linear linear)
    {
        ArgumentNullException.ThrowIfNull(linear);
        return rows.GetValueOrDefault(linear.Name);
    }

    /// <summary>Makes W · column factors / row divisors of some rows, each operation rounded to binary32; the stored type's rounding is left to the caller.</summary>
    /// <param name="linear">The Linear.</param>
    /// <param name="firstRow">The first row's number.</param>
    /// <param name="values">Whole rows of W, one behind the other; changed in place.</param>
    public void Apply(Linear linear, int firstRow, Span<float> values)
    {
        ArgumentNullException.ThrowIfNull(linear);
        ReadOnlySpan<float> factors = ColumnFactors(linear), divisors = RowDivisors(linear);
        if (!factors.IsEmpty)
        {
            RowScaling.Multiply(values, factors);
        }

        int width = linear.Weight.Columns;
        for (int row = 0; row < values.Length / width && !divisors.IsEmpty; row++)
        {
            float divisor = divisors[firstRow + row];
            foreach (ref float value in values.Slice(row * width, divisor == 1 ? 0 : width))
            {
                value /= divisor;
            }
        }
    }

    private static float[] Stored(LayerVector vector, Func<string, ElementType> typeOf, Func<int, float, float> change)
    {
        float[] values = [.. vector.Values.Select((value, i) => change(i, value))];
        StoredType.Round(typeOf(vector.Name), values);
        return values;
    }
}
