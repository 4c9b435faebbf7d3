using System.Diagnostics.CodeAnalysis;

namespace Bitsmith.Tensors.Formats.Ggml;

/// <summary>The tensor types of GGUF files that hold weights, under the numbers and names that the file format gives them.</summary>
[SuppressMessage("Naming", "CA1707:Identifiers should not contain underscores", Justification = "The format's own names.")]
[SuppressMessage("Design", "CA1027:Mark enums with FlagsAttribute", Justification = "Numbers of a file format, no flags.")]
public enum GgmlType
{
    /// <summary>IEEE 754 binary32.</summary>
    F32 = 0,

    /// <summary>IEEE 754 binary16.</summary>
    F16 = 1,

    /// <summary>4 bits, one scale for 32 values.</summary>
    Q4_0 = 2,

    /// <summary>4 bits, one scale and one offset for 32 values.</summary>
    Q4_1 = 3,

    /// <summary>5 bits, one scale for 32 values.</summary>
    Q5_0 = 6,

    /// <summary>5 bits, one scale and one offset for 32 values.</summary>
    Q5_1 = 7,

    /// <summary>8 bits, one scale for 32 values.</summary>
    Q8_0 = 8,

    /// <summary>2 bits, 4-bit scales and minima for 16 values.</summary>
    Q2_K = 10,

    /// <summary>3 bits, 6-bit scales for 16 values.</summary>
    Q3_K = 11,

    /// <summary>4 bits, 6-bit scales and minima for 32 values.</summary>
    Q4_K = 12,

    /// <summary>5 bits, 6-bit scales and minima for 32 values.</summary>
    Q5_K = 13,

    /// <summary>6 bits, 8-bit scales for 16 values.</summary>
    Q6_K = 14,

    /// <summary>8 bits, one binary32 scale for 256 values and their sums: for activations, never in files.</summary>
    Q8_K = 15,

    /// <summary>Points of a grid of 256, 8 values each; 4-bit scales for 32 values.</summary>
    IQ2_XXS = 16,

    /// <summary>Points of a grid of 512, 8 values each; 4-bit scales for 16 values.</summary>
    IQ2_XS = 17,

    /// <summary>Points of a grid of 256, 4 values each; 4-bit scales for 32 values.</summary>
    IQ3_XXS = 18,

    /// <summary>Points of a ternary grid of 2048, 8 values each; 3-bit scales for 32 values.</summary>
    IQ1_S = 19,

    /// <summary>4 bits, levels of a table, one scale for 32 values.</summary>
    IQ4_NL = 20,

    /// <summary>Points of a grid of 512, 4 values each; 4-bit scales for 32 values.</summary>
    IQ3_S = 21,

    /// <summary>Points of a grid of 1024, 8 values each; 4-bit scales for 16 values.</summary>
    IQ2_S = 22,

    /// <summary>4 bits, levels of a table, 6-bit scales for 32 values.</summary>
    IQ4_XS = 23,

    /// <summary>Points of a ternary grid of 2048, 8 values each; 3-bit scales for 16 values.</summary>
    IQ1_M = 29,

    /// <summary>The upper half of a binary32.</summary>
    BF16 = 30,

    /// <summary>Ternary, five to a byte, one scale for 256 values.</summary>
    TQ1_0 = 34,

    /// <summary>Ternary, four to a byte, one scale for 256 values.</summary>
    TQ2_0 = 35,

    /// <summary>e2m1 with a power of two for 32 values.</summary>
    MXFP4 = 39,

    /// <summary>e2m1 with an unsigned e4m3 scale for 16 values.</summary>
    NVFP4 = 40,

    /// <summary>Signs, one scale for 128 values.</summary>
    Q1_0 = 41,

    /// <summary>The levels -1, 0, 1 and 2, one scale for 64 values.</summary>
    Q2_0 = 42,
}
