using System.Runtime.InteropServices;
using Bitsmith.Synthesize;
using Bitsmith.Tensors.ElementTypes;
using Bitsmith.Tensors.Formats;
using Bitsmith.Tensors.InstructionSets;

namespace Bitsmith.Benchmarks;

/// <summary>A band of a BF16 matrix and the room for its codes, made once.</summary>
internal sealed class EncodeCase
{
    /// <summary>Rows of the band: one row of 128-blocks, four of 32-blocks.</summary>
    public const int Rows = 128;

    private readonly int columns;
    private readonly BlockShape block;
    private readonly byte[] weights, codes, scales;
    private readonly QuantizationError[] errors, libraryErrors;
    private readonly WeightEncoder encoder;

    public EncodeCase(WeightEncoder encoder, int columns, int blockSide)
    {
        this.encoder = encoder;
        this.columns = columns;
        block = new BlockShape(blockSide, blockSide);
        (int gridRows, int gridColumns) = block.GridOf(Rows, columns);
        weights = new byte[BytesOf(columns)];
        NormalWeights.Fill(MemoryMarshal.Cast<byte, ushort>(weights.AsSpan()), seed: 1);
        codes = new byte[Rows * columns];
        scales = new byte[gridRows * gridColumns * ElementType.BF16.Bytes()];
        errors = new QuantizationError[gridRows];
        libraryErrors = new QuantizationError[encoder == WeightEncoder.Best ? gridRows : 0];
    }

    public static long BytesOf(int columns) => (long)Rows * columns * ElementType.BF16.Bytes();

    public void Run(InstructionSet set) =>
        Fp8Block.Encode(encoder, ElementType.BF16, weights, Rows, columns, block, codes, scales, errors, libraryErrors, set);
}
