using System.Numerics;

namespace Bitsmith.Tensors.Formats.Ggml.Types;

/// <summary>Eight signs in seven bits: bit i is set where value i is negative, and the eighth is such that the number of minus signs is even.</summary>
internal static class EvenSigns
{
    public static int Expand(int seven) => seven | ((BitOperations.PopCount((uint)seven) & 1) << 7);

    public static int Shorten(int eight) => eight & 127;
}
