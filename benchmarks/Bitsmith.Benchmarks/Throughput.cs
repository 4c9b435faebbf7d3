using BenchmarkDotNet.Parameters;
using BenchmarkDotNet.Reports;
using BenchmarkDotNet.Running;

namespace Bitsmith.Benchmarks;

/// <summary>The rate of a measured case: source bytes by mean time.</summary>
internal static class Throughput
{
    /// <summary>Gigabytes (10^9) for each second, or null where the case was not measured.</summary>
    public static double? Of(BenchmarkReport? report) =>
        report?.ResultStatistics is { Mean: > 0 } statistics ? SourceBytes(report.BenchmarkCase) / statistics.Mean : null; // bytes by nanoseconds

    /// <summary>A parameter's value as text, or null where the benchmark has none of that name.</summary>
    public static string? Parameter(BenchmarkCase benchmark, string name) =>
        benchmark.Parameters.Items.FirstOrDefault(item => item.Name == name)?.Value?.ToString();

    // The benchmark itself knows its bytes, once its parameters are set.
    private static long SourceBytes(BenchmarkCase benchmark)
    {
        object instance = Activator.CreateInstance(benchmark.Descriptor.Type)!;
        foreach (ParameterInstance item in benchmark.Parameters.Items)
        {
            benchmark.Descriptor.Type.GetProperty(item.Name)!.SetValue(instance, item.Value);
        }

        return ((ISourceBytes)instance).SourceBytes;
    }
}
