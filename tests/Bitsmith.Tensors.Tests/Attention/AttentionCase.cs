using Bitsmith.Tensors.Attention;
using Bitsmith.Tensors.ElementTypes;
using Bitsmith.Tensors.InstructionSets;
using FsCheck;
using FsCheck.Fluent;

namespace Bitsmith.Tensors.Tests.Attention;

/// <summary>Queries, keys and values that a seed determines, small enough to print.</summary>
public sealed record AttentionCase(int Seed, int Tokens, int Heads, int HeadDim, int Past, bool Causal, ElementType Type, float Spread)
{
    public static Arbitrary<AttentionCase> Any => Arb.From(
        from seed in Gen.Choose(0, int.MaxValue)
        from tokens in Gen.Choose(1, 40)
        from heads in Gen.Elements(1, 2, 3, 4, 7, 8)
        from headDim in Gen.OneOf(Gen.Choose(1, 50), Gen.Elements(16, 64, 80, 128))
        from past in Gen.OneOf(Gen.Choose(0, 200), Gen.Elements(0, 63, 64, 65, 127))
        from causal in Gen.Elements(true, false)
        from type in Gen.Elements(ElementType.F32, ElementType.BF16, ElementType.F16, ElementType.F8E4M3)
        from spread in Gen.Elements(0.1f, 1f, 8f)
        select new AttentionCase(seed, tokens, heads, headDim, past, causal, type, spread));

    public int Positions => Past + Tokens;

    public int Row => Heads * HeadDim;

    public int VisibleTo(int token) => Causal ? Past + token + 1 : Positions;

    public float[] Queries => Values(1, Tokens * Row);

    public float[] Keys => Values(2, Positions * HeadDim);

    public float[] StoredValues => Values(3, Positions * HeadDim);

    /// <summary>Runs a part of the tokens over stored keys and values; each part sees what the whole does.</summary>
    public float[] Run(float[] queries, float[] keys, float[] values, InstructionSet set, int first = 0, int? count = null)
    {
        int tokens = count ?? Tokens - first;
        (byte[] storedKeys, byte[] storedValues) = Store(keys, values, set);
        AttentionShape shape = new(tokens, Heads, HeadDim, Row, Row, VisibleTo(first), Causal);
        float[] outputs = new float[tokens * Row], scratch = new float[AttentionKernel.ScratchFloats(shape.Rows, HeadDim, Type)];
        Array.Fill(outputs, float.NaN);
        Array.Fill(scratch, float.NaN);
        AttentionKernel.Attend(shape, queries.AsSpan(first * Row), Type, storedKeys, storedValues, outputs, scratch, set);
        return outputs;
    }

    public (byte[] Keys, byte[] Values) Store(float[] keys, float[] values, InstructionSet set)
    {
        byte[] storedKeys = new byte[KeyValueLayout.KeyBytes(Type, HeadDim, Positions)], storedValues = new byte[KeyValueLayout.ValueBytes(Type, HeadDim, Positions)];
        for (int position = 0; position < Positions; position++)
        {
            KeyValueLayout.StoreKey(Type, storedKeys, position, keys.AsSpan(position * HeadDim, HeadDim), set);
            KeyValueLayout.StoreValue(Type, storedValues, position, values.AsSpan(position * HeadDim, HeadDim), set);
        }

        return (storedKeys, storedValues);
    }

    /// <summary>What the type makes of values.</summary>
    public float[] Rounded(float[] values)
    {
        byte[] bytes = new byte[values.Length * Type.Bytes()];
        ElementConversion.FromSingle(Type, values, bytes, InstructionSet.Scalar);
        float[] rounded = new float[values.Length];
        ElementConversion.ToSingle(Type, bytes, rounded, InstructionSet.Scalar);
        return rounded;
    }

    /// <summary>Attention in binary64, as its formula says.</summary>
    public double[] Reference(float[] queries, float[] keys, float[] values)
    {
        double[] outputs = new double[Tokens * Row];
        for (int row = 0; row < Tokens * Heads; row++)
        {
            int visible = VisibleTo(row / Heads);
            double[] scores = [.. Enumerable.Range(0, visible).Select(position =>
                Enumerable.Range(0, HeadDim).Sum(i => (double)queries[(row * HeadDim) + i] * keys[(position * HeadDim) + i]) / Math.Sqrt(HeadDim))];
            double largest = scores.Max();
            double[] weights = [.. scores.Select(score => Math.Exp(score - largest))];
            double sum = weights.Sum();
            for (int i = 0; i < HeadDim; i++)
            {
                outputs[(row * HeadDim) + i] = Enumerable.Range(0, visible).Sum(position => weights[position] / sum * values[(position * HeadDim) + i]);
            }
        }

        return outputs;
    }

    private float[] Values(int stream, int count)
    {
        Random random = new(unchecked((Seed * 4) + stream));
        return [.. Enumerable.Range(0, count).Select(_ => Spread * ((2 * random.NextSingle()) - 1))];
    }
}
