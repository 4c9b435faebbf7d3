using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;
using Bitsmith.Tensors.InstructionSets;

namespace Bitsmith.Tensors.Matrices;

/// <summary>
/// Inner products in binary32. Column c is added to sum c mod 64 of 64; the sums are then added in a fixed tree. The order depends on the length alone.
/// Within an instruction set results are reproducible; between them they may differ in the last bits, because some fuse the multiplication with the addition.
/// </summary>
public static class DotProduct
{
    private const int Sums = 4;

    /// <summary>Σ left[i] · right[i].</summary>
    /// <exception cref="ArgumentException">The lengths differ.</exception>
    public static float Of(ReadOnlySpan<float> left, ReadOnlySpan<float> right, InstructionSet instructionSet)
    {
        if (left.Length != right.Length)
        {
            throw new ArgumentException($"{left.Length} and {right.Length} values have no inner product.");
        }

        return instructionSet switch
        {
            InstructionSet.Avx512 => Lanes<Lanes512>(left, right),
            InstructionSet.Avx2 => Lanes<Lanes256>(left, right),
            InstructionSet.Vector128 => Lanes<Lanes128>(left, right),
            _ => Scalar(left, right),
        };
    }

    private static float Scalar(ReadOnlySpan<float> left, ReadOnlySpan<float> right)
    {
        Span<float> sums = stackalloc float[Sums * LaneMath.Width];
        sums.Clear();
        for (int i = 0; i < left.Length; i++)
        {
            sums[i % sums.Length] += left[i] * right[i];
        }

        return Total(sums);
    }

    private static float Lanes<TLanes>(ReadOnlySpan<float> left, ReadOnlySpan<float> right)
        where TLanes : struct, ILanes16<TLanes>
    {
        TLanes a = TLanes.Broadcast(0), b = a, c = a, d = a;
        ref float x = ref MemoryMarshal.GetReference(left);
        ref float y = ref MemoryMarshal.GetReference(right);
        int i = 0;
        for (; i <= left.Length - (Sums * LaneMath.Width); i += Sums * LaneMath.Width)
        {
            a = TLanes.MultiplyAddF(TLanes.Load32(in Unsafe.Add(ref x, i)), TLanes.Load32(in Unsafe.Add(ref y, i)), a);
            b = TLanes.MultiplyAddF(TLanes.Load32(in Unsafe.Add(ref x, i + 16)), TLanes.Load32(in Unsafe.Add(ref y, i + 16)), b);
            c = TLanes.MultiplyAddF(TLanes.Load32(in Unsafe.Add(ref x, i + 32)), TLanes.Load32(in Unsafe.Add(ref y, i + 32)), c);
            d = TLanes.MultiplyAddF(TLanes.Load32(in Unsafe.Add(ref x, i + 48)), TLanes.Load32(in Unsafe.Add(ref y, i + 48)), d);
        }

        Span<float> sums = stackalloc float[Sums * LaneMath.Width];
        TLanes.Store32(a, ref sums[0]);
        TLanes.Store32(b, ref sums[16]);
        TLanes.Store32(c, ref sums[32]);
        TLanes.Store32(d, ref sums[48]);
        for (int rest = 0; i < left.Length; i++, rest++)
        {
            sums[rest] += left[i] * right[i];
        }

        return Total(sums);
    }

    private static float Total(Span<float> sums)
    {
        for (int half = sums.Length / 2; half > 0; half /= 2)
        {
            for (int i = 0; i < half; i++)
            {
                sums[i] += sums[i + half];
            }
        }

        return sums[0];
    }
}
