namespace Bitsmith.Models.Vision;

/// <summary>erf in binary64, to about 1e-15.</summary>
internal static class ErrorFunction
{
    /// <summary>
    /// 2/√π ∫₀ˣ e^(-t²) dt: the Maclaurin series with positive terms, e^(-x²) · 2/√π · Σ 2ⁿ x^(2n+1) / (2n+1)!!, up to 3; beyond, 1 minus the
    /// continued fraction of the complement.
    /// </summary>
    public static double Erf(double x)
    {
        double magnitude = Math.Abs(x);
        if (double.IsNaN(x) || magnitude > 6)
        {
            return double.IsNaN(x) ? x : Math.Sign(x);
        }

        if (magnitude <= 3)
        {
            double term = x, sum = x;
            for (int n = 1; Math.Abs(term) > 1e-17 * Math.Abs(sum); n++)
            {
                term *= 2 * x * x / ((2 * n) + 1);
                sum += term;
            }

            return sum * Math.Exp(-x * x) * 2 / Math.Sqrt(Math.PI);
        }

        double fraction = magnitude;
        for (int k = 60; k > 0; k--)
        {
            fraction = magnitude + (k / 2.0 / fraction);
        }

        return Math.Sign(x) * (1 - (Math.Exp(-x * x) / (fraction * Math.Sqrt(Math.PI))));
    }
}
