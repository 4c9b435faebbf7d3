using Bitsmith.Tensors.Formats.Ggml.Search;
using Bitsmith.Tensors.InstructionSets;

namespace Bitsmith.Tensors.Tests.Formats.Ggml;

public sealed class LevelsTests
{
    private const int Width = LaneMath.Width;

    [Fact]
    public void Consecutive_integers_are_nearest_everywhere()
    {
        Nearest<Int3Levels>(Integers(-4, 3));
        Nearest<Int4Levels>(Integers(-8, 7));
        Nearest<Int5Levels>(Integers(-16, 15));
        Nearest<Int6Levels>(Integers(-32, 31));
        Nearest<Int8Levels>([.. Integers(0, 127), 0, .. Integers(-127, -1)]);
        Nearest<MinusOneToTwoLevels>(Integers(-1, 2));
        Nearest<TernaryLevels>(Integers(-1, 1));

        static float[] Integers(int lowest, int highest) => [.. Enumerable.Range(lowest, highest - lowest + 1).Select(level => (float)level)];
    }

    [Fact]
    public void Levels_of_tables_are_nearest_everywhere()
    {
        Nearest<Iq4Levels>([.. Enumerable.Range(0, 16).Select(Iq4Levels.Value)]);
        Nearest<Fp4Levels>([.. Enumerable.Range(0, 16).Select(Fp4Levels.Value)]);
    }

    private static void Nearest<TLevels>(float[] levels)
        where TLevels : struct, ILevels
    {
        Assert.Equal(levels.Min(), TLevels.Lowest);
        Assert.Equal(levels.Max(), TLevels.Highest);
        float[] values = [.. Enumerable.Range(-1200, 2400).Select(i => i * 0.125f), 1e38f, -1e38f, float.PositiveInfinity, float.NegativeInfinity, 1e-40f, 0, -0f, .. levels, .. new float[16]];
        float[] nearest = new float[Width];
        byte[] codes = new byte[Width];
        for (int start = 0; start + Width <= values.Length; start += Width)
        {
            ScalarLanes lanes = ScalarLanes.Load32(in values[start]);
            ScalarLanes.Store32(TLevels.Nearest(lanes, LaneMath.Single<ScalarLanes>(1)), ref nearest[0]);
            ScalarLanes.Store8(TLevels.Code(lanes, LaneMath.Single<ScalarLanes>(1)), ref codes[0]);
            for (int i = 0; i < Width; i++)
            {
                double value = Math.Clamp(values[start + i], -1e6f, 1e6f);
                Assert.Equal(levels.Min(level => Math.Abs(level - value)), Math.Abs(nearest[i] - value));
                Assert.Equal(nearest[i], levels[codes[i]]);
            }
        }
    }
}
