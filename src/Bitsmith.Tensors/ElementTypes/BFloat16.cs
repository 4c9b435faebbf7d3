namespace Bitsmith.Tensors.ElementTypes;

/// <summary>bfloat16: the upper 16 bits of a binary32.</summary>
/// <param name="Bits">Sign, 8 exponent bits, 7 significand bits.</param>
public readonly record struct BFloat16(ushort Bits)
{
    /// <summary>Machine epsilon, 2^-7: the distance from 1 to the next larger value.</summary>
    public const float Epsilon = 1f / 128;

    /// <summary>
    /// Rounds to nearest, ties to even. Overflow gives infinity, subnormals are kept; a NaN keeps its sign and upper
    /// payload bits and becomes quiet.
    /// </summary>
    public static BFloat16 FromSingle(float value)
    {
        uint bits = BitConverter.SingleToUInt32Bits(value);
        return new((ushort)(float.IsNaN(value) ? (bits >> 16) | 0x40 : (bits + 0x7FFF + ((bits >> 16) & 1)) >> 16));
    }

    /// <summary>The exact value as binary32.</summary>
    public float ToSingle() => BitConverter.UInt32BitsToSingle((uint)Bits << 16);

    /// <summary>The binary32 value rounded to bfloat16 precision.</summary>
    public static float Round(float value) => FromSingle(value).ToSingle();
}
