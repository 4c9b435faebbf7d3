namespace Bitsmith.Tensors.Formats.Ggml.Search;

/// <summary>What a group of weights x loses at a scale s, where each takes its best level q: weighted sums over the group.</summary>
/// <param name="Error">Sum of w (x - s q)^2.</param>
/// <param name="Product">Sum of w x q.</param>
/// <param name="Square">Sum of w q^2.</param>
internal readonly record struct GroupFit(double Error, double Product, double Square)
{
    /// <summary>The scale of least squares for these levels.</summary>
    public float BestScale => Square > 0 ? (float)(Product / Square) : 0;

    /// <summary>What the best scale takes off sum w x^2.</summary>
    public double Gain => Square > 0 ? Product * Product / Square : 0;

    public static GroupFit operator +(GroupFit left, GroupFit right) =>
        new(left.Error + right.Error, left.Product + right.Product, left.Square + right.Square);
}

/// <summary>Groups of weights and the levels they may take, up to a scale for each group.</summary>
internal interface IScaledGroups
{
    /// <summary>Number of groups in the block.</summary>
    int Groups { get; }

    /// <summary>A scale for a group on its own, to be improved by alternating assignment and least squares.</summary>
    GroupFit Start(int group);

    /// <summary>Gives every weight of a group its best level at the scale, which may be zero or negative.</summary>
    GroupFit Fit(int group, float scale);
}
