using System.Globalization;
using Bitsmith.Quantization.Calibration.Statistics;
using Bitsmith.Tensors.Formats;
using Bitsmith.Tensors.Gptq;

namespace Bitsmith.Quantization.Calibration.Weights;

/// <summary>How a <see cref="WeightCalibration"/> chooses scales and codes.</summary>
public sealed record WeightCalibrationOptions
{
    /// <summary>The method. Weights in formats without GPTQ are searched.</summary>
    public CalibrationMethod Method { get; init; } = CalibrationMethod.Gptq;

    /// <summary>How scales are chosen where GPTQ does not choose them; round to nearest has the library's.</summary>
    public WeightEncoder Encoder
    {
        get => Method == CalibrationMethod.Rtn ? WeightEncoder.Library : field;
        init;
    }
    = WeightEncoder.Best;

    /// <summary>With <see cref="CalibrationMethod.Awq"/>, weights are limited where that costs less in the outputs than coarser scales: <see cref="Awq.AwqClip"/>.</summary>
    public bool Clip { get; init; }

    /// <summary>Every expert sees every token in the statistics; what flows on is what the router chooses.</summary>
    public bool AllExperts { get; init; } = true;

    /// <summary>How tokens count for experts.</summary>
    public TokenWeighting Weighting { get; init; }

    /// <summary>What is done about experts without tokens.</summary>
    public UnseenExpert Unseen { get; init; }

    /// <summary>How GPTQ goes on.</summary>
    public GptqOptions Rounding { get; init; } = new();

    /// <summary>Share of the mean of the second moments' diagonal that is added to it.</summary>
    public double Damping { get; init; } = 0.01;

    /// <summary>What the result depends on, in a line.</summary>
    public override string ToString() => string.Create(CultureInfo.InvariantCulture, $"{CalibrationMethods.NameOf(Method)}, {Encoder} scales{(Clip ? ", clipped" : string.Empty)}, damping {Damping}, {Rounding.Sweeps} sweeps; {Statistics}");

    internal bool HasGptq => Method is CalibrationMethod.Gptq or CalibrationMethod.AwqGptq;

    internal bool HasAwq => Method is CalibrationMethod.Awq or CalibrationMethod.AwqGptq;

    internal StatisticsOptions Statistics => new() { AllExperts = AllExperts, Weighting = Weighting, Unseen = Unseen };
}
