using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;
using Bitsmith.Tensors.Elementwise;
using Bitsmith.Tensors.InstructionSets;

namespace Bitsmith.Tensors.Attention;

/// <summary>
/// Products in register tiles: each value loaded serves several rows or columns. A sum's terms and their order are the same in every tile, so its bits do not depend on the tile.
/// </summary>
internal readonly struct LaneAttentionMath<TLanes> : IAttentionMath
    where TLanes : struct, ILanes16<TLanes>
{
    private const int Width = LaneMath.Width;

    // 0, 1, ..., 15 as raw bits.
    private static readonly float[] Indices = [.. Enumerable.Range(0, Width).Select(BitConverter.Int32BitsToSingle)];

    // Sixteen sums of 512 bits fill half of the 32 registers; the others have 16 registers (or split a lane over four).
    private static bool HasWideTiles => typeof(TLanes) == typeof(Lanes512);

    public static void Multiply(ReadOnlySpan<float> a, int aStride, int rows, ReadOnlySpan<float> b, int step, int jump, int vectors, int count, Span<float> c, int cStride)
    {
        if (rows == 0 || vectors == 0 || count == 0)
        {
            return;
        }

        // The tiles below do not check bounds: the last element of each operand must exist.
        _ = a[((rows - 1) * aStride) + count - 1];
        _ = b[((count - 1) * step) + ((vectors - 1) * jump) + Width - 1];
        _ = c[((rows - 1) * cStride) + (vectors * Width) - 1];
        ref float x = ref MemoryMarshal.GetReference(a);
        ref float y = ref MemoryMarshal.GetReference(b);
        ref float sums = ref MemoryMarshal.GetReference(c);
        int row = 0;
        for (; row <= rows - 4; row += 4)
        {
            ref float factors = ref Unsafe.Add(ref x, row * aStride);
            ref float target = ref Unsafe.Add(ref sums, row * cStride);
            int vector = 0;
            for (; HasWideTiles && vector <= vectors - 4; vector += 4)
            {
                Tile4x4(ref factors, aStride, ref Unsafe.Add(ref y, vector * jump), step, jump, count, ref Unsafe.Add(ref target, vector * Width), cStride);
            }

            for (; vector < vectors; vector++)
            {
                Tile4x1(ref factors, aStride, ref Unsafe.Add(ref y, vector * jump), step, count, ref Unsafe.Add(ref target, vector * Width), cStride);
            }
        }

        for (; row < rows; row++)
        {
            ref float factors = ref Unsafe.Add(ref x, row * aStride);
            ref float target = ref Unsafe.Add(ref sums, row * cStride);
            int vector = 0;
            for (; vector <= vectors - 4; vector += 4)
            {
                Tile1x4(ref factors, ref Unsafe.Add(ref y, vector * jump), step, jump, count, ref Unsafe.Add(ref target, vector * Width));
            }

            for (; vector < vectors; vector++)
            {
                Tile1x1(ref factors, ref Unsafe.Add(ref y, vector * jump), step, count, ref Unsafe.Add(ref target, vector * Width));
            }
        }
    }

    public static void Softmax(Span<float> scores, int count, ref float maximum, Span<float> sums, Span<float> outputs)
    {
        int groups = (count + Width - 1) / Width, rest = count % Width;
        _ = scores[(groups * Width) - 1];
        ref float score = ref MemoryMarshal.GetReference(scores);
        if (rest != 0)
        {
            ref float last = ref Unsafe.Add(ref score, (groups - 1) * Width);
            TLanes visible = TLanes.Less(TLanes.Load32(in Indices[0]), TLanes.Broadcast((uint)rest));
            TLanes.Store32(TLanes.Select(visible, TLanes.Load32(in last), LaneMath.Single<TLanes>(float.NegativeInfinity)), ref last);
        }

        TLanes largest = TLanes.Load32(in score);
        for (int i = Width; i < groups * Width; i += Width)
        {
            largest = TLanes.MaxF(largest, TLanes.Load32(in Unsafe.Add(ref score, i)));
        }

        float rowLargest = MathF.Max(maximum, TLanes.LargestF(largest)), correction = OnlineSoftmax.Correction(ref maximum, rowLargest);
        TLanes origin = LaneMath.Single<TLanes>(OnlineSoftmax.Origin(rowLargest)), factor = LaneMath.Single<TLanes>(correction);
        TLanes sum = TLanes.MultiplyF(TLanes.Load32(in sums[0]), factor);
        for (int i = 0; i < groups * Width; i += Width)
        {
            ref float place = ref Unsafe.Add(ref score, i);
            TLanes weight = Exponential.Of(TLanes.SubtractF(TLanes.Load32(in place), origin));
            TLanes.Store32(weight, ref place);
            sum = TLanes.AddF(sum, weight);
        }

        TLanes.Store32(sum, ref sums[0]);
        if (correction != 1)
        {
            for (int i = 0; i <= outputs.Length - Width; i += Width)
            {
                TLanes.Store32(TLanes.MultiplyF(TLanes.Load32(in outputs[i]), factor), ref outputs[i]);
            }
        }
    }

    public static void Divide(Span<float> outputs, float divisor)
    {
        TLanes lanes = LaneMath.Single<TLanes>(divisor);
        for (int i = 0; i <= outputs.Length - Width; i += Width)
        {
            TLanes.Store32(TLanes.DivideF(TLanes.Load32(in outputs[i]), lanes), ref outputs[i]);
        }
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static TLanes At(ref float place, nint offset) => TLanes.Load32(in Unsafe.Add(ref place, offset));

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static TLanes Repeat(ref float place, nint offset) => TLanes.Broadcast(Unsafe.As<float, uint>(ref Unsafe.Add(ref place, offset)));

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static void Put(TLanes value, ref float place, nint offset) => TLanes.Store32(value, ref Unsafe.Add(ref place, offset));

    private static void Tile4x4(ref float a, nint aStride, ref float b, nint step, nint jump, int count, ref float c, nint cStride)
    {
        nint second = cStride, third = 2 * cStride, fourth = 3 * cStride;
        TLanes s00 = At(ref c, 0), s01 = At(ref c, 16), s02 = At(ref c, 32), s03 = At(ref c, 48);
        TLanes s10 = At(ref c, second), s11 = At(ref c, second + 16), s12 = At(ref c, second + 32), s13 = At(ref c, second + 48);
        TLanes s20 = At(ref c, third), s21 = At(ref c, third + 16), s22 = At(ref c, third + 32), s23 = At(ref c, third + 48);
        TLanes s30 = At(ref c, fourth), s31 = At(ref c, fourth + 16), s32 = At(ref c, fourth + 32), s33 = At(ref c, fourth + 48);
        for (int k = 0; k < count; k++)
        {
            TLanes b0 = At(ref b, 0), b1 = At(ref b, jump), b2 = At(ref b, 2 * jump), b3 = At(ref b, 3 * jump);
            TLanes factor = Repeat(ref a, 0);
            (s00, s01) = (TLanes.MultiplyAddF(factor, b0, s00), TLanes.MultiplyAddF(factor, b1, s01));
            (s02, s03) = (TLanes.MultiplyAddF(factor, b2, s02), TLanes.MultiplyAddF(factor, b3, s03));
            factor = Repeat(ref a, aStride);
            (s10, s11) = (TLanes.MultiplyAddF(factor, b0, s10), TLanes.MultiplyAddF(factor, b1, s11));
            (s12, s13) = (TLanes.MultiplyAddF(factor, b2, s12), TLanes.MultiplyAddF(factor, b3, s13));
            factor = Repeat(ref a, 2 * aStride);
            (s20, s21) = (TLanes.MultiplyAddF(factor, b0, s20), TLanes.MultiplyAddF(factor, b1, s21));
            (s22, s23) = (TLanes.MultiplyAddF(factor, b2, s22), TLanes.MultiplyAddF(factor, b3, s23));
            factor = Repeat(ref a, 3 * aStride);
            (s30, s31) = (TLanes.MultiplyAddF(factor, b0, s30), TLanes.MultiplyAddF(factor, b1, s31));
            (s32, s33) = (TLanes.MultiplyAddF(factor, b2, s32), TLanes.MultiplyAddF(factor, b3, s33));
            a = ref Unsafe.Add(ref a, 1);
            b = ref Unsafe.Add(ref b, step);
        }

        Put(s00, ref c, 0);
        Put(s01, ref c, 16);
        Put(s02, ref c, 32);
        Put(s03, ref c, 48);
        Put(s10, ref c, second);
        Put(s11, ref c, second + 16);
        Put(s12, ref c, second + 32);
        Put(s13, ref c, second + 48);
        Put(s20, ref c, third);
        Put(s21, ref c, third + 16);
        Put(s22, ref c, third + 32);
        Put(s23, ref c, third + 48);
        Put(s30, ref c, fourth);
        Put(s31, ref c, fourth + 16);
        Put(s32, ref c, fourth + 32);
        Put(s33, ref c, fourth + 48);
    }

    private static void Tile4x1(ref float a, nint aStride, ref float b, nint step, int count, ref float c, nint cStride)
    {
        TLanes s0 = At(ref c, 0), s1 = At(ref c, cStride), s2 = At(ref c, 2 * cStride), s3 = At(ref c, 3 * cStride);
        for (int k = 0; k < count; k++)
        {
            TLanes lanes = At(ref b, 0);
            s0 = TLanes.MultiplyAddF(Repeat(ref a, 0), lanes, s0);
            s1 = TLanes.MultiplyAddF(Repeat(ref a, aStride), lanes, s1);
            s2 = TLanes.MultiplyAddF(Repeat(ref a, 2 * aStride), lanes, s2);
            s3 = TLanes.MultiplyAddF(Repeat(ref a, 3 * aStride), lanes, s3);
            a = ref Unsafe.Add(ref a, 1);
            b = ref Unsafe.Add(ref b, step);
        }

        Put(s0, ref c, 0);
        Put(s1, ref c, cStride);
        Put(s2, ref c, 2 * cStride);
        Put(s3, ref c, 3 * cStride);
    }

    private static void Tile1x4(ref float a, ref float b, nint step, nint jump, int count, ref float c)
    {
        TLanes s0 = At(ref c, 0), s1 = At(ref c, 16), s2 = At(ref c, 32), s3 = At(ref c, 48);
        for (int k = 0; k < count; k++)
        {
            TLanes factor = Repeat(ref a, k);
            s0 = TLanes.MultiplyAddF(factor, At(ref b, 0), s0);
            s1 = TLanes.MultiplyAddF(factor, At(ref b, jump), s1);
            s2 = TLanes.MultiplyAddF(factor, At(ref b, 2 * jump), s2);
            s3 = TLanes.MultiplyAddF(factor, At(ref b, 3 * jump), s3);
            b = ref Unsafe.Add(ref b, step);
        }

        Put(s0, ref c, 0);
        Put(s1, ref c, 16);
        Put(s2, ref c, 32);
        Put(s3, ref c, 48);
    }

    private static void Tile1x1(ref float a, ref float b, nint step, int count, ref float c)
    {
        TLanes sum = At(ref c, 0);
        for (int k = 0; k < count; k++)
        {
            sum = TLanes.MultiplyAddF(Repeat(ref a, k), At(ref b, k * step), sum);
        }

        Put(sum, ref c, 0);
    }
}
