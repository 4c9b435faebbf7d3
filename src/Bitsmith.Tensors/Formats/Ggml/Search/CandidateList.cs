using Bitsmith.Tensors.InstructionSets;

namespace Bitsmith.Tensors.Formats.Ggml.Search;

/// <summary>Candidate scales and offsets for a group, and the choice among them by what least squares would leave with each one's codes.</summary>
internal ref struct CandidateList(Span<float> scales, Span<float> offsets)
{
    /// <summary>Room that the spans must have: whole batches.</summary>
    public const int Capacity = 6 * CandidateSums.Width;

    private readonly Span<float> scales = scales;
    private readonly Span<float> offsets = offsets;
    private int count;

    /// <summary>The scales so far.</summary>
    public readonly ReadOnlySpan<float> Scales => scales[..count];

    public void Add(float scale, float offset = 0)
    {
        (scales[count], offsets[count]) = (scale, offset);
        count++;
    }

    /// <summary>The best candidate where scale and offset are both free; the offset at most zero where that is asked.</summary>
    public readonly (float Scale, float Offset) BestAffine(ReadOnlySpan<float> values, ReadOnlySpan<float> weights, int highest, bool negativeOffset)
    {
        double weight = 0;
        foreach (float w in weights)
        {
            weight += w;
        }

        return Best(values, weights, 0, highest, weight, negativeOffset);
    }

    /// <summary>The best candidate where the offset is zero.</summary>
    public readonly float BestScale(ReadOnlySpan<float> values, ReadOnlySpan<float> weights, int lowest, int highest) =>
        Best(values, weights, lowest, highest, 0, negativeOffset: false).Scale;

    private readonly (float Scale, float Offset) Best(
        ReadOnlySpan<float> values, ReadOnlySpan<float> weights, int lowest, int highest, double weight, bool negativeOffset)
    {
        const int Width = CandidateSums.Width;
        Span<float> sums = stackalloc float[5 * Width];
        Span<float> errors = sums[..Width], residuals = sums.Slice(Width, Width), products = sums.Slice(2 * Width, Width);
        Span<float> codes = sums.Slice(3 * Width, Width), squares = sums[(4 * Width)..];
        int best = 0;
        double least = double.PositiveInfinity;
        for (int start = 0; start < count; start += Width)
        {
            CandidateSums.Compute(
                values, weights, scales.Slice(start, Width), offsets.Slice(start, Width), lowest, highest, errors, residuals, products, codes, squares, Cpu.Default);
            for (int i = 0; i < Math.Min(Width, count - start); i++)
            {
                double error = Remaining(errors[i], residuals[i], products[i], codes[i], squares[i], weight, offsets[start + i], negativeOffset);
                (best, least) = error < least ? (start + i, error) : (best, least);
            }
        }

        return (scales[best], offsets[best]);
    }

    /// <summary>The error after scale and offset have moved to their least squares, of which an offset that must be negative goes no further than zero.</summary>
    private static double Remaining(
        double error, double residual, double product, double code, double square, double weight, float offset, bool negativeOffset)
    {
        double determinant = (weight * square) - (code * code);
        if (determinant <= 1e-6 * weight * square)
        {
            return square > 0 ? error - (product * product / square) : error;
        }

        double scaleMove = ((weight * product) - (residual * code)) / determinant, offsetMove = (residual - (scaleMove * code)) / weight;
        if (negativeOffset && offset + offsetMove > 0)
        {
            offsetMove = -offset;
            scaleMove = (product - (offsetMove * code)) / square;
        }

        return error - (2 * ((scaleMove * product) + (offsetMove * residual)))
            + (scaleMove * scaleMove * square) + (2 * scaleMove * offsetMove * code) + (offsetMove * offsetMove * weight);
    }
}
