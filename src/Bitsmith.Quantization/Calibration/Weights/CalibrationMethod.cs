using Bitsmith.Quantization.Jobs;

namespace Bitsmith.Quantization.Calibration.Weights;

/// <summary>How weights are fitted to calibration samples.</summary>
public enum CalibrationMethod
{
    /// <summary>Round to nearest; only scales of inputs come from the samples.</summary>
    Rtn,

    /// <summary>Scales of least error weighted by the inputs' second moments.</summary>
    Search,

    /// <summary>Activation-aware scales that are folded into the layers in front.</summary>
    Awq,

    /// <summary>Rounding that hands its error on to the columns not yet rounded.</summary>
    Gptq,

    /// <summary>First <see cref="Awq"/>, then <see cref="Gptq"/>.</summary>
    AwqGptq,
}

/// <summary>Names of methods on the command line.</summary>
public static class CalibrationMethods
{
    /// <summary>All, by name.</summary>
    public static IReadOnlyList<(string Name, CalibrationMethod Method)> All { get; } =
        [("rtn", CalibrationMethod.Rtn), ("search", CalibrationMethod.Search), ("awq", CalibrationMethod.Awq), ("gptq", CalibrationMethod.Gptq), ("awq+gptq", CalibrationMethod.AwqGptq)];

    /// <summary>The name of a method.</summary>
    public static string NameOf(CalibrationMethod method) => All.First(known => known.Method == method).Name;

    /// <summary>The method of a name.</summary>
    /// <exception cref="RequestException">There is none.</exception>
    public static CalibrationMethod Parse(string name) => All.FirstOrDefault(known => known.Name.Equals(name, StringComparison.OrdinalIgnoreCase)) is { Name: not null } found
        ? found.Method
        : throw new RequestException($"there is no method '{name}'. Known are {string.Join(", ", All.Select(known => known.Name))}.");
}
