using Bitsmith.Tensors.ElementTypes;
using Bitsmith.Tensors.Formats;
using Bitsmith.Tensors.Formats.Ggml;
using Bitsmith.Tensors.InstructionSets;
using FsCheck;
using FsCheck.Fluent;

namespace Bitsmith.Tensors.Tests.Support;

/// <summary>A matrix and a format of groups: NVFP4, or 4-bit integers without or with zero points; the matrix's block is one group.</summary>
public sealed record GroupCase(Matrix Matrix, bool IsNvFp4, bool HasZeroPoints = false)
{
    public static Arbitrary<GroupCase> Any(int mostRows) => Arb.From(
        from seed in Gen.Choose(0, int.MaxValue)
        from rows in Gen.Choose(1, mostRows)
        from isNvFp4 in Gen.Elements(false, true, false)
        from hasZeroPoints in isNvFp4 ? Gen.Constant(false) : Gen.Elements(false, true)
        from side in isNvFp4 ? Gen.Constant(16) : Gen.Elements(16, 32, 64, 128, 48, 256)
        from groups in Gen.Choose(1, side > 64 ? 5 : 40)
        from type in Gen.Elements(ElementType.BF16, ElementType.F16, ElementType.F32)
        from content in Gen.Elements(Enum.GetValues<Content>())
        select new GroupCase(new Matrix(seed, rows, groups * side, new BlockShape(1, side), type, content), isNvFp4, hasZeroPoints));

    public int Group => Matrix.Block.Columns;

    /// <summary>The library's global scale for the matrix alone.</summary>
    public float GlobalScale(byte[] weights) => NvFp4Group.LibraryGlobalScale(Matrix.Type, (float)Matrix.Values(weights).Max(Math.Abs));

    public GroupEncoded Encode(byte[] weights, WeightEncoder encoder, InstructionSet? set = null, float[]? importance = null, float? globalScale = null)
    {
        int rows = weights.Length / Matrix.RowBytes;
        ColumnWeights columns = ColumnWeights.Of(importance ?? [], Matrix.Columns);
        GroupEncoded encoded = new(
            new byte[rows * Matrix.Columns / 2], new byte[rows * Matrix.Columns / Group * (IsNvFp4 ? 1 : Matrix.Type.Bytes())],
            new byte[HasZeroPoints ? ZeroPoints.BytesOf(rows, Matrix.Columns / Group) : 0], new QuantizationError[rows], new QuantizationError[encoder == WeightEncoder.Best ? rows : 0]);
        if (IsNvFp4)
        {
            NvFp4Group.Encode(
                encoder, Matrix.Type, weights, globalScale ?? GlobalScale(weights), columns, encoded.Packed, encoded.Scales, encoded.Errors, encoded.LibraryErrors, set);
        }
        else if (HasZeroPoints)
        {
            Int4ZeroPointGroup.Encode(encoder, Matrix.Type, weights, Group, columns, encoded.Packed, encoded.Scales, encoded.ZeroPoints, encoded.Errors, encoded.LibraryErrors, set);
        }
        else
        {
            Int4Group.Encode(encoder, Matrix.Type, weights, Group, columns, encoded.Packed, encoded.Scales, encoded.Errors, encoded.LibraryErrors, set);
        }

        return encoded;
    }

    public float[] Decode(GroupEncoded encoded, float globalScale, InstructionSet? set = null)
    {
        float[] values = new float[encoded.Packed.Length * 2];
        if (IsNvFp4)
        {
            NvFp4Group.Decode(encoded.Packed, encoded.Scales, globalScale, values, set);
        }
        else if (HasZeroPoints)
        {
            Int4ZeroPointGroup.Decode(Matrix.Type, encoded.Packed, encoded.Scales, encoded.ZeroPoints, 0, Matrix.Columns, Group, values, set);
        }
        else
        {
            Int4Group.Decode(Matrix.Type, encoded.Packed, encoded.Scales, Group, values, set);
        }

        return values;
    }

    /// <summary>What codes are multiplied with, for each group.</summary>
    public double[] Scales(GroupEncoded encoded, float globalScale) => IsNvFp4
        ? [.. encoded.Scales.Select(scale => (double)((float)NearestEven.Value(scale, 4, 3, infinities: false) / globalScale))]
        : Matrix.Values(encoded.Scales);

    /// <summary>The zero point of each group; zeros where the format has none.</summary>
    public int[] Zeros(GroupEncoded encoded)
    {
        int groups = Matrix.Columns / Group, rows = encoded.Errors.Length;
        return [.. Enumerable.Range(0, rows * groups).Select(i =>
            HasZeroPoints ? (int)((BitConverter.ToUInt32(encoded.ZeroPoints, ((i / groups / 8 * groups) + (i % groups)) * 4) >> (i / groups % 8 * 4)) & 15) - 8 : 0)];
    }

    /// <summary>What each code stands for.</summary>
    public double[] Levels(GroupEncoded encoded)
    {
        int[] zeros = Zeros(encoded);
        return [.. Enumerable.Range(0, encoded.Packed.Length * 2).Select(i => (Code: (encoded.Packed[i / 2] >> (i % 2 * 4)) & 15, Group: i / Group))
            .Select(place => IsNvFp4 ? NearestEven.Value(place.Code, 2, 1, infinities: false) : place.Code - 8 - zeros[place.Group])];
    }
}

/// <summary>What an encoder of groups wrote.</summary>
public sealed record GroupEncoded(byte[] Packed, byte[] Scales, byte[] ZeroPoints, QuantizationError[] Errors, QuantizationError[] LibraryErrors);
