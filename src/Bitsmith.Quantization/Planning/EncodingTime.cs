using Bitsmith.Quantization.Conversion;
using Bitsmith.Quantization.Jobs;
using Bitsmith.Tensors.Formats.Ggml;

namespace Bitsmith.Quantization.Planning;

/// <summary>How long a job will take here, from what the first rows of a tensor of each type take.</summary>
internal static class EncodingTime
{
    // Long enough to have the best of many; kernels are compiled with full optimization at once.
    private static readonly TimeSpan Trial = TimeSpan.FromMilliseconds(20);
    private const int TrialValues = 1 << 13;

    /// <summary>Measures and adds up.</summary>
    /// <param name="steps">What will be done.</param>
    /// <param name="threads">Encoding threads.</param>
    /// <param name="clock">The clock.</param>
    /// <returns>Seconds.</returns>
    public static double Estimate(GgufSteps steps, int threads, TimeProvider clock)
    {
        Dictionary<string, GgufOutput> outputs = steps.Source.Tensors.ToDictionary(output => output.Info.Name, StringComparer.Ordinal);
        double seconds = 0;
        foreach (IGrouping<string, GgufPlanRow> rows in steps.Plan.Rows.Where(row => row.IsEncoded).GroupBy(row => row.Output.Type.Name))
        {
            GgufOutput output = outputs[rows.First().Output.Name];
            seconds += rows.Sum(row => row.Output.Elements) * SecondsPerValue(steps.Source.Path, rows.First(), output, clock);
        }

        return seconds / Math.Min(threads, Environment.ProcessorCount);
    }

    private static double SecondsPerValue(string path, GgufPlanRow row, GgufOutput output, TimeProvider clock)
    {
        TensorSource part = output.Parts[0];
        int count = Math.Clamp(TrialValues / part.Columns, 1, part.Rows);
        int bytes = checked((int)(count * GgmlFormats.Of((GgmlType)row.Output.Type.Number).RowBytes(part.Columns)));
        GgufStep step = new(0, row, part, ColumnWeights.Of([], part.Columns), 0, count, 0, bytes, false, false);
        GgufEncoder encoder = new(path);
        byte[] target = new byte[bytes];
        TimeSpan best = TimeSpan.MaxValue;
        long start = clock.GetTimestamp();
        do
        {
            long begin = clock.GetTimestamp();
            encoder.Encode(step, output, target);
            TimeSpan took = clock.GetElapsedTime(begin);
            best = took < best ? took : best;
        }
        while (clock.GetElapsedTime(start) < Trial);

        return best.TotalSeconds / step.Values;
    }
}
