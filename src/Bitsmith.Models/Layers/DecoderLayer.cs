namespace Bitsmith.Models.Layers;

/// <summary>A decoder layer: changes the hidden state [tokens × D] in place.</summary>
public interface IDecoderLayer
{
    /// <summary>The Linears of the layer, in the order in which they are applied; those of the experts in ascending order.</summary>
    IEnumerable<Linear> Linears { get; }

    /// <summary>Norms, biases and the router's matrix.</summary>
    IEnumerable<LayerVector> Vectors { get; }

    /// <summary>Runs the layer.</summary>
    void Forward(Memory<float> hidden, ForwardPass pass);
}

/// <summary>x += attention(norm(x)); x += mlp(norm(x)).</summary>
internal sealed record PreNormLayer(RmsNorm InputNorm, Attention Attention, RmsNorm PostAttentionNorm, IMlp Mlp) : IDecoderLayer
{
    public IEnumerable<Linear> Linears => Attention.Linears.Concat(Mlp.Linears);

    public IEnumerable<LayerVector> Vectors => [InputNorm.Weight, .. Attention.Vectors, PostAttentionNorm.Weight, .. Mlp.Vectors];

    public void Forward(Memory<float> hidden, ForwardPass pass)
    {
        Memory<float> normed = pass.Buffer(PassBuffer.Normed, hidden.Length), branch = pass.Buffer(PassBuffer.Branch, hidden.Length);
        RowWork.Normalize(InputNorm, hidden, normed, pass);
        Attention.Forward(normed, branch, pass);
        RowWork.Add(hidden, branch, InputNorm.Width, pass.Compute);
        RowWork.Normalize(PostAttentionNorm, hidden, normed, pass);
        Mlp.Forward(normed, pass.Tokens, branch, pass);
        RowWork.Add(hidden, branch, InputNorm.Width, pass.Compute);
    }
}

/// <summary>x += norm(attention(norm(x))); x += norm(mlp(norm(x))). The names are the checkpoint's: post_attention_layernorm is the MLP's input norm.</summary>
internal sealed record SandwichLayer(
    RmsNorm InputNorm, Attention Attention, RmsNorm PostSelfAttentionNorm, RmsNorm PostAttentionNorm, IMlp Mlp, RmsNorm PostMlpNorm) : IDecoderLayer
{
    public IEnumerable<Linear> Linears => Attention.Linears.Concat(Mlp.Linears);

    public IEnumerable<LayerVector> Vectors => [InputNorm.Weight, .. Attention.Vectors, PostSelfAttentionNorm.Weight, PostAttentionNorm.Weight, .. Mlp.Vectors, PostMlpNorm.Weight];

    public void Forward(Memory<float> hidden, ForwardPass pass)
    {
        Memory<float> normed = pass.Buffer(PassBuffer.Normed, hidden.Length), branch = pass.Buffer(PassBuffer.Branch, hidden.Length);
        RowWork.Normalize(InputNorm, hidden, normed, pass);
        Attention.Forward(normed, branch, pass);
        RowWork.Normalize(PostSelfAttentionNorm, branch, branch, pass);
        RowWork.Add(hidden, branch, InputNorm.Width, pass.Compute);
        RowWork.Normalize(PostAttentionNorm, hidden, normed, pass);
        Mlp.Forward(normed, pass.Tokens, branch, pass);
        RowWork.Normalize(PostMlpNorm, branch, branch, pass);
        RowWork.Add(hidden, branch, InputNorm.Width, pass.Compute);
    }
}
