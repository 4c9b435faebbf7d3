namespace Bitsmith.Checkpoints.Imatrix;

/// <summary>
/// What llama-imatrix 0.7.0 states of a tensor's inputs. They are taken over the columns of all matrices that have seen tokens: m = Σ x / count, v = Σ x² / count. Where plain sums are
/// missing, v stands for m.
/// </summary>
/// <param name="Tensor">Name.</param>
/// <param name="Layer">Number of its layer, or null.</param>
/// <param name="OfSquares">Plain sums are missing.</param>
/// <param name="SumSquares">Σ v.</param>
/// <param name="Elements">Number of columns.</param>
/// <param name="Mean">Mean of m.</param>
/// <param name="StandardDeviation">Population standard deviation of m.</param>
/// <param name="Skewness">Third standardized moment of m.</param>
/// <param name="Kurtosis">Fourth standardized moment of m, minus 3.</param>
/// <param name="Entropy">Entropy of v / Σ v in bits, as a percentage of the highest possible, log₂ of the number of columns: 100 where all columns are alike.</param>
/// <param name="Change">Compared with the same tensor of a layer before, where there is one.</param>
public sealed record TensorStatistics(
    string Tensor, int? Layer, bool OfSquares, double SumSquares, long Elements, float Mean, float StandardDeviation, float Skewness, float Kurtosis, float Entropy, InputChange? Change)
{
    /// <summary>The names of what <see cref="Row"/> holds, as files state them.</summary>
    public static IReadOnlyList<string> Schema { get; } =
        ["sum_sq", "mean", "elements", "std_deviation", "skewness", "kurtosis", "gain", "h_norm", "l2_dist", "cossim", "pearson", "covariance"];

    /// <summary>The numbers in the order of <see cref="Schema"/>; those without a layer before are no numbers.</summary>
    public float[] Row() =>
    [
        (float)SumSquares, Mean, Elements, StandardDeviation, Skewness, Kurtosis, Change?.Gain ?? InputChange.None, Entropy,
        Change?.Distance ?? InputChange.None, Change?.Cosine ?? InputChange.None, Change?.Pearson ?? InputChange.None, Change?.Covariance ?? InputChange.None,
    ];
}

/// <summary>Inputs compared with those of a layer before, as sums over the columns that both have, so that the tensors of a layer can be added up.</summary>
/// <param name="Columns">Number of columns.</param>
/// <param name="Dot">Σ m · m′, where m′ is of the layer before.</param>
/// <param name="Squares">Σ m².</param>
/// <param name="SquaresBefore">Σ m′².</param>
/// <param name="SquaredDistance">Σ (m - m′)².</param>
/// <param name="Products">Σ of the products of deviations from the means.</param>
/// <param name="Variations">Σ of the squared deviations of m.</param>
/// <param name="VariationsBefore">Σ of the squared deviations of m′.</param>
/// <param name="Energy">Σ v, and its number of columns.</param>
/// <param name="EnergyBefore">Σ v′, and its number of columns; nothing where it vanishes.</param>
public sealed record InputChange(
    long Columns, double Dot, double Squares, double SquaresBefore, double SquaredDistance, double Products, double Variations, double VariationsBefore,
    (double Sum, long Columns) Energy, (double Sum, long Columns) EnergyBefore)
{
    /// <summary>Up to this an energy counts as none.</summary>
    internal const double Nothing = 1e-10;

    /// <summary>No number, in the bits that C has for it.</summary>
    internal static readonly float None = BitConverter.UInt32BitsToSingle(0x7FC00000);

    /// <summary>Root mean square over that of the layer before; 1 where both vanish.</summary>
    public float Gain => EnergyBefore.Columns > 0 ? (float)(Math.Sqrt(Energy.Sum / Energy.Columns) / Math.Sqrt(EnergyBefore.Sum / EnergyBefore.Columns)) : Energy.Sum > Nothing ? None : 1;

    /// <summary>Euclidean distance of m and m′.</summary>
    public float Distance => (float)Math.Sqrt(SquaredDistance);

    /// <summary>Cosine of the angle between m and m′.</summary>
    public float Cosine => Ratio(Dot, Squares, SquaresBefore);

    /// <summary>Pearson's correlation of m and m′.</summary>
    public float Pearson => Ratio(Products, Variations, VariationsBefore);

    /// <summary>Population covariance of m and m′.</summary>
    public float Covariance => Columns > 1 ? (float)(Products / Columns) : None;

    private static float Ratio(double product, double first, double second) =>
        first > 0 && second > 0 ? Math.Clamp((float)(product / (Math.Sqrt(first) * Math.Sqrt(second))), -1, 1) : first == 0 && second == 0 ? None : 0;
}

/// <summary>The tensors of a layer together.</summary>
/// <param name="Layer">Its number.</param>
/// <param name="SumSquares">Σ v over all its tensors.</param>
/// <param name="Change">Compared with the layer before, where tensors have one.</param>
public sealed record LayerStatistics(int Layer, float SumSquares, InputChange? Change);
