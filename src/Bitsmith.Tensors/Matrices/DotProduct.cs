using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;
using Bitsmith.Tensors.InstructionSets;

namespace Bitsmith.Tensors.Matrices;

/// <summary>
/// Inner products in binary32. Column c is added to sum c mod 16 of 16, in ascending order; the sums are then added in a fixed tree. The order depends on the length alone, so a
/// product is the same alone and inside any tile. Within an instruction set results are reproducible; between them they may differ in the last bits, because some fuse the
/// multiplication with the addition.
/// </summary>
public static class DotProduct
{
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

    /// <summary>Adds the products to sixteen partial sums.</summary>
    internal static void AddScalar(ReadOnlySpan<float> left, ReadOnlySpan<float> right, Span<float> sums)
    {
        for (int i = 0; i < left.Length; i++)
        {
            sums[i % LaneMath.Width] += left[i] * right[i];
        }
    }

    /// <inheritdoc cref="AddScalar"/>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    internal static TLanes AddLanes<TLanes>(ReadOnlySpan<float> left, ReadOnlySpan<float> right, TLanes sum)
        where TLanes : struct, ILanes16<TLanes>
    {
        ref float x = ref MemoryMarshal.GetReference(left);
        ref float y = ref MemoryMarshal.GetReference(right);
        int whole = left.Length - (left.Length % LaneMath.Width);
        for (int i = 0; i < whole; i += LaneMath.Width)
        {
            sum = TLanes.MultiplyAddF(TLanes.Load32(in Unsafe.Add(ref x, i)), TLanes.Load32(in Unsafe.Add(ref y, i)), sum);
        }

        return whole == left.Length ? sum : AddTail(left[whole..], right[whole..], sum);
    }

    /// <summary>Adds the products of the columns behind the last whole step.</summary>
    internal static TLanes AddTail<TLanes>(ReadOnlySpan<float> left, ReadOnlySpan<float> right, TLanes sum)
        where TLanes : struct, ILanes16<TLanes> =>
        TLanes.MultiplyAddF(LaneMath.LoadTail<TLanes, float>(left), LaneMath.LoadTail<TLanes, float>(right), sum);

    /// <summary>The sum of sixteen partial sums: halves are added until one is left. The sums are overwritten.</summary>
    internal static float Total(Span<float> sums)
    {
        for (int half = LaneMath.Width / 2; half > 0; half /= 2)
        {
            for (int i = 0; i < half; i++)
            {
                sums[i] += sums[i + half];
            }
        }

        return sums[0];
    }

    private static float Scalar(ReadOnlySpan<float> left, ReadOnlySpan<float> right)
    {
        Span<float> sums = stackalloc float[LaneMath.Width];
        sums.Clear();
        AddScalar(left, right, sums);
        return Total(sums);
    }

    private static float Lanes<TLanes>(ReadOnlySpan<float> left, ReadOnlySpan<float> right)
        where TLanes : struct, ILanes16<TLanes>
    {
        Span<float> sums = stackalloc float[LaneMath.Width];
        TLanes.Store32(AddLanes(left, right, TLanes.Broadcast(0)), ref sums[0]);
        return Total(sums);
    }
}
