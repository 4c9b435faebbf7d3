namespace Bitsmith.Tensors.Formats.Ggml.Types;

/// <summary>Writes decoded grid points.</summary>
internal static class Signs
{
    /// <summary>values[i] = step * point[i], negated where bit i of the signs is set.</summary>
    public static void Apply(float step, ReadOnlySpan<float> point, int signs, Span<float> values)
    {
        for (int i = 0; i < point.Length; i++)
        {
            values[i] = step * point[i] * (((signs >> i) & 1) != 0 ? -1 : 1);
        }
    }
}
