namespace Bitsmith.Tensors.Formats.Ggml.Search;

/// <summary>Blocks of one group with a scale and an offset of its own, both stored as binary16.</summary>
internal static class AffineBlock
{
    private const int Rounds = 4;

    /// <summary>Returns scale and offset as binary16 holds them, and the code of each weight, 0 to <paramref name="highest"/>.</summary>
    public static (float Scale, float Offset) Encode(ReadOnlySpan<float> values, ReadOnlySpan<float> weights, int highest, Span<int> codes)
    {
        (float scale, float offset, _) = AffineSearch.Find(values, weights, highest, negativeOffset: false);
        (scale, offset) = (HalfScale.Round(scale), HalfScale.Round(offset));
        AffineFit fit = AffineFit.Of(values, weights, scale, offset, highest);
        for (int round = 0; round < Rounds; round++)
        {
            float next = HalfScale.Round(fit.ScaleFor(offset));
            AffineFit other = AffineFit.Of(values, weights, next, offset, highest);
            if (other.Error >= fit.Error)
            {
                break;
            }

            (scale, fit) = (next, other);
        }

        float inverse = HalfScale.Inverse(scale);
        for (int i = 0; i < values.Length; i++)
        {
            codes[i] = (int)AffineFit.Nearest(values[i], inverse, offset, highest);
        }

        return (scale, offset);
    }
}
