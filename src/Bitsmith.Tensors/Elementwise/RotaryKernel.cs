using Bitsmith.Tensors.InstructionSets;

namespace Bitsmith.Tensors.Elementwise;

/// <summary>
/// Rotates pairs of channels: (a, b) becomes (a cos - b sin, b cos + a sin). No operation is fused, so every instruction set gives the same bits.
/// </summary>
public static class RotaryKernel
{
    // Pairs whose cosines are spread at a time.
    private const int Chunk = 64;

    /// <summary>Rotates pairs (i, i + R/2) of each head of one token.</summary>
    /// <param name="heads">heads × head width; the first R channels of each are rotated.</param>
    /// <param name="headDim">Head width, at least R.</param>
    /// <param name="cosines">R/2 cosines.</param>
    /// <param name="sines">R/2 sines.</param>
    /// <param name="instructionSet">The kernels.</param>
    /// <exception cref="ArgumentException">The lengths do not fit.</exception>
    public static void Halves(Span<float> heads, int headDim, ReadOnlySpan<float> cosines, ReadOnlySpan<float> sines, InstructionSet instructionSet)
    {
        Check(heads.Length, headDim, cosines.Length, sines.Length);
        for (int start = 0; start < heads.Length; start += headDim)
        {
            Span<float> first = heads.Slice(start, cosines.Length), second = heads.Slice(start + cosines.Length, cosines.Length);
            switch (instructionSet)
            {
                case InstructionSet.Avx512:
                    HalvesLanes<Lanes512>(first, second, cosines, sines);
                    break;
                case InstructionSet.Avx2:
                    HalvesLanes<Lanes256>(first, second, cosines, sines);
                    break;
                case InstructionSet.Vector128:
                    HalvesLanes<Lanes128>(first, second, cosines, sines);
                    break;
                default:
                    for (int i = 0; i < first.Length; i++)
                    {
                        (first[i], second[i]) = ((first[i] * cosines[i]) - (second[i] * sines[i]), (second[i] * cosines[i]) + (first[i] * sines[i]));
                    }

                    break;
            }
        }
    }

    /// <summary>Rotates pairs (2i, 2i + 1); otherwise as <see cref="Halves"/>.</summary>
    /// <exception cref="ArgumentException">The lengths do not fit.</exception>
    public static void Interleaved(Span<float> heads, int headDim, ReadOnlySpan<float> cosines, ReadOnlySpan<float> sines, InstructionSet instructionSet)
    {
        Check(heads.Length, headDim, cosines.Length, sines.Length);

        // One factor for each channel: x · (c, c) + swapped x · (-s, s).
        Span<float> own = stackalloc float[2 * Chunk], other = stackalloc float[2 * Chunk];
        for (int from = 0; from < cosines.Length; from += Chunk)
        {
            int count = Math.Min(Chunk, cosines.Length - from);
            for (int i = 0; i < count; i++)
            {
                (own[2 * i], own[(2 * i) + 1]) = (cosines[from + i], cosines[from + i]);
                (other[2 * i], other[(2 * i) + 1]) = (-sines[from + i], sines[from + i]);
            }

            for (int start = 2 * from; start < heads.Length; start += headDim)
            {
                Span<float> channels = heads.Slice(start, 2 * count);
                switch (instructionSet)
                {
                    case InstructionSet.Avx512:
                        InterleavedLanes<Lanes512>(channels, own, other);
                        break;
                    case InstructionSet.Avx2:
                        InterleavedLanes<Lanes256>(channels, own, other);
                        break;
                    case InstructionSet.Vector128:
                        InterleavedLanes<Lanes128>(channels, own, other);
                        break;
                    default:
                        for (int i = 0; i < channels.Length; i += 2)
                        {
                            (channels[i], channels[i + 1]) = ((channels[i] * own[i]) + (channels[i + 1] * other[i]), (channels[i + 1] * own[i]) + (channels[i] * other[i + 1]));
                        }

                        break;
                }
            }
        }
    }

    /// <summary>Rotates bfloat16 values as PyTorch does: results rounded to bfloat16, and the products before them too where the models say so.</summary>
    /// <param name="heads">heads × head width; the first R channels of each are rotated.</param>
    /// <param name="headDim">Head width, at least R.</param>
    /// <param name="cosines">R/2 cosines.</param>
    /// <param name="sines">R/2 sines.</param>
    /// <param name="interleaved">Pairs are (2i, 2i + 1), not (i, i + R/2).</param>
    /// <param name="roundProducts">Products are rounded before they are added (decoders), or not (vision tower).</param>
    /// <exception cref="ArgumentException">The lengths do not fit.</exception>
    public static void BFloat16(Span<float> heads, int headDim, ReadOnlySpan<float> cosines, ReadOnlySpan<float> sines, bool interleaved, bool roundProducts)
    {
        Check(heads.Length, headDim, cosines.Length, sines.Length);
        (int step, int distance) = interleaved ? (2, 1) : (1, cosines.Length);
        for (int start = 0; start < heads.Length; start += headDim)
        {
            for (int i = 0; i < cosines.Length; i++)
            {
                ref float first = ref heads[start + (i * step)], second = ref heads[start + (i * step) + distance];
                (first, second) = (
                    ElementTypes.BFloat16.Round(Product(first, cosines[i], roundProducts) - Product(second, sines[i], roundProducts)),
                    ElementTypes.BFloat16.Round(Product(second, cosines[i], roundProducts) + Product(first, sines[i], roundProducts)));
            }
        }
    }

    private static float Product(float x, float factor, bool rounds) => rounds ? ElementTypes.BFloat16.Round(x * factor) : x * factor;

    private static void Check(int values, int headDim, int cosines, int sines)
    {
        if (headDim <= 0 || values % headDim != 0 || cosines != sines || 2 * cosines > headDim)
        {
            throw new ArgumentException($"{cosines} cosines and {sines} sines do not rotate {values} values in heads of {headDim}.");
        }
    }

    private static void HalvesLanes<TLanes>(Span<float> first, Span<float> second, ReadOnlySpan<float> cosines, ReadOnlySpan<float> sines)
        where TLanes : struct, ILanes16<TLanes>
    {
        int i = 0;
        for (; i <= first.Length - LaneMath.Width; i += LaneMath.Width)
        {
            (TLanes a, TLanes b) = (TLanes.Load32(in first[i]), TLanes.Load32(in second[i]));
            (TLanes cos, TLanes sin) = (TLanes.Load32(in cosines[i]), TLanes.Load32(in sines[i]));
            TLanes.Store32(TLanes.SubtractF(TLanes.MultiplyF(a, cos), TLanes.MultiplyF(b, sin)), ref first[i]);
            TLanes.Store32(TLanes.AddF(TLanes.MultiplyF(b, cos), TLanes.MultiplyF(a, sin)), ref second[i]);
        }

        if (i < first.Length)
        {
            (TLanes a, TLanes b) = (LaneMath.LoadTail<TLanes, float>(first[i..]), LaneMath.LoadTail<TLanes, float>(second[i..]));
            (TLanes cos, TLanes sin) = (LaneMath.LoadTail<TLanes, float>(cosines[i..]), LaneMath.LoadTail<TLanes, float>(sines[i..]));
            LaneMath.StoreTail(TLanes.SubtractF(TLanes.MultiplyF(a, cos), TLanes.MultiplyF(b, sin)), first[i..]);
            LaneMath.StoreTail(TLanes.AddF(TLanes.MultiplyF(b, cos), TLanes.MultiplyF(a, sin)), second[i..]);
        }
    }

    private static void InterleavedLanes<TLanes>(Span<float> channels, ReadOnlySpan<float> own, ReadOnlySpan<float> other)
        where TLanes : struct, ILanes16<TLanes>
    {
        int i = 0;
        for (; i <= channels.Length - LaneMath.Width; i += LaneMath.Width)
        {
            TLanes.Store32(Rotated(TLanes.Load32(in channels[i]), TLanes.Load32(in own[i]), TLanes.Load32(in other[i])), ref channels[i]);
        }

        if (i < channels.Length)
        {
            // The factors have room for a whole step; what lies beyond the channels is not stored.
            LaneMath.StoreTail(Rotated(LaneMath.LoadTail<TLanes, float>(channels[i..]), TLanes.Load32(in own[i]), TLanes.Load32(in other[i])), channels[i..]);
        }

        static TLanes Rotated(TLanes x, TLanes own, TLanes other) =>
            TLanes.AddF(TLanes.MultiplyF(x, own), TLanes.MultiplyF(TLanes.SwapPairs(x), other));
    }
}
