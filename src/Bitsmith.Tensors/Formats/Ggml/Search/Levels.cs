namespace Bitsmith.Tensors.Formats.Ggml.Search;

/// <summary>Consecutive integers; the code of a level is its distance from the lowest.</summary>
internal static class IntegerLevels
{
    public static int Nearest(float value, int lowest, int highest) => (int)Math.Clamp(MathF.Round(value), lowest, highest) - lowest;
}

/// <summary>-4 to 3.</summary>
internal readonly struct Int3Levels : ILevels
{
    public static int Lowest => 0;

    public static int Highest => 7;

    public static bool Coarse => true;

    public static bool AreIntegers => true;

    public static int Nearest(float value) => IntegerLevels.Nearest(value, -4, 3);

    public static float Value(int code) => code - 4;
}

/// <summary>-8 to 7.</summary>
internal readonly struct Int4Levels : ILevels
{
    public static int Lowest => 0;

    public static int Highest => 15;

    public static bool Coarse => true;

    public static bool AreIntegers => true;

    public static int Nearest(float value) => IntegerLevels.Nearest(value, -8, 7);

    public static float Value(int code) => code - 8;
}

/// <summary>-16 to 15.</summary>
internal readonly struct Int5Levels : ILevels
{
    public static int Lowest => 0;

    public static int Highest => 31;

    public static bool Coarse => true;

    public static bool AreIntegers => true;

    public static int Nearest(float value) => IntegerLevels.Nearest(value, -16, 15);

    public static float Value(int code) => code - 16;
}

/// <summary>-32 to 31.</summary>
internal readonly struct Int6Levels : ILevels
{
    public static int Lowest => 0;

    public static int Highest => 63;

    public static bool Coarse => false;

    public static bool AreIntegers => true;

    public static int Nearest(float value) => IntegerLevels.Nearest(value, -32, 31);

    public static float Value(int code) => code - 32;
}

/// <summary>-127 to 127: without -128, which has no counterpart and which kernels that take magnitudes do not expect.</summary>
internal readonly struct Int8Levels : ILevels
{
    public static int Lowest => 0;

    public static int Highest => 254;

    public static bool Coarse => false;

    public static bool AreIntegers => true;

    public static int Nearest(float value) => IntegerLevels.Nearest(value, -127, 127);

    public static float Value(int code) => code - 127;
}

/// <summary>-1 to 2.</summary>
internal readonly struct MinusOneToTwoLevels : ILevels
{
    public static int Lowest => 0;

    public static int Highest => 3;

    public static bool Coarse => true;

    public static bool AreIntegers => true;

    public static int Nearest(float value) => IntegerLevels.Nearest(value, -1, 2);

    public static float Value(int code) => code - 1;
}

/// <summary>The sixteen levels of IQ4_NL and IQ4_XS.</summary>
internal readonly struct Iq4Levels : ILevels
{
    private static readonly float[] Table = [-127, -104, -83, -65, -49, -35, -22, -10, 1, 13, 25, 38, 53, 69, 89, 113];
    private static readonly float[] Midpoints = [.. Table.Zip(Table.Skip(1), (low, high) => (low + high) / 2)];

    public static int Lowest => 0;

    public static int Highest => 15;

    public static bool Coarse => true;

    public static bool AreIntegers => false;

    public static int Nearest(float value)
    {
        int code = value > Midpoints[7] ? 8 : 0;
        code += value > Midpoints[code + 3] ? 4 : 0;
        code += value > Midpoints[code + 1] ? 2 : 0;
        return code + (value > Midpoints[code] ? 1 : 0);
    }

    public static float Value(int code) => Table[code];
}

/// <summary>Twice the values of e2m1. Codes are sign and magnitude, so the lowest level has the highest code.</summary>
internal readonly struct Fp4Levels : ILevels
{
    private static readonly float[] Table = [0, 1, 2, 3, 4, 6, 8, 12, 0, -1, -2, -3, -4, -6, -8, -12];
    private static readonly float[] Midpoints = [0.5f, 1.5f, 2.5f, 3.5f, 5, 7, 10];

    public static int Lowest => 15;

    public static int Highest => 7;

    public static bool Coarse => true;

    public static bool AreIntegers => false;

    public static int Nearest(float value)
    {
        float magnitude = Math.Abs(value);
        int code = magnitude > Midpoints[3] ? 4 : 0;
        code += magnitude > Midpoints[code + 1] ? 2 : 0;
        code += magnitude > Midpoints[code] ? 1 : 0;
        return value < 0 && code > 0 ? code + 8 : code;
    }

    public static float Value(int code) => Table[code];
}
