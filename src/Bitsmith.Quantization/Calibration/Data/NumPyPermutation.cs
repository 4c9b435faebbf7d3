using System.Numerics;

namespace Bitsmith.Quantization.Calibration.Data;

/// <summary>
/// The order in which <c>datasets.Dataset.shuffle(seed)</c> puts rows, which is <c>numpy.random.default_rng(seed).permutation(n)</c>: PCG64 (O'Neill 2014, XSL-RR 128/64) seeded by NumPy's SeedSequence,
/// Fisher and Yates' shuffle from the last place down, and numbers up to a bound from as many low bits as it has, drawn anew where they exceed it. The same seed so takes the rows that recipes written in Python take.
/// </summary>
internal sealed class NumPyPermutation
{
    private static readonly UInt128 Multiplier = new(0x2360ED051FC65DA4, 0x4385DF649FCCF645);

    private readonly UInt128 increment;
    private UInt128 state;
    private uint? half;

    private NumPyPermutation(uint seed)
    {
        ulong[] words = Seed(seed);
        increment = (new UInt128(words[2], words[3]) << 1) | UInt128.One;
        Step();
        state += new UInt128(words[0], words[1]);
        Step();
    }

    /// <summary>The numbers below <paramref name="count"/>, in the order that a seed gives.</summary>
    public static int[] Of(int count, uint seed)
    {
        NumPyPermutation random = new(seed);
        int[] order = [.. Enumerable.Range(0, count)];
        for (int i = count - 1; i > 0; i--)
        {
            int other = (int)random.UpTo((uint)i);
            (order[i], order[other]) = (order[other], order[i]);
        }

        return order;
    }

    /// <summary>SeedSequence's pool of four words from the seed, and from it four words of 64 bits.</summary>
    private static ulong[] Seed(uint seed)
    {
        uint constant = 0x43B0D7E5;
        Span<uint> pool = [seed, 0, 0, 0];
        foreach (ref uint word in pool)
        {
            word = Hash(word, ref constant, 0x931E8875);
        }

        for (int source = 0; source < pool.Length; source++)
        {
            for (int target = 0; target < pool.Length; target++)
            {
                if (source != target)
                {
                    uint mixed = (0xCA01F9DD * pool[target]) - (0x4973F715 * Hash(pool[source], ref constant, 0x931E8875));
                    pool[target] = mixed ^ (mixed >> 16);
                }
            }
        }

        constant = 0x8B51F9DD;
        ulong[] words = new ulong[4];
        for (int i = 0; i < 2 * words.Length; i++)
        {
            words[i / 2] |= (ulong)Hash(pool[i % pool.Length], ref constant, 0x58F38DED) << (32 * (i % 2));
        }

        return words;
    }

    private static uint Hash(uint value, ref uint constant, uint multiplier)
    {
        value ^= constant;
        constant *= multiplier;
        value *= constant;
        return value ^ (value >> 16);
    }

    private uint UpTo(uint bound)
    {
        uint mask = uint.MaxValue >> BitOperations.LeadingZeroCount(bound), value;
        do
        {
            value = Next() & mask;
        }
        while (value > bound);
        return value;
    }

    /// <summary>32 random bits: the lower half of a word, then its upper half.</summary>
    private uint Next()
    {
        if (half is uint upper)
        {
            half = null;
            return upper;
        }

        Step();
        ulong word = BitOperations.RotateRight((ulong)(state >> 64) ^ (ulong)state, (int)(state >> 122));
        half = (uint)(word >> 32);
        return (uint)word;
    }

    private void Step() => state = (state * Multiplier) + increment;
}
