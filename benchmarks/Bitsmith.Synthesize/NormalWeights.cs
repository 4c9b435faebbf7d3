using Bitsmith.Tensors.ElementTypes;

namespace Bitsmith.Synthesize;

/// <summary>Seeded normal deviates as a model's weights have them: mean 0, standard deviation 0.02. The same on every machine.</summary>
public static class NormalWeights
{
    /// <summary>The usual <c>initializer_range</c>.</summary>
    public const float StandardDeviation = 0.02f;

    /// <summary>Fills a span with BF16 weights.</summary>
    /// <param name="bits">Receives the elements' bits.</param>
    /// <param name="seed">Equal seeds give equal weights.</param>
    public static void Fill(Span<ushort> bits, ulong seed)
    {
        ulong state = seed;
        for (int i = 0; i < bits.Length; i += 2)
        {
            // Box and Muller: two normals of two uniforms, the first in (0, 1].
            ulong random = Next(ref state);
            double first = ((random >> 40) + 1) * (1.0 / (1 << 24)), second = (uint)random * (2 * Math.PI / 4294967296.0);
            double radius = StandardDeviation * Math.Sqrt(-2 * Math.Log(first));
            (double sine, double cosine) = Math.SinCos(second);
            bits[i] = BFloat16.FromSingle((float)(radius * cosine)).Bits;
            if (i + 1 < bits.Length)
            {
                bits[i + 1] = BFloat16.FromSingle((float)(radius * sine)).Bits;
            }
        }
    }

    /// <summary>The next number of SplitMix64 (Steele, Lea and Flood, 2014).</summary>
    public static ulong Next(ref ulong state)
    {
        state += 0x9E3779B97F4A7C15;
        ulong mixed = (state ^ (state >> 30)) * 0xBF58476D1CE4E5B9;
        mixed = (mixed ^ (mixed >> 27)) * 0x94D049BB133111EB;
        return mixed ^ (mixed >> 31);
    }
}
