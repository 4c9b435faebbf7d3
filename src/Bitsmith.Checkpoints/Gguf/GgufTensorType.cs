namespace Bitsmith.Checkpoints.Gguf;

/// <summary>How the elements of a GGUF tensor are stored: rows of blocks. All types that ggml writes to files are known, those that only hold weights and the plain numbers.</summary>
/// <param name="Number">ggml's number of the type.</param>
/// <param name="Name">ggml's name, for example <c>Q4_K</c>.</param>
/// <param name="BlockValues">Elements in a block; a row holds whole blocks.</param>
/// <param name="BlockBytes">Bytes of a block.</param>
public sealed record GgufTensorType(int Number, string Name, int BlockValues, int BlockBytes)
{
    // One row for each type. Missing numbers are types that ggml has removed, and those for activations alone (Q8_1, Q8_K).
    private static readonly Dictionary<int, GgufTensorType> Known = ((GgufTensorType[])
    [
        new(0, "F32", 1, 4), new(1, "F16", 1, 2), new(30, "BF16", 1, 2), new(28, "F64", 1, 8),
        new(24, "I8", 1, 1), new(25, "I16", 1, 2), new(26, "I32", 1, 4), new(27, "I64", 1, 8),
        new(2, "Q4_0", 32, 18), new(3, "Q4_1", 32, 20), new(6, "Q5_0", 32, 22), new(7, "Q5_1", 32, 24), new(8, "Q8_0", 32, 34),
        new(10, "Q2_K", 256, 84), new(11, "Q3_K", 256, 110), new(12, "Q4_K", 256, 144), new(13, "Q5_K", 256, 176), new(14, "Q6_K", 256, 210),
        new(16, "IQ2_XXS", 256, 66), new(17, "IQ2_XS", 256, 74), new(22, "IQ2_S", 256, 82), new(18, "IQ3_XXS", 256, 98), new(21, "IQ3_S", 256, 110),
        new(19, "IQ1_S", 256, 50), new(29, "IQ1_M", 256, 56), new(20, "IQ4_NL", 32, 18), new(23, "IQ4_XS", 256, 136),
        new(34, "TQ1_0", 256, 54), new(35, "TQ2_0", 256, 66), new(39, "MXFP4", 32, 17), new(40, "NVFP4", 64, 36), new(41, "Q1_0", 128, 18), new(42, "Q2_0", 64, 18),
    ]).ToDictionary(type => type.Number);

    /// <summary>IEEE 754 binary32.</summary>
    public static GgufTensorType F32 => Known[0];

    /// <summary>IEEE 754 binary16.</summary>
    public static GgufTensorType F16 => Known[1];

    /// <summary>The upper half of a binary32.</summary>
    public static GgufTensorType BF16 => Known[30];

    /// <summary>All types.</summary>
    public static IReadOnlyCollection<GgufTensorType> All => Known.Values;

    /// <summary>The type of a number, or null.</summary>
    public static GgufTensorType? Find(long number) => number is >= 0 and <= int.MaxValue ? Known.GetValueOrDefault((int)number) : null;
}
