using System.Runtime.InteropServices;
using Bitsmith.Tensors.ElementTypes;
using Bitsmith.Tensors.Formats;
using FsCheck;
using FsCheck.Fluent;

namespace Bitsmith.Tensors.Tests.Support;

/// <summary>What a generated matrix holds.</summary>
public enum Content
{
    Ordinary,
    Outliers,
    Hostile,
    AnyFiniteBits,
    Zeros,
    Tiny,
    Large,
}

/// <summary>A matrix that a seed determines, small enough to print.</summary>
public sealed record Matrix(int Seed, int Rows, int Columns, BlockShape Block, ElementType Type, Content Content)
{
    private static readonly float[] Awkward =
    [
        0, -0f, float.Epsilon, -float.Epsilon, 1e-45f, -3e-42f, 1e-38f, -1e-38f, 1.17549435e-38f, 5e-36f, 6e-8f, -6e-5f, 0.02f, -0.02f, 1, -1, 448, -448,
        57344, -65504, 1e30f, -3e37f, float.MaxValue, -float.MaxValue,
    ];

    public static Arbitrary<Matrix> Any(int mostRows, int mostColumns, int largestSide) => Arb.From(
        from seed in Gen.Choose(0, int.MaxValue)
        from rows in Gen.Choose(1, mostRows)
        from columns in Gen.Choose(1, mostColumns)
        from block in Gen.OneOf(
            Gen.Choose(1, largestSide).Two().Select(sides => new BlockShape(sides.Item1, sides.Item2)),
            Gen.Elements(new BlockShape(7, 13), new BlockShape(32, 32), new BlockShape(1, 16), new BlockShape(128, 128), new BlockShape(1, 1)))
        from type in Gen.Elements(ElementType.BF16, ElementType.F16, ElementType.F32)
        from content in Gen.Elements(Enum.GetValues<Content>())
        select new Matrix(seed, rows, columns, block, type, content),
        Smaller);

    public (int Rows, int Columns) Grid => Block.GridOf(Rows, Columns);

    public int RowBytes => Columns * Type.Bytes();

    public int ScaleRowBytes => Grid.Columns * Type.Bytes();

    /// <summary>The elements, all finite.</summary>
    public byte[] Bytes()
    {
        Random random = new(Seed);
        byte[] bytes = new byte[Rows * RowBytes];
        if (Content == Content.AnyFiniteBits)
        {
            random.NextBytes(bytes);
        }
        else
        {
            float[] values = [.. Enumerable.Range(0, Rows * Columns).Select(_ => Value(random))];
            ElementConversion.FromSingle(Type, values, bytes, Bitsmith.Tensors.InstructionSets.InstructionSet.Scalar);
        }

        // What is infinite or NaN in this type becomes finite by losing the lowest exponent bit.
        for (int last = Type.Bytes() - 1; last < bytes.Length; last += Type.Bytes())
        {
            if (Type == ElementType.F16)
            {
                bytes[last] &= (bytes[last] & 0x7C) == 0x7C ? (byte)0xFB : (byte)0xFF;
            }
            else if ((bytes[last] & 0x7F) == 0x7F && bytes[last - 1] >= 0x80)
            {
                bytes[last - 1] &= 0x7F;
            }
        }

        return bytes;
    }

    /// <summary>The elements as binary64.</summary>
    public double[] Values(ReadOnlySpan<byte> bytes)
    {
        double[] values = new double[bytes.Length / Type.Bytes()];
        for (int i = 0; i < values.Length; i++)
        {
            values[i] = Type switch
            {
                ElementType.F32 => MemoryMarshal.Cast<byte, float>(bytes)[i],
                ElementType.F16 => NearestEven.Value(MemoryMarshal.Cast<byte, ushort>(bytes)[i], 5, 10, infinities: true),
                _ => NearestEven.Value(MemoryMarshal.Cast<byte, ushort>(bytes)[i], 8, 7, infinities: true),
            };
        }

        return values;
    }

    private float Value(Random random) => Content switch
    {
        Content.Ordinary => Normal(random),
        Content.Outliers => random.Next(200) == 0 ? Normal(random) * 1e5f : Normal(random),
        Content.Hostile => Awkward[random.Next(Awkward.Length)],
        Content.Zeros => random.Next(2) == 0 ? 0 : -0f,
        Content.Tiny => Normal(random) * (Type == ElementType.F16 ? 1e-5f : random.Next(3) == 0 ? 1e-43f : 1e-37f),
        _ => (Type == ElementType.F16 ? 65504 : float.MaxValue) * (random.NextSingle() - 0.5f) * 2,
    };

    private static float Normal(Random random) =>
        0.02f * MathF.Sqrt(-2 * MathF.Log(1 - random.NextSingle())) * MathF.Cos(2 * MathF.PI * random.NextSingle());

    private static IEnumerable<Matrix> Smaller(Matrix matrix)
    {
        foreach (int rows in new[] { matrix.Rows / 2, matrix.Rows - 1 }.Where(rows => rows > 0).Distinct())
        {
            yield return matrix with { Rows = rows };
        }

        foreach (int columns in new[] { matrix.Columns / 2, matrix.Columns - 1 }.Where(columns => columns > 0).Distinct())
        {
            yield return matrix with { Columns = columns };
        }
    }
}

/// <summary>What an encoder wrote.</summary>
internal sealed record Encoded(byte[] Codes, byte[] Scales, QuantizationError[] Errors, QuantizationError[] LibraryErrors)
{
    public static Encoded From(
        Matrix matrix, byte[] weights, WeightEncoder encoder, Bitsmith.Tensors.InstructionSets.InstructionSet? set = null)
    {
        (int blockRows, int blockColumns) = matrix.Grid;
        Encoded encoded = new(
            new byte[matrix.Rows * matrix.Columns],
            new byte[blockRows * blockColumns * matrix.Type.Bytes()],
            new QuantizationError[blockRows],
            new QuantizationError[encoder == WeightEncoder.Best ? blockRows : 0]);
        Fp8Block.Encode(
            encoder, matrix.Type, weights, matrix.Rows, matrix.Columns, matrix.Block,
            encoded.Codes, encoded.Scales, encoded.Errors, encoded.LibraryErrors, set);
        return encoded;
    }
}
