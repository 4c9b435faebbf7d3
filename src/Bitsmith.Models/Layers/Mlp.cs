namespace Bitsmith.Models.Layers;

/// <summary>The second half of a decoder layer: dense or a mixture of experts.</summary>
internal interface IMlp
{
    /// <summary>output = mlp(input), for [tokens × D].</summary>
    void Forward(ReadOnlyMemory<float> input, int tokens, Memory<float> output, ForwardPass pass);
}

/// <summary>down(silu(gate x) · (up x)), with gate and up in one matrix (rows 0..F-1 gate, F..2F-1 up).</summary>
internal sealed record FusedMlp(Linear GateUp, Linear Down) : IMlp
{
    public void Forward(ReadOnlyMemory<float> input, int tokens, Memory<float> output, ForwardPass pass)
    {
        int width = Down.Weight.Columns;
        float[] both = new float[tokens * 2 * width], inner = new float[tokens * width];
        GateUp.Forward(input, tokens, both, pass);
        for (int token = 0; token < tokens; token++)
        {
            ReadOnlySpan<float> row = both.AsSpan(token * 2 * width, 2 * width);
            Gating.Apply(row[..width], row[width..], inner.AsSpan(token * width, width));
        }

        Down.Forward(inner, tokens, output, pass);
    }
}

/// <summary>down(silu(gate x) · (up x)).</summary>
internal sealed record GatedMlp(Linear Gate, Linear Up, Linear Down) : IMlp
{
    public void Forward(ReadOnlyMemory<float> input, int tokens, Memory<float> output, ForwardPass pass)
    {
        float[] gate = new float[tokens * Gate.Weight.Rows], up = new float[gate.Length];
        Gate.Forward(input, tokens, gate, pass);
        Up.Forward(input, tokens, up, pass);
        Gating.Apply(gate, up, gate);
        Down.Forward(gate, tokens, output, pass);
    }
}

/// <summary>silu(g) · u, where silu(g) = g / (1 + e^-g).</summary>
internal static class Gating
{
    public static void Apply(ReadOnlySpan<float> gate, ReadOnlySpan<float> up, Span<float> output)
    {
        for (int i = 0; i < output.Length; i++)
        {
            output[i] = gate[i] / (1 + MathF.Exp(-gate[i])) * up[i];
        }
    }
}
