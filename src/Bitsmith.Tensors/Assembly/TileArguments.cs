using System.Numerics;
using System.Runtime.InteropServices;
using Bitsmith.Tensors.InstructionSets;

namespace Bitsmith.Tensors.Assembly;

/// <summary>What a tile kernel is told; the layout is known to the assembled code.</summary>
[StructLayout(LayoutKind.Sequential)]
internal unsafe struct TileArguments
{
    public const int SumsAt = 0, WeightsAt = 8, WeightStrideAt = 16, InputsAt = 24, InputStrideAt = 32, StepsAt = 40, TailMaskAt = 48, AddsAt = 56, ScalesAt = 64, BlockStepsAt = 72, TailScaleAt = 80, SignAndCodeAt = 84, SplitterAt = 88;

    /// <summary>[rows][tokens][16] partial sums.</summary>
    public float* Sums;

    /// <summary>First weight of the first row.</summary>
    public byte* Weights;

    /// <summary>Bytes from a row to the next.</summary>
    public nint WeightStride;

    /// <summary>First input of the first token.</summary>
    public byte* Inputs;

    /// <summary>Bytes from a token to the next.</summary>
    public nint InputStride;

    /// <summary>Whole steps of columns.</summary>
    public nint Steps;

    /// <summary>A bit for each column behind the last whole step, from the lowest; 0 for none. Nothing is read for columns that have no bit.</summary>
    public nint TailMask;

    /// <summary>0: the sums begin at zero, whatever they hold; otherwise they are added to.</summary>
    public nint Adds;

    /// <summary>FP8: a factor for each block of columns, the first for the first step; 256 times the scale, because codes are widened as binary16 of another bias.</summary>
    public float* Scales;

    /// <summary>FP8: steps of a block of columns.</summary>
    public nint BlockSteps;

    /// <summary>FP8: the factor of the columns behind the last whole step.</summary>
    public float TailScale;

    // Constants of the FP8 kernels, here because every register is taken: a mask for two codes, and 2^16 + 1.
    private readonly uint signAndCode = 0xBFFF_BFFF;
    private readonly float splitter = 65537;

    /// <summary>Arguments to be filled.</summary>
    public TileArguments()
    {
    }

    /// <summary>Sets the place of the weights: rows that follow each other, from a row and a column on.</summary>
    public void SetWeights(byte* first, int weightBytes, int columns, int row, int column)
    {
        WeightStride = (nint)columns * weightBytes;
        Weights = first + (row * WeightStride) + ((nint)column * weightBytes);
    }

    /// <summary>binary32 inputs of a token.</summary>
    public readonly ReadOnlySpan<float> InputRow(int token) => new(Inputs + (token * InputStride), Columns);

    /// <summary>binary32 weights of a row.</summary>
    public readonly ReadOnlySpan<float> WeightRow(int row) => new(Weights + (row * WeightStride), Columns);

    private readonly int Columns => ((int)Steps * LaneMath.Width) + BitOperations.PopCount((nuint)TailMask);
}
