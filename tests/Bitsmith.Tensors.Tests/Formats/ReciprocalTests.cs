using Bitsmith.Tensors.ElementTypes;
using Bitsmith.Tensors.Formats;
using Bitsmith.Tensors.InstructionSets;
using Bitsmith.Tensors.Tests.Support;

namespace Bitsmith.Tensors.Tests.Formats;

/// <summary>The vector kernels multiply BF16 weights by 1/scale instead of dividing; this is why they may.</summary>
public sealed class ReciprocalTests
{
    [Fact]
    public void For_all_bfloat16_significands_the_product_with_the_reciprocal_rounds_to_the_quotient()
    {
        for (int w = 128; w < 256; w++)
        {
            for (int s = 128; s < 256; s++)
            {
                foreach (float weight in new[] { w, -w, w / 128f })
                {
                    foreach (float scale in new[] { (float)s, MathF.ScaleB(s, -120), MathF.ScaleB(s, 90) })
                    {
                        Assert.True(
                            BFloat16.Round(weight * (1 / scale)) == BFloat16.Round(weight / scale),
                            $"{weight:R} / {scale:R}: {weight * (1 / scale):R} and {weight / scale:R} round to different BF16 values");
                    }
                }
            }
        }
    }

    [Fact]
    public void No_quotient_of_bfloat16_significands_comes_close_to_a_midpoint()
    {
        double closest = double.PositiveInfinity;
        for (int w = 128; w < 256; w++)
        {
            for (int s = 128; s < 256; s++)
            {
                double quotient = (double)w / s, unit = quotient < 1 ? 1.0 / 256 : 1.0 / 128;
                double midpoint = (Math.Floor(quotient / unit) + 0.5) * unit;
                closest = Math.Min(closest, Math.Abs(quotient - midpoint) / quotient);
            }
        }

        Assert.InRange(closest, 1.0 / (1 << 17), double.PositiveInfinity);
    }

    [Fact]
    public void All_bfloat16_significands_under_all_scales_get_the_same_code_in_every_instruction_set()
    {
        // Row s: a first weight that makes the block's scale, then all weights of 8 significant bits and three magnitudes.
        const int Columns = 1 + (3 * 128);
        Matrix matrix = new(0, 128, Columns, new BlockShape(1, Columns), ElementType.BF16, Content.Ordinary);
        float[] weights = new float[128 * Columns];
        for (int s = 0; s < 128; s++)
        {
            weights[s * Columns] = (128 + s) * 448f;
            for (int i = 1; i < Columns; i++)
            {
                weights[(s * Columns) + i] = (128 + ((i - 1) % 128)) * MathF.ScaleB(i % 2 == 0 ? 1 : -1, 7 - (4 * ((i - 1) / 128)));
            }
        }

        byte[] bytes = new byte[weights.Length * 2];
        ElementConversion.FromSingle(ElementType.BF16, weights, bytes);
        Encoded scalar = Encoded.From(matrix, bytes, WeightEncoder.Library, InstructionSet.Scalar);
        Assert.True(scalar.Scales.Chunk(2).Select(scale => BitConverter.ToUInt16(scale)).Distinct().Count() > 100);
        foreach (InstructionSet set in Sets.All)
        {
            Assert.Equal(scalar.Codes, Encoded.From(matrix, bytes, WeightEncoder.Library, set).Codes);
        }
    }
}
