using System.Runtime.CompilerServices;
using System.Runtime.Intrinsics;
using Bitsmith.Tensors.ElementTypes;
using Bitsmith.Tensors.Formats;
using Bitsmith.Tensors.InstructionSets;
using Bitsmith.Tensors.Matrices.Packed;

namespace Bitsmith.Tensors.Matrices;

/// <summary>4-bit codes with a scale for each group of columns.</summary>
internal abstract unsafe class GroupMatrix : PackedMatrix
{
    private readonly TensorBytes packed, scales;
    private readonly TensorBytes? zeroPoints;
    private readonly int groupSize, scaleBytes;

    protected GroupMatrix(int rows, int columns, int groupSize, TensorBytes packed, TensorBytes scales, int scaleBytes, TensorBytes? zeroPoints = null)
        : base(rows, columns, hasMinima: false, InputBlocks.Small)
    {
        if (groupSize <= 0 || groupSize % Formats.Ggml.Unpacking.Group != 0 || columns % groupSize != 0)
        {
            throw new ArgumentException($"{columns} columns do not divide into groups of {groupSize}.", nameof(groupSize));
        }

        Require(packed, (long)rows * columns / 2, nameof(packed));
        Require(scales, (long)rows * columns / groupSize * scaleBytes, nameof(scales));
        if (zeroPoints is not null)
        {
            Require(zeroPoints, ZeroPoints.BytesOf(rows, columns / groupSize), nameof(zeroPoints));
        }

        (this.groupSize, this.packed, this.scales, this.scaleBytes, this.zeroPoints) = (groupSize, packed, scales, scaleBytes, zeroPoints);
    }

    public override long Bytes => packed.Length + scales.Length + (zeroPoints?.Length ?? 0);

    /// <summary>What each code stands for, in units of <see cref="ReadScales"/>.</summary>
    private protected abstract Vector128<sbyte> Levels { get; }

    public override void Read(int first, int count, Span<float> target, InstructionSet instructionSet) => 
        Decode(Codes(first, count), Scales(first, count), Zeros(first, count), first % ZeroPoints.RowsInWord, target, instructionSet);

    public override void Release()
    {
        packed.Release();
        scales.Release();
        zeroPoints?.Release();
    }

    /// <summary>Decodes rows, to the bits that the library gives.</summary>
    /// <param name="codes">Of the rows.</param>
    /// <param name="stored">Their scales.</param>
    /// <param name="zeros">The words that hold their zero points, where there are some.</param>
    /// <param name="firstRow">The first row's place in its word.</param>
    /// <param name="values">Receives them.</param>
    /// <param name="instructionSet">Kernels.</param>
    private protected abstract void Decode(ReadOnlySpan<byte> codes, ReadOnlySpan<byte> stored, ReadOnlySpan<byte> zeros, int firstRow, Span<float> values, InstructionSet instructionSet);

    /// <summary>What <see cref="Levels"/> are multiplied with, for each group.</summary>
    private protected abstract void ReadScales(ReadOnlySpan<byte> stored, Span<float> values);

    [SkipLocalsInit]
    private protected override void Pack(int row, byte* target)
    {
        const int Group = Formats.Ggml.Unpacking.Group;
        sbyte* codes = stackalloc sbyte[PackedStep.Codes];
        float* factors = stackalloc float[PackedStep.Lanes];
        Span<float> all = stackalloc float[MostScales], shifts = stackalloc float[zeroPoints is null ? 0 : MostScales];
        ReadOnlySpan<byte> bytes = Codes(row, 1), stored = Scales(row, 1), words = Zeros(row, 1);
        Vector128<sbyte> levels = Levels;
        int columns = Columns, read = 0, start = 0;
        fixed (byte* source = bytes)
        {
            for (int column = 0; column < columns; target += PackedStep.WeightBytes(false))
            {
                if (column / groupSize >= read)
                {
                    start = column / groupSize;
                    read = Math.Min(start + MostScales, columns / groupSize);
                    ReadScales(stored[(start * scaleBytes)..(read * scaleBytes)], all[..(read - start)]);
                    if (!shifts.IsEmpty)
                    {
                        ZeroPoints.Read(words, columns / groupSize, row % ZeroPoints.RowsInWord, start, shifts[..(read - start)]);
                    }
                }

                int groups = Math.Min(PackedStep.Lanes, (columns - column) / Group);
                if (groups < PackedStep.Lanes)
                {
                    new Span<sbyte>(codes, PackedStep.Codes).Clear();
                    new Span<float>(factors, PackedStep.Lanes).Clear();
                }

                for (int group = 0; group < groups; group++, column += Group)
                {
                    ulong sixteen = *(ulong*)(source + (column / 2));
                    int place = (column / groupSize) - start;
                    Vector128<sbyte> values = Vector128.Shuffle(levels, NibbleGroups.Unpack(sixteen).AsSByte());
                    (shifts.IsEmpty ? values : values - Vector128.Create((sbyte)shifts[place])).Store(codes + (group * Group));
                    factors[group] = all[place];
                }

                PackedStep.Interleave(new ReadOnlySpan<sbyte>(codes, PackedStep.Codes), target, 0x80);
                PackedStep.Interleave(new ReadOnlySpan<float>(factors, PackedStep.Lanes), (float*)(target + PackedStep.WeightScalesAt));
            }
        }
    }

    // Scales read at a time: a whole number of steps, whatever the group.
    private const int MostScales = 1024;

    private ReadOnlySpan<byte> Codes(int first, int count) => packed.Span((long)first * Columns / 2, checked((int)((long)count * Columns / 2)));

    private ReadOnlySpan<byte> Scales(int first, int count)
    {
        int rowBytes = Columns / groupSize * scaleBytes;
        return scales.Span((long)first * rowBytes, checked(count * rowBytes));
    }

    /// <summary>The words that hold the zero points of rows.</summary>
    private ReadOnlySpan<byte> Zeros(int first, int count)
    {
        int rowBytes = Columns / groupSize * sizeof(uint), firstWord = first / ZeroPoints.RowsInWord;
        return zeroPoints is null ? [] : zeroPoints.Span((long)firstWord * rowBytes, checked((ZeroPoints.WordRows(first + count) - firstWord) * rowBytes));
    }
}

/// <summary>compressed-tensors' pack-quantized weights; see <see cref="Int4Group"/>, and where there are zero points <see cref="Int4ZeroPointGroup"/>.</summary>
internal sealed class Int4Matrix(int rows, int columns, int groupSize, TensorBytes packed, ElementType scaleType, TensorBytes scales, TensorBytes? zeroPoints)
    : GroupMatrix(rows, columns, groupSize, packed, scales, scaleType.Bytes(), zeroPoints)
{
    private readonly int groupSize = groupSize;

    private protected override Vector128<sbyte> Levels => Vector128.Create(-8, -7, -6, -5, -4, -3, -2, -1, 0, 1, 2, 3, 4, 5, 6, 7);

    private protected override void Decode(ReadOnlySpan<byte> codes, ReadOnlySpan<byte> stored, ReadOnlySpan<byte> zeros, int firstRow, Span<float> values, InstructionSet instructionSet)
    {
        if (zeros.IsEmpty)
        {
            Int4Group.Decode(scaleType, codes, stored, groupSize, values, instructionSet);
        }
        else
        {
            Int4ZeroPointGroup.Decode(scaleType, codes, stored, zeros, firstRow, Columns, groupSize, values, instructionSet);
        }
    }

    private protected override void ReadScales(ReadOnlySpan<byte> stored, Span<float> values) => ElementConversion.ToSingle(scaleType, stored, values);
}

/// <summary>compressed-tensors' nvfp4-pack-quantized weights; see <see cref="NvFp4Group"/>.</summary>
internal sealed class NvFp4Matrix(int rows, int columns, TensorBytes packed, TensorBytes scales, float globalScale)
    : GroupMatrix(rows, columns, NvFp4Group.Columns, packed, scales, 1)
{
    // Twice the values of e2m1, which are integers, and half the scale.
    private readonly float twice = 2 * globalScale;

    private protected override Vector128<sbyte> Levels => Formats.Ggml.Search.Fp4Levels.Bytes;

    private protected override void Decode(ReadOnlySpan<byte> codes, ReadOnlySpan<byte> stored, ReadOnlySpan<byte> zeros, int firstRow, Span<float> values, InstructionSet instructionSet) =>
        NvFp4Group.Decode(codes, stored, globalScale, values, instructionSet);

    private protected override void ReadScales(ReadOnlySpan<byte> stored, Span<float> values) => NvFp4Group.ReadScales(stored, twice, values, Cpu.Default);
}
