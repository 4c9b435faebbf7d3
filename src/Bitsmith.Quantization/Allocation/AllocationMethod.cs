using Bitsmith.Quantization.Jobs;

namespace Bitsmith.Quantization.Allocation;

/// <summary>What an allocation holds to be a loss.</summary>
public enum AllocationMethod
{
    /// <summary>The expected squared error of the tensors' outputs.</summary>
    OutputError,

    /// <summary>Relative weighted errors of weights, certain tensors counting ten times: what release 001 was made with, and the yardstick.</summary>
    WeightError,
}

/// <summary>Names of methods on the command line.</summary>
public static class AllocationMethods
{
    /// <summary>All, by name.</summary>
    public static IReadOnlyList<(string Name, AllocationMethod Method)> All { get; } = [("output-error", AllocationMethod.OutputError), ("weight-error", AllocationMethod.WeightError)];

    /// <summary>The name of a method.</summary>
    public static string NameOf(AllocationMethod method) => All.First(known => known.Method == method).Name;

    /// <summary>The method of a name.</summary>
    /// <exception cref="RequestException">There is none.</exception>
    public static AllocationMethod Parse(string name) => All.FirstOrDefault(known => known.Name.Equals(name, StringComparison.OrdinalIgnoreCase)) is { Name: not null } found
        ? found.Method
        : throw new RequestException($"--method {name} is not for a target of size. For that there are {string.Join(", ", All.Select(known => known.Name))}.");
}
