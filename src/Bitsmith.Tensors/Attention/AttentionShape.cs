namespace Bitsmith.Tensors.Attention;

/// <summary>The queries of one key/value head.</summary>
/// <param name="Tokens">Tokens with queries.</param>
/// <param name="Heads">Query heads of each token that share the keys and values; a token's heads lie one behind the other.</param>
/// <param name="HeadDim">Channels of a head.</param>
/// <param name="QueryStride">Values from a token's queries to the next token's.</param>
/// <param name="OutputStride">Values from a token's outputs to the next token's.</param>
/// <param name="Visible">Positions that the first token sees, at least 1.</param>
/// <param name="Causal">Each further token sees one position more; otherwise all see the same.</param>
public readonly record struct AttentionShape(int Tokens, int Heads, int HeadDim, int QueryStride, int OutputStride, int Visible, bool Causal)
{
    /// <summary>Queries: tokens × heads.</summary>
    public int Rows => Tokens * Heads;

    /// <summary>Positions that any token sees.</summary>
    public int Positions => VisibleTo(Tokens - 1);

    /// <summary>Positions that a token sees.</summary>
    public int VisibleTo(int token) => Visible + (Causal ? token : 0);
}
