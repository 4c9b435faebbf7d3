namespace Bitsmith.Tensors.InstructionSets;

/// <summary>The families of kernels, slowest first.</summary>
public enum InstructionSet
{
    /// <summary>Plain C#: the definition that the others are held to.</summary>
    Scalar,

    /// <summary>Portable 128-bit vectors (SSE or Arm64 AdvSimd).</summary>
    Vector128,

    /// <summary>AVX2, 256 bits.</summary>
    Avx2,

    /// <summary>AVX-512 F, BW, DQ and VL, 512 bits.</summary>
    Avx512,
}
