using System.Diagnostics;
using System.Globalization;
using System.Runtime.InteropServices;
using Bitsmith.Tensors.Formats.Ggml;
using Bitsmith.Tensors.InstructionSets;

namespace Bitsmith.Benchmarks;

/// <summary>
/// The encoders of GGML's block types on one thread, beside ggml's: rates and weighted errors on what <c>proofs/peers/ggml_rates.py</c> left in a folder, with its
/// output in <c>rates.txt</c>.
/// </summary>
internal static class QuickBlocks
{
    private static readonly TimeSpan WarmUp = TimeSpan.FromSeconds(0.4), Measurement = TimeSpan.FromSeconds(0.4);

    /// <summary>Measures and prints a Markdown table.</summary>
    public static void Run(string folder)
    {
        Matrix[] matrices = [.. Directory.GetFiles(folder, "*.importance.f32").Order(StringComparer.Ordinal).Select(path => Matrix.Read(folder, Path.GetFileName(path).Replace(".importance.f32", "", StringComparison.Ordinal)))];
        Matrix timed = matrices.Single(matrix => matrix.Name == "normal");
        Console.WriteLine($"One thread, {Cpu.Default.ToString().ToLowerInvariant()}, {timed.Rows} x {timed.Columns} normal weights; with importance, and without. Millions of weights for each second; ratios to ggml's rates and weighted errors.");
        Console.WriteLine();
        Console.WriteLine($"| type | ggml | bitsmith | ratio | without: ggml | bitsmith | ratio | {string.Join(" | ", matrices.Select(matrix => $"error, {matrix.Name}"))} |");
        Console.WriteLine($"|---|{string.Concat(Enumerable.Repeat("---:|", 6 + matrices.Length))}");
        foreach (string line in File.ReadLines(Path.Combine(folder, "rates.txt")))
        {
            string[] parts = line.Split(' ');
            GgmlFormat format = GgmlFormats.Of(Enum.Parse<GgmlType>(parts[0]));
            Console.WriteLine(
                $"| {format.Name} | {Rates(parts[1], Rate(format, timed, timed.Importance))} | {Rates(parts[2], Rate(format, timed, []))} | {string.Join(" | ", matrices.Select(matrix => $"{Errors(format, matrix, "im")} / {Errors(format, matrix, "no")}"))} |");
        }
    }

    private static string Rates(string theirs, double ours)
    {
        double rate = double.Parse(theirs, CultureInfo.InvariantCulture);
        return rate == 0 ? $"- | {ours / 1e6:0.0} | -" : $"{rate / 1e6:0.0} | {ours / 1e6:0.0} | {ours / rate:0.0}";
    }

    /// <summary>Weights for each second: the best of many short passes, each of about a millisecond.</summary>
    private static double Rate(GgmlFormat format, Matrix matrix, float[] importance)
    {
        int rowBytes = (int)format.RowBytes(matrix.Columns), rows = matrix.Rows;
        byte[] blocks = new byte[rows * rowBytes];
        long passes = 0;
        Stopwatch warm = Stopwatch.StartNew();
        while (warm.Elapsed < WarmUp)
        {
            format.Encode(matrix.Weights, matrix.Columns, importance, blocks);
            passes++;
        }

        rows = (int)Math.Clamp(rows * 0.001 * passes / warm.Elapsed.TotalSeconds, 1, rows);
        double best = double.PositiveInfinity;
        for (Stopwatch all = Stopwatch.StartNew(); all.Elapsed < Measurement;)
        {
            long start = Stopwatch.GetTimestamp();
            format.Encode(matrix.Weights.AsSpan(0, rows * matrix.Columns), matrix.Columns, importance, blocks.AsSpan(0, rows * rowBytes));
            best = Math.Min(best, Stopwatch.GetElapsedTime(start).TotalSeconds);
        }

        return rows * matrix.Columns / best;
    }

    private static string Errors(GgmlFormat format, Matrix matrix, string ending)
    {
        string path = Path.Combine(matrix.Folder, $"{format.Name}.{matrix.Name}.{ending}");
        if (!File.Exists(path))
        {
            return "-";
        }

        float[] importance = ending == "im" ? matrix.Importance : [];
        byte[] theirs = File.ReadAllBytes(path), ours = new byte[theirs.Length];
        format.Encode(matrix.Weights, matrix.Columns, importance, ours);
        return (matrix.Error(format, importance, ours) / matrix.Error(format, importance, theirs)).ToString("0.000", CultureInfo.InvariantCulture);
    }

    private sealed record Matrix(string Folder, string Name, float[] Weights, float[] Importance)
    {
        public int Columns => Importance.Length;

        public int Rows => Weights.Length / Columns;

        public static Matrix Read(string folder, string name) => new(folder, name, Floats(Path.Combine(folder, name + ".f32")), Floats(Path.Combine(folder, name + ".importance.f32")));

        public double Error(GgmlFormat format, float[] importance, byte[] blocks)
        {
            float[] decoded = new float[Weights.Length];
            format.Decode(blocks, decoded);
            double sum = 0;
            for (int i = 0; i < decoded.Length; i++)
            {
                double difference = Weights[i] - (double)decoded[i];
                sum += (importance.Length == 0 ? 1 : importance[i % importance.Length]) * difference * difference;
            }

            return sum;
        }

        private static float[] Floats(string path) => MemoryMarshal.Cast<byte, float>(File.ReadAllBytes(path)).ToArray();
    }
}
