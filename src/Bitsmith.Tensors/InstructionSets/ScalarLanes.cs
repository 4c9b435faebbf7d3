using System.Runtime.CompilerServices;

namespace Bitsmith.Tensors.InstructionSets;

/// <summary>Sixteen lanes one after another, in plain C#: the definition that the vector lanes are held to.</summary>
internal readonly struct ScalarLanes : ILanes16<ScalarLanes>
{
    private readonly Row lanes;

    private ScalarLanes(Row lanes) => this.lanes = lanes;

    public static ScalarLanes Broadcast(uint value)
    {
        Row row = default;
        ((Span<uint>)row).Fill(value);
        return new(row);
    }

    public static ScalarLanes LoadUpper16(ref readonly ushort source) => Load16(in source) << 16;

    public static ScalarLanes Load32(ref readonly float source)
    {
        Row row = default;
        for (int i = 0; i < LaneMath.Width; i++)
        {
            row[i] = BitConverter.SingleToUInt32Bits(Unsafe.Add(ref Unsafe.AsRef(in source), i));
        }

        return new(row);
    }

    public static ScalarLanes Load16(ref readonly ushort source)
    {
        Row row = default;
        for (int i = 0; i < LaneMath.Width; i++)
        {
            row[i] = Unsafe.Add(ref Unsafe.AsRef(in source), i);
        }

        return new(row);
    }

    public static ScalarLanes Load8(ref readonly byte source)
    {
        Row row = default;
        for (int i = 0; i < LaneMath.Width; i++)
        {
            row[i] = Unsafe.Add(ref Unsafe.AsRef(in source), i);
        }

        return new(row);
    }

    public static void Store32(ScalarLanes value, ref float target)
    {
        for (int i = 0; i < LaneMath.Width; i++)
        {
            Unsafe.Add(ref target, i) = BitConverter.UInt32BitsToSingle(value.lanes[i]);
        }
    }

    public static void Store16(ScalarLanes value, ref ushort target)
    {
        for (int i = 0; i < LaneMath.Width; i++)
        {
            Unsafe.Add(ref target, i) = (ushort)value.lanes[i];
        }
    }

    public static void Store8(ScalarLanes value, ref byte target)
    {
        for (int i = 0; i < LaneMath.Width; i++)
        {
            Unsafe.Add(ref target, i) = (byte)value.lanes[i];
        }
    }

    public static void AddToDoubles(ScalarLanes value, ref double sums)
    {
        for (int i = 0; i < LaneMath.Width; i++)
        {
            Unsafe.Add(ref sums, i) += BitConverter.UInt32BitsToSingle(value.lanes[i]);
        }
    }

    public static ScalarLanes operator +(ScalarLanes left, ScalarLanes right) => Pairs(left, right, static (x, y) => x + y);

    public static ScalarLanes operator -(ScalarLanes left, ScalarLanes right) => Pairs(left, right, static (x, y) => x - y);

    public static ScalarLanes operator &(ScalarLanes left, ScalarLanes right) => Pairs(left, right, static (x, y) => x & y);

    public static ScalarLanes operator |(ScalarLanes left, ScalarLanes right) => Pairs(left, right, static (x, y) => x | y);

    public static ScalarLanes operator ^(ScalarLanes left, ScalarLanes right) => Pairs(left, right, static (x, y) => x ^ y);

    public static ScalarLanes operator <<(ScalarLanes value, int count) => Pairs(value, Broadcast((uint)count), static (x, y) => x << (int)y);

    public static ScalarLanes operator >>>(ScalarLanes value, int count) => Pairs(value, Broadcast((uint)count), static (x, y) => x >>> (int)y);

    public static ScalarLanes AddF(ScalarLanes left, ScalarLanes right) => PairsF(left, right, static (x, y) => x + y);

    public static ScalarLanes SubtractF(ScalarLanes left, ScalarLanes right) => PairsF(left, right, static (x, y) => x - y);

    public static ScalarLanes MultiplyF(ScalarLanes left, ScalarLanes right) => PairsF(left, right, static (x, y) => x * y);

    public static ScalarLanes DivideF(ScalarLanes left, ScalarLanes right) => PairsF(left, right, static (x, y) => x / y);

    public static ScalarLanes FusedF(ScalarLanes left, ScalarLanes right, ScalarLanes addend)
    {
        Row row = default;
        for (int i = 0; i < LaneMath.Width; i++)
        {
            row[i] = BitConverter.SingleToUInt32Bits(MathF.FusedMultiplyAdd(
                BitConverter.UInt32BitsToSingle(left.lanes[i]), BitConverter.UInt32BitsToSingle(right.lanes[i]), BitConverter.UInt32BitsToSingle(addend.lanes[i])));
        }

        return new(row);
    }

    public static ScalarLanes MultiplyAddF(ScalarLanes left, ScalarLanes right, ScalarLanes addend) => AddF(MultiplyF(left, right), addend);

    public static ScalarLanes MaxF(ScalarLanes left, ScalarLanes right) => PairsF(left, right, static (x, y) => x > y ? x : y);

    public static ScalarLanes MinF(ScalarLanes left, ScalarLanes right) => PairsF(left, right, static (x, y) => x < y ? x : y);

    public static float LargestF(ScalarLanes value)
    {
        float largest = BitConverter.UInt32BitsToSingle(value.lanes[0]);
        for (int i = 1; i < LaneMath.Width; i++)
        {
            float lane = BitConverter.UInt32BitsToSingle(value.lanes[i]);
            largest = lane > largest ? lane : largest;
        }

        return largest;
    }

    public static ScalarLanes SwapPairs(ScalarLanes value)
    {
        Row row = default;
        for (int i = 0; i < LaneMath.Width; i++)
        {
            row[i] = value.lanes[i ^ 1];
        }

        return new(row);
    }

    public static ScalarLanes Max(ScalarLanes left, ScalarLanes right) => Pairs(left, right, static (x, y) => (int)x > (int)y ? x : y);

    public static ScalarLanes Min(ScalarLanes left, ScalarLanes right) => Pairs(left, right, static (x, y) => (int)x < (int)y ? x : y);

    public static ScalarLanes Less(ScalarLanes left, ScalarLanes right) => Pairs(left, right, static (x, y) => (int)x < (int)y ? uint.MaxValue : 0);

    public static ScalarLanes LessF(ScalarLanes left, ScalarLanes right) =>
        Pairs(left, right, static (x, y) => BitConverter.UInt32BitsToSingle(x) < BitConverter.UInt32BitsToSingle(y) ? uint.MaxValue : 0);

    public static ScalarLanes Select(ScalarLanes mask, ScalarLanes whenSet, ScalarLanes whenClear) => (mask & whenSet) | Pairs(mask, whenClear, static (x, y) => ~x & y);

    public static ScalarLanes Pick(ScalarLanes table, ScalarLanes index)
    {
        Row row = default;
        for (int i = 0; i < LaneMath.Width; i++)
        {
            row[i] = table.lanes[(int)(index.lanes[i] & (LaneMath.Width - 1))];
        }

        return new(row);
    }

    public static uint MaxLane(ScalarLanes value)
    {
        uint largest = 0;
        for (int i = 0; i < LaneMath.Width; i++)
        {
            largest = Math.Max(largest, value.lanes[i]);
        }

        return largest;
    }

    private static ScalarLanes Pairs(ScalarLanes left, ScalarLanes right, Func<uint, uint, uint> lane)
    {
        Row row = default;
        for (int i = 0; i < LaneMath.Width; i++)
        {
            row[i] = lane(left.lanes[i], right.lanes[i]);
        }

        return new(row);
    }

    private static ScalarLanes PairsF(ScalarLanes left, ScalarLanes right, Func<float, float, float> lane)
    {
        Row row = default;
        for (int i = 0; i < LaneMath.Width; i++)
        {
            row[i] = BitConverter.SingleToUInt32Bits(lane(BitConverter.UInt32BitsToSingle(left.lanes[i]), BitConverter.UInt32BitsToSingle(right.lanes[i])));
        }

        return new(row);
    }

    [InlineArray(LaneMath.Width)]
    private struct Row
    {
        private uint first;
    }
}
