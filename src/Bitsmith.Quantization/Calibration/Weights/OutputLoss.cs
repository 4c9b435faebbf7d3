using System.Text.Json.Serialization;

namespace Bitsmith.Quantization.Calibration.Weights;

/// <summary>What the outputs of a Linear lost on the calibration samples: sums of squares over all tokens and rows.</summary>
/// <param name="Error">Of the differences to the original's outputs, with the weight that was written.</param>
/// <param name="LibraryError">The same with the library's min-max rounding.</param>
/// <param name="Signal">Of the original's outputs.</param>
public sealed record OutputLoss(double Error, double LibraryError, double Signal)
{
    /// <summary>Root mean square error over root mean square output; 0 where nothing was lost, null where the outputs are all zero and the errors are not.</summary>
    [JsonIgnore]
    public double? RelativeError => Error == 0 ? 0 : Finite(Math.Sqrt(Error / Signal));

    /// <summary>Decibels by which the error is below the library's; null where one of them is zero.</summary>
    [JsonIgnore]
    public double? GainDb => Finite(10 * Math.Log10(LibraryError / Error));

    /// <summary>True for sums of squares, which are finite and not negative.</summary>
    [JsonIgnore]
    internal bool IsValid => new[] { Error, LibraryError, Signal }.All(sum => double.IsFinite(sum) && sum >= 0);

    private static double? Finite(double value) => double.IsFinite(value) ? value : null;
}

[JsonSourceGenerationOptions(PropertyNamingPolicy = JsonKnownNamingPolicy.SnakeCaseLower, RespectNullableAnnotations = true, RespectRequiredConstructorParameters = true)]
[JsonSerializable(typeof(OutputLoss))]
[JsonSerializable(typeof(Statistics.ExpertTokens))]
internal sealed partial class CalibratedWeightsJson : JsonSerializerContext;
