using System.Diagnostics;
using Bitsmith.Evaluation;
using Bitsmith.Evaluation.Divergence;
using Bitsmith.Evaluation.Perplexity;
using Bitsmith.Evaluation.Texts;
using Spectre.Console;

namespace Bitsmith.Cli.Rendering;

/// <summary>Perplexity and divergence for people.</summary>
internal static class EvaluationTable
{
    public static void Announce(Terminal terminal, TextChunks chunks) => terminal.Error.WriteLine(
        $"{chunks.Count} chunks of {chunks.Size} tokens{(chunks.Stride == chunks.Size ? string.Empty : $", one every {chunks.Stride}")}, {chunks.ScoredPerChunk} of each scored");

    /// <summary>A line after each chunk.</summary>
    public static IProgress<PerplexityProgress> Progress(Terminal terminal)
    {
        Stopwatch clock = Stopwatch.StartNew();
        return new LineProgress<PerplexityProgress>(terminal.Error, now => $"[{now.Done}] {now.Perplexity.Value:0.0000} ± {now.Perplexity.Error:0.0000}{Left(clock, now.Done, now.Total)}");
    }

    /// <inheritdoc cref="Progress"/>
    public static IProgress<DivergenceProgress> DivergenceProgress(Terminal terminal)
    {
        Stopwatch clock = Stopwatch.StartNew();
        return new LineProgress<DivergenceProgress>(terminal.Error, now =>
            $"[{now.Done}] PPL {now.Perplexity.Value:0.0000} ± {now.Perplexity.Error:0.0000}  ln ratio {now.LogRatio.Value:0.00000} ± {now.LogRatio.Error:0.00000}  KLD {now.Divergence.Value:0.00000} ± {now.Divergence.Error:0.00000}"
            + $"  RMS Δp {Percent(now.RmsDeltaP)}  same top {Percent(now.SameTop)}{Left(clock, now.Done, now.Total)}");
    }

    public static void Write(Terminal terminal, PerplexityReport report)
    {
        terminal.Out.WriteLine($"PPL = {report.Perplexity.Value:0.0000} +/- {report.Perplexity.Error:0.00000}");
        Text(terminal, report.Text, report.TokensPerSecond);
        Model(terminal, "model", report.Model);
    }

    public static void Write(Terminal terminal, DivergenceReport report)
    {
        DivergenceStatistics found = report.Statistics;
        Table means = Tables.Create("figure", ">value", ">±");
        Row("PPL(Q)", found.Perplexity);
        Row("PPL(base)", found.BasePerplexity);
        means.Row("Cor(ln PPL(Q), ln PPL(base))", found.Correlation is double correlation ? $"{100 * correlation:0.000} %" : "-", string.Empty);
        Row("ln(PPL(Q) / PPL(base))", found.LogRatio);
        Row("PPL(Q) / PPL(base)", found.Ratio);
        Row("PPL(Q) - PPL(base)", found.Difference);
        Row("mean KLD", found.Mean);
        Share("mean Δp", found.MeanDeltaP);
        Share("RMS Δp", found.RmsDeltaP);
        Share("same top p", found.SameTop);
        means.AddTo(terminal);

        Table shares = Tables.Create("of tokens", ">KLD", ">Δp, %");
        foreach ((string name, Func<Distribution, double> value) in Shares)
        {
            shares.Row(name, $"{value(found.Divergence):0.000000}", $"{100 * value(found.DeltaP):0.000}");
        }

        shares.AddTo(terminal);
        Text(terminal, report.Text, report.TokensPerSecond);
        Model(terminal, "model", report.Model);
        if (report.Base is { } other)
        {
            Model(terminal, "base", other);
        }

        void Row(string name, Estimate figure) => means.Row(name, $"{figure.Value:0.000000}", $"{figure.Error:0.000000}");

        void Share(string name, Estimate figure) => means.Row(name, $"{100 * figure.Value:0.000} %", $"{100 * figure.Error:0.000} %");
    }

    private static readonly (string Name, Func<Distribution, double> Value)[] Shares =
    [
        ("maximum", all => all.Maximum), ("99.9 %", all => all.P999), ("99 %", all => all.P99), ("95 %", all => all.P95), ("90 %", all => all.P90), ("75 %", all => all.P75), ("median", all => all.Median),
        ("25 %", all => all.P25), ("10 %", all => all.P10), ("5 %", all => all.P5), ("1 %", all => all.P1), ("0.1 %", all => all.P01), ("minimum", all => all.Minimum),
    ];

    private static void Text(Terminal terminal, TextConditions text, double rate) => terminal.Out.WriteLine(
        $"text: {text.Source}, {text.Chunks} chunks of {text.Context} tokens{(text.Stride == text.Context ? string.Empty : $", one every {text.Stride}")}, {text.ScoredTokens} tokens scored, {rate:0.0} tokens/s");

    public static void Model(Terminal terminal, string name, ModelConditions model) => terminal.Out.WriteLine(
        $"{name}: {model.Model}, {model.ModelType}, {(model.Quantization.Count == 0 ? $"{model.BitsPerWeight:0.00} bits per weight" : string.Join("; ", model.Quantization))}; {model.Activations} activations: {string.Join("; ", model.Inputs)}; cache in {model.CacheType}; {model.Threads} thread(s), {model.InstructionSet}, {model.Cpu}, bitsmith {model.Version}");

    private static string Percent(Estimate share) => $"{100 * share.Value:0.000} ± {100 * share.Error:0.000} %";

    private static string Left(Stopwatch clock, int done, int total) => $"  {clock.Elapsed / done * (total - done):hh\\:mm\\:ss} left";
}
