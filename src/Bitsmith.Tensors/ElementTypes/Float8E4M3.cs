namespace Bitsmith.Tensors.ElementTypes;

/// <summary>
/// e4m3fn: sign, 4 exponent bits (bias 7), 3 significand bits. No infinities; 0x7F and 0xFF are NaN; largest finite
/// 448 (0x7E); subnormals are multiples of 2^-9. Source: OCP 8-bit floating point specification, revision 1.0.
/// </summary>
/// <param name="Bits">The code.</param>
public readonly record struct Float8E4M3(byte Bits)
{
    /// <summary>The largest finite value.</summary>
    public const float MaxValue = 448;

    /// <summary>The smallest positive normal value, 2^-6.</summary>
    public const float MinNormal = 1f / 64;

    /// <summary>The smallest positive value, 2^-9.</summary>
    public const float MinPositive = 1f / 512;

    /// <summary>The value of each of the 256 codes.</summary>
    public static ReadOnlySpan<float> Values => Table;

    private static readonly float[] Table = [.. Enumerable.Range(0, 256).Select(code => Value(code))];

    /// <summary>
    /// Rounds to nearest, ties to even, and saturates: everything above 448, infinity included, becomes 448 with the sign kept.
    /// NaN becomes 0x7F with the sign kept. Negative values that round to zero give 0x80.
    /// </summary>
    public static Float8E4M3 FromSingle(float value)
    {
        uint bits = BitConverter.SingleToUInt32Bits(value);
        uint sign = bits >> 31 << 7;
        float magnitude = Math.Abs(value);
        if (float.IsNaN(value))
        {
            return new((byte)(sign | 0x7F));
        }

        if (magnitude >= MaxValue)
        {
            return new((byte)(sign | 0x7E));
        }

        if (magnitude < MinNormal)
        {
            // Units of 2^-9; the product is exact, so this is the only rounding. 8 is the code of the smallest normal.
            return new((byte)(sign | (uint)MathF.Round(magnitude * 512, MidpointRounding.ToEven)));
        }

        // 20 of the 23 stored bits go; a carry out of the significand correctly raises the exponent. Biases: 127 - 7 = 120.
        bits &= 0x7FFF_FFFF;
        return new((byte)(sign | (((bits + 0x7FFFF + ((bits >> 20) & 1)) >> 20) - (120 << 3))));
    }

    /// <summary>The exact value as binary32.</summary>
    public float ToSingle() => Table[Bits];

    /// <summary>True for the two NaN codes.</summary>
    public bool IsNaN => (Bits & 0x7F) == 0x7F;

    private static float Value(int code)
    {
        int exponent = (code >> 3) & 15, significand = code & 7;
        float magnitude = (exponent, significand) switch
        {
            (15, 7) => MathF.CopySign(float.NaN, 1), // float.NaN itself has its sign bit set
            (0, _) => significand * MinPositive,
            _ => MathF.ScaleB(1 + (significand / 8f), exponent - 7),
        };
        return (code & 0x80) == 0 ? magnitude : -magnitude;
    }
}
