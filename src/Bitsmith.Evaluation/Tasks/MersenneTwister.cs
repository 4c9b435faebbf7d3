namespace Bitsmith.Evaluation.Tasks;

/// <summary>
/// MT19937 (Matsumoto and Nishimura 1998), C++'s <c>std::mt19937</c>: llama-perplexity draws its items with it, so the same seed draws the same ones here.
/// </summary>
internal sealed class MersenneTwister
{
    private const int Length = 624, Shift = 397;

    private readonly uint[] state = new uint[Length];
    private int next = Length;

    public MersenneTwister(uint seed)
    {
        state[0] = seed;
        for (uint i = 1; i < Length; i++)
        {
            state[i] = (1812433253 * (state[i - 1] ^ (state[i - 1] >> 30))) + i;
        }
    }

    /// <summary>32 random bits.</summary>
    public uint Next()
    {
        if (next == Length)
        {
            Twist();
        }

        uint value = state[next++];
        value ^= value >> 11;
        value ^= (value << 7) & 0x9D2C5680;
        value ^= (value << 15) & 0xEFC60000;
        return value ^ (value >> 18);
    }

    /// <summary>
    /// A number below a bound, each as likely as the other (Lemire 2019, "Fast Random Integer Generation in an Interval"), as GNU's <c>std::uniform_int_distribution</c> makes it of 32 bits.
    /// </summary>
    public uint Below(uint bound)
    {
        ulong product = (ulong)Next() * bound;
        if ((uint)product < bound)
        {
            for (uint threshold = (0 - bound) % bound; (uint)product < threshold;)
            {
                product = (ulong)Next() * bound;
            }
        }

        return (uint)(product >> 32);
    }

    private void Twist()
    {
        for (int i = 0; i < Length; i++)
        {
            uint bits = (state[i] & 0x80000000) | (state[(i + 1) % Length] & 0x7FFFFFFF);
            state[i] = state[(i + Shift) % Length] ^ (bits >> 1) ^ ((bits & 1) == 0 ? 0 : 0x9908B0DF);
        }

        next = 0;
    }
}
