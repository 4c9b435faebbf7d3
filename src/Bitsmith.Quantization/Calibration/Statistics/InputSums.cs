using Bitsmith.Tensors.Elementwise;
using Bitsmith.Tensors.ElementTypes;
using Bitsmith.Tensors.Matrices;

namespace Bitsmith.Quantization.Calibration.Statistics;

/// <summary>What the input of one Linear, or of several that take the same, was over all samples. Numbers depend on the tokens and their order alone.</summary>
public sealed class InputSums
{
    // Magnitudes by their upper 15 bits behind the sign: BF16 values.
    private const int Buckets = 1 << 15;

    private readonly double[] magnitudes, squares;
    private readonly uint[] maxima;

    internal InputSums(int columns, bool quantiles) => (magnitudes, squares, maxima) = (new double[columns], new double[columns], new uint[quantiles ? Buckets : 0]);

    private InputSums(double[] magnitudes, double[] squares, uint[] maxima) => (this.magnitudes, this.squares, this.maxima) = (magnitudes, squares, maxima);

    /// <summary>In features.</summary>
    public int Columns => squares.Length;

    /// <summary>Tokens seen.</summary>
    public long Tokens { get; private set; }

    /// <summary>What the tokens count together: their number, or the sum of their weights.</summary>
    public double Weight { get; private set; }

    /// <summary>Σ w · |x| of each column.</summary>
    public ReadOnlySpan<double> Magnitudes => magnitudes;

    /// <summary>Σ w · x² of each column.</summary>
    public ReadOnlySpan<double> Squares => squares;

    /// <summary>The largest |x| of all tokens and columns.</summary>
    public float AbsMax { get; private set; }

    /// <summary>The largest magnitude that a share of the tokens does not exceed in any column, rounded to BF16.</summary>
    /// <param name="share">The share, above 0 and at most 1.</param>
    /// <exception cref="InvalidOperationException">Quantiles were not asked for, or no token was seen.</exception>
    public float AbsMaxOf(double share)
    {
        if (maxima.Length == 0 || Tokens == 0)
        {
            throw new InvalidOperationException("The largest magnitudes of tokens were not counted.");
        }

        long rank = Math.Clamp((long)Math.Ceiling(share * Tokens), 1, Tokens);
        int bucket = 0;
        for (long seen = maxima[0]; seen < rank; seen += maxima[++bucket])
        {
        }

        return new BFloat16((ushort)bucket).ToSingle();
    }

    /// <summary>Adds rows.</summary>
    /// <returns>False where a value is no finite number, or its square none of binary32; then nothing was added.</returns>
    internal bool Add(ReadOnlyMemory<float> rows, ReadOnlyMemory<float> weights, int tokens, Memory<float> scratch, ComputeOptions compute)
    {
        Memory<float> largest = scratch[..tokens];
        RowMaxima.Of(rows, largest, compute);
        float most = AbsMax;
        foreach (float value in largest.Span)
        {
            most = Math.Max(most, value);
        }

        if (!float.IsFinite(most * most))
        {
            return false;
        }

        ColumnStatistics.Add(rows, weights, magnitudes, squares, compute);
        for (int i = 0; i < tokens; i++)
        {
            Weight += weights.IsEmpty ? 1 : weights.Span[i];
            if (maxima.Length > 0)
            {
                maxima[BFloat16.FromSingle(largest.Span[i]).Bits]++;
            }
        }

        (AbsMax, Tokens) = (most, Tokens + tokens);
        return true;
    }

    internal void Write(BinaryWriter writer)
    {
        writer.Write(Columns);
        writer.Write(maxima.Length);
        writer.Write(Tokens);
        writer.Write(Weight);
        writer.Write(AbsMax);
        Array.ForEach(magnitudes, writer.Write);
        Array.ForEach(squares, writer.Write);
        Array.ForEach(maxima, writer.Write);
    }

    internal static InputSums Read(BinaryReader reader, int columns, bool quantiles)
    {
        if (reader.ReadInt32() != columns || reader.ReadInt32() != (quantiles ? Buckets : 0))
        {
            throw new InvalidDataException($"It has no sums of {columns} columns.");
        }

        (long tokens, double weight, float most) = (reader.ReadInt64(), reader.ReadDouble(), reader.ReadSingle());
        return new InputSums(Doubles(), Doubles(), [.. Enumerable.Range(0, quantiles ? Buckets : 0).Select(_ => reader.ReadUInt32())]) { Tokens = tokens, Weight = weight, AbsMax = most };

        double[] Doubles() => [.. Enumerable.Range(0, columns).Select(_ => reader.ReadDouble())];
    }
}
