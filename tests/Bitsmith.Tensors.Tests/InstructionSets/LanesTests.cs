using Bitsmith.Tensors.InstructionSets;
using Bitsmith.Tensors.Tests.Support;
using FsCheck.Fluent;

namespace Bitsmith.Tensors.Tests.InstructionSets;

/// <summary>Every operation of the vector lanes gives the bits of the scalar lanes.</summary>
public sealed class LanesTests
{
    private const int Width = LaneMath.Width;

    public static TheoryData<InstructionSet> EverySet => Sets.Data;

    [Theory]
    [MemberData(nameof(EverySet))]
    public void Operations_on_random_bits_are_those_of_the_scalar_lanes(InstructionSet set) => Law.Holds(Gen.Choose(0, int.MaxValue).ToArbitrary(), seed =>
    {
        float[] left = Draw(seed), right = Draw(seed + 1), mask = Draw(seed + 2);
        uint[] expected = Results<ScalarLanes>(left, right, mask), found = set switch
        {
            InstructionSet.Avx512 => Results<Lanes512>(left, right, mask),
            InstructionSet.Avx2 => Results<Lanes256>(left, right, mask),
            InstructionSet.Vector128 => Results<Lanes128>(left, right, mask),
            _ => expected,
        };
        Assert.Equal(expected, found);
    }, 100);

    private static float[] Draw(int seed)
    {
        // Numbers, whole or not, of many magnitudes; no NaN, for which the sets differ.
        Random random = new(seed);
        return [.. Enumerable.Range(0, Width).Select(_ => (float)((random.NextDouble() - 0.5) * Math.Pow(2, random.Next(-140, 127)))).Select(value => random.Next(8) == 0 ? MathF.Round(value) : value)];
    }

    private static uint[] Results<TLanes>(float[] left, float[] right, float[] third)
        where TLanes : struct, ILanes16<TLanes>
    {
        TLanes x = TLanes.Load32(in left[0]), y = TLanes.Load32(in right[0]), z = TLanes.Load32(in third[0]);
        TLanes small = (x >>> 9) & TLanes.Broadcast(0xFF), words = y >>> 16;
        List<uint> bits = [];
        foreach (TLanes result in (TLanes[])
            [
                x + y, x - y, x & y, x | y, x ^ y, x << 3, x >>> 5, TLanes.AddF(x, y), TLanes.SubtractF(x, y), TLanes.MultiplyF(x, y), TLanes.DivideF(x, y),
                TLanes.SwapPairs(x), TLanes.Max(small, words), TLanes.Min(small, words), TLanes.Less(small, words), TLanes.LessF(x, y), TLanes.LessF(x, x),
                TLanes.Select(TLanes.LessF(z, y), x, y), TLanes.Pick(x, small), TLanes.Broadcast(TLanes.MaxLane(words)), LaneMath.Single<TLanes>(TLanes.LargestF(x)),
                TLanes.MaxF(x, y), TLanes.MinF(x, y), TLanes.FusedF(x, y, z),
            ])
        {
            float[] stored = new float[Width];
            TLanes.Store32(result, ref stored[0]);
            bits.AddRange(stored.Select(BitConverter.SingleToUInt32Bits));
        }

        byte[] bytes = new byte[Width];
        ushort[] shorts = new ushort[Width];
        double[] sums = [.. left.Select(value => (double)value)];
        TLanes.Store8(small, ref bytes[0]);
        TLanes.Store16(words, ref shorts[0]);
        TLanes.AddToDoubles(y, ref sums[0]);
        float[] loaded = new float[3 * Width];
        TLanes.Store32(TLanes.Load8(in bytes[0]), ref loaded[0]);
        TLanes.Store32(TLanes.Load16(in shorts[0]), ref loaded[Width]);
        TLanes.Store32(TLanes.LoadUpper16(in shorts[0]), ref loaded[2 * Width]);
        return [.. bits, .. bytes.Select(value => (uint)value), .. shorts.Select(value => (uint)value), .. loaded.Select(BitConverter.SingleToUInt32Bits),
            .. sums.SelectMany(value => new[] { (uint)(BitConverter.DoubleToUInt64Bits(value) >> 32), (uint)BitConverter.DoubleToUInt64Bits(value) })];
    }
}
