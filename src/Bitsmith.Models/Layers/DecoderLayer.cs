namespace Bitsmith.Models.Layers;

/// <summary>A decoder layer: changes the hidden state [tokens × D] in place.</summary>
public interface IDecoderLayer
{
    /// <summary>Runs the layer.</summary>
    void Forward(Memory<float> hidden, ForwardPass pass);
}

/// <summary>x += attention(norm(x)); x += mlp(norm(x)).</summary>
internal sealed record PreNormLayer(RmsNorm InputNorm, Attention Attention, RmsNorm PostAttentionNorm, IMlp Mlp) : IDecoderLayer
{
    public void Forward(Memory<float> hidden, ForwardPass pass)
    {
        float[] normed = new float[hidden.Length], branch = new float[hidden.Length];
        InputNorm.Apply(hidden.Span, normed, pass.Compute.InstructionSet);
        Attention.Forward(normed, branch, pass);
        Residual.Add(hidden.Span, branch);
        PostAttentionNorm.Apply(hidden.Span, normed, pass.Compute.InstructionSet);
        Mlp.Forward(normed, pass.Tokens, branch, pass);
        Residual.Add(hidden.Span, branch);
    }
}

/// <summary>x += norm(attention(norm(x))); x += norm(mlp(norm(x))). The names are the checkpoint's: post_attention_layernorm is the MLP's input norm.</summary>
internal sealed record SandwichLayer(
    RmsNorm InputNorm, Attention Attention, RmsNorm PostSelfAttentionNorm, RmsNorm PostAttentionNorm, IMlp Mlp, RmsNorm PostMlpNorm) : IDecoderLayer
{
    public void Forward(Memory<float> hidden, ForwardPass pass)
    {
        float[] normed = new float[hidden.Length], branch = new float[hidden.Length];
        InputNorm.Apply(hidden.Span, normed, pass.Compute.InstructionSet);
        Attention.Forward(normed, branch, pass);
        PostSelfAttentionNorm.Apply(branch, branch, pass.Compute.InstructionSet);
        Residual.Add(hidden.Span, branch);
        PostAttentionNorm.Apply(hidden.Span, normed, pass.Compute.InstructionSet);
        Mlp.Forward(normed, pass.Tokens, branch, pass);
        PostMlpNorm.Apply(branch, branch, pass.Compute.InstructionSet);
        Residual.Add(hidden.Span, branch);
    }
}

/// <summary>x += y.</summary>
internal static class Residual
{
    public static void Add(Span<float> hidden, ReadOnlySpan<float> branch)
    {
        for (int i = 0; i < hidden.Length; i++)
        {
            hidden[i] += branch[i];
        }
    }
}
