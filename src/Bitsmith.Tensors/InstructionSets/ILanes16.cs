namespace Bitsmith.Tensors.InstructionSets;

/// <summary>
/// Sixteen 32-bit lanes, whatever the register width: one 512-bit, two 256-bit or four 128-bit registers. Kernels are written
/// once against this interface. Because every implementation has sixteen lanes and reduces them in the same order, results
/// (encoded bytes and error sums) are identical for every instruction set.
/// </summary>
/// <remarks>
/// Lanes hold raw bits; methods that end in <c>F</c> read them as binary32. No operation is fused but <see cref="FusedF"/> and <see cref="MultiplyAddF"/>.
/// Loads and stores take a reference to the first of sixteen elements: the caller guarantees that all sixteen exist.
/// </remarks>
internal interface ILanes16<TSelf>
    where TSelf : struct, ILanes16<TSelf>
{
    static abstract TSelf Broadcast(uint value);

    /// <summary>Sixteen 16-bit values, moved to the upper half of each lane (bfloat16 to binary32).</summary>
    static abstract TSelf LoadUpper16(ref readonly ushort source);

    static abstract TSelf Load32(ref readonly float source);

    /// <summary>Sixteen 16-bit values, zero-extended.</summary>
    static abstract TSelf Load16(ref readonly ushort source);

    /// <summary>Sixteen bytes, zero-extended.</summary>
    static abstract TSelf Load8(ref readonly byte source);

    static abstract void Store32(TSelf value, ref float target);

    /// <summary>Stores the low 16 bits of each lane; the upper bits must be zero.</summary>
    static abstract void Store16(TSelf value, ref ushort target);

    /// <summary>Stores the low 8 bits of each lane; the upper bits must be zero.</summary>
    static abstract void Store8(TSelf value, ref byte target);

    /// <summary>Adds each lane, read as binary32, to one of sixteen binary64 sums.</summary>
    static abstract void AddToDoubles(TSelf value, ref double sums);

    static abstract TSelf operator +(TSelf left, TSelf right);

    static abstract TSelf operator -(TSelf left, TSelf right);

    static abstract TSelf operator &(TSelf left, TSelf right);

    static abstract TSelf operator |(TSelf left, TSelf right);

    static abstract TSelf operator ^(TSelf left, TSelf right);

    static abstract TSelf operator <<(TSelf value, int count);

    static abstract TSelf operator >>>(TSelf value, int count);

    static abstract TSelf AddF(TSelf left, TSelf right);

    static abstract TSelf SubtractF(TSelf left, TSelf right);

    static abstract TSelf MultiplyF(TSelf left, TSelf right);

    static abstract TSelf DivideF(TSelf left, TSelf right);

    /// <summary>left * right + addend with a single rounding, on every set; without the instruction it is slow.</summary>
    static abstract TSelf FusedF(TSelf left, TSelf right, TSelf addend);

    /// <summary>left * right + addend, fused where the instruction set can: the only operation whose last bit may differ between sets.</summary>
    static abstract TSelf MultiplyAddF(TSelf left, TSelf right, TSelf addend);

    /// <summary>The larger of two binary32 values; of a number and a NaN, the right one on x86 and NaN on Arm64.</summary>
    static abstract TSelf MaxF(TSelf left, TSelf right);

    /// <summary>The smaller of two binary32 values; NaN as for <see cref="MaxF"/>.</summary>
    static abstract TSelf MinF(TSelf left, TSelf right);

    /// <summary>The largest lane, read as binary32; any value where a lane is NaN.</summary>
    static abstract float LargestF(TSelf value);

    /// <summary>Swaps lanes 2i and 2i + 1.</summary>
    static abstract TSelf SwapPairs(TSelf value);

    /// <summary>Larger of two signed integers.</summary>
    static abstract TSelf Max(TSelf left, TSelf right);

    /// <summary>Smaller of two signed integers.</summary>
    static abstract TSelf Min(TSelf left, TSelf right);

    /// <summary>All ones where left is below right, as signed integers.</summary>
    static abstract TSelf Less(TSelf left, TSelf right);

    /// <summary>All ones where left is below right, both read as binary32; zero where one is NaN.</summary>
    static abstract TSelf LessF(TSelf left, TSelf right);

    /// <summary>Picks from <paramref name="whenSet"/> where the mask is all ones, from <paramref name="whenClear"/> where it is zero.</summary>
    static abstract TSelf Select(TSelf mask, TSelf whenSet, TSelf whenClear);

    /// <summary>For each lane, that lane of the table which the lower four bits of the index say.</summary>
    static abstract TSelf Pick(TSelf table, TSelf index);

    /// <summary>The largest lane; all below 2^31.</summary>
    static abstract uint MaxLane(TSelf value);
}
