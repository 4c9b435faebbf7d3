namespace Bitsmith.Tensors.Formats.Ggml.Search;

/// <summary>Weighted sums over a group of weights x with codes q, from which scale and offset follow by least squares.</summary>
/// <param name="Weight">Sum of w.</param>
/// <param name="Value">Sum of w x.</param>
/// <param name="Code">Sum of w q.</param>
/// <param name="CodeSquare">Sum of w q^2.</param>
/// <param name="Product">Sum of w x q.</param>
/// <param name="Error">Sum of w (x - scale q - offset)^2 at the scale and offset that the codes were chosen for.</param>
internal readonly record struct AffineFit(double Weight, double Value, double Code, double CodeSquare, double Product, double Error)
{
    /// <summary>Gives each weight the nearest of the codes 0 to <paramref name="highest"/> for scale * code + offset.</summary>
    public static AffineFit Of(ReadOnlySpan<float> values, ReadOnlySpan<float> weights, float scale, float offset, int highest)
    {
        float inverse = HalfScale.Inverse(scale);
        double weight = 0, value = 0, code = 0, square = 0, product = 0, error = 0;
        for (int i = 0; i < values.Length; i++)
        {
            float x = values[i];
            double w = weights[i], q = Nearest(x, inverse, offset, highest), difference = x - ((scale * q) + offset);
            weight += w;
            value += w * x;
            code += w * q;
            square += w * q * q;
            product += w * x * q;
            error += w * difference * difference;
        }

        return new(weight, value, code, square, product, error);
    }

    /// <summary>The code for one weight.</summary>
    public static float Nearest(float value, float inverse, float offset, int highest) => Math.Clamp(MathF.Round((value - offset) * inverse), 0, highest);

    /// <summary>Scale and offset of least squares for these codes, and what they take off sum w x^2; the offset at most zero where that is asked.</summary>
    public (float Scale, float Offset, double Gain) Solve(bool negativeOffset)
    {
        double determinant = (Weight * CodeSquare) - (Code * Code);
        double scale = 0, offset = Value / Weight;
        if (determinant > 1e-9 * Weight * CodeSquare)
        {
            scale = ((Weight * Product) - (Value * Code)) / determinant;
            offset = (Value - (scale * Code)) / Weight;
        }

        if (negativeOffset && offset > 0)
        {
            (scale, offset) = (CodeSquare > 0 ? Product / CodeSquare : 0, 0);
        }

        double gain = (2 * ((scale * Product) + (offset * Value))) - (scale * scale * CodeSquare) - (2 * scale * offset * Code) - (offset * offset * Weight);
        return ((float)scale, (float)offset, gain);
    }

    /// <summary>The scale of least squares for these codes and a given offset.</summary>
    public float ScaleFor(float offset) => CodeSquare > 0 ? (float)((Product - (offset * Code)) / CodeSquare) : 0;
}
