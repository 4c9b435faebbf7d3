using System.Globalization;
using System.Text.RegularExpressions;
using Bitsmith.Checkpoints.Gguf;
using Bitsmith.Evaluation;
using Bitsmith.Evaluation.Divergence;
using Bitsmith.Evaluation.Perplexity;
using Bitsmith.Evaluation.Texts;
using Bitsmith.Quantization.Tests.Conversion;
using Bitsmith.Tensors.ElementTypes;

namespace Bitsmith.Interop.Tests;

public sealed class DivergenceInteropTests
{
    private const int Context = 128, Chunks = 10;

    private static readonly string[] Cut = ["-c", $"{Context}", "--chunks", $"{Chunks}", "-t", "2"];

    // Keys and values in F32 and no fused attention: with weights in F32 llama.cpp then rounds nothing, and only the sums differ.
    private static readonly string[] Exactly = ["-ctk", "f32", "-ctv", "f32", "-fa", "off"];

    private static CancellationToken Cancellation => TestContext.Current.CancellationToken;

    /// <remarks>The weights of Q4_K_M, decoded to F32: so neither side rounds inputs, keys or values.</remarks>
    [Fact]
    public void Each_program_reads_the_logits_that_the_other_wrote_and_all_figures_are_the_same()
    {
        using Peers peers = new();
        Prepare(peers);
        Done(peers.Program("llama-quantize", "@model.gguf", "@q4_k_m.gguf", "q4_k_m", "2"));
        Done(peers.Program("llama-quantize", "--allow-requantize", "@q4_k_m.gguf", "@decoded.gguf", "f32", "2"));
        string first = Printed(peers, "Final estimate", ["-m", "@model.gguf", "-f", "@text.txt", .. Cut, .. Exactly, "--kl-divergence-base", "@theirs.bin"]);
        EvaluationSettings exact = new(2, ActivationMode.Exact, ElementType.F32);
        using EvaluatedModel baseModel = EvaluatedModel.Open(peers.Here("model.gguf"), exact), model = EvaluatedModel.Open(peers.Here("decoded.gguf"), exact);
        TextChunks chunks = TextChunks.Read(peers.Here("text.txt"), baseModel.Tokenizer, new TextChunkSettings(Context, Most: Chunks));
        using (LogitsFileWriter writer = LogitsFileWriter.Create(peers.Here("ours.bin"), chunks, baseModel.Language.Config.VocabSize))
        {
            PerplexityReport report = PerplexityMeasurement.Run(baseModel, chunks, TimeProvider.System, writer, cancellationToken: Cancellation);
            writer.Complete();
            Match printed = Found(@"PPL = ([0-9.]+) \+/- ([0-9.]+)", first);
            Close(Number(printed.Groups[1]), report.Perplexity.Value, 1e-5);
            Close(Number(printed.Groups[2]), report.Perplexity.Error, 1e-4);
        }

        foreach (string file in (string[])["theirs.bin", "ours.bin"])
        {
            string printed = Printed(peers, "Same top p:", ["-m", "@decoded.gguf", "--kl-divergence", .. Cut, .. Exactly, "--kl-divergence-base", $"@{file}"]);
            using LogitsFile reference = LogitsFile.Open(peers.Here(file));
            DivergenceStatistics found = DivergenceMeasurement.Run(model, reference, TimeProvider.System, cancellationToken: Cancellation).Statistics;
            Assert.Equal(630, found.Tokens);
            Assert.True(found.Mean.Value > 1e-3, "the models differ");
            Figure("Mean PPL(Q)", found.Perplexity, 1e-5 * found.Perplexity.Value);
            Figure("Mean PPL(base)", found.BasePerplexity, 1e-5 * found.BasePerplexity.Value);
            Figure("Cor(ln(PPL(Q)), ln(PPL(base)))", new Estimate(100 * found.Correlation!.Value, 0), 0.0051);
            Figure("Mean ln(PPL(Q)/PPL(base))", found.LogRatio, 1e-5);
            Figure("Mean PPL(Q)/PPL(base)", found.Ratio, 1e-5);
            Figure("Mean PPL(Q)-PPL(base)", found.Difference, 1e-5 * found.Perplexity.Value);
            Figure("Mean    KLD", found.Mean, 2e-6);
            Figure("Mean    Δp", Percent(found.MeanDeltaP), 2e-3);
            Figure("RMS Δp    ", Percent(found.RmsDeltaP), 2e-3);
            Figure("Same top p", Percent(found.SameTop), 0.17); // one token
            (string Name, Func<Distribution, double> Value)[] shares =
                [("Maximum", all => all.Maximum), ("99.9%  ", all => all.P999), ("99.0%  ", all => all.P99), ("95.0%  ", all => all.P95), ("90.0%  ", all => all.P90), ("Median ", all => all.Median),
                    ("10.0%  ", all => all.P10), (" 5.0%  ", all => all.P5), (" 1.0%  ", all => all.P1), (" 0.1%  ", all => all.P01), ("Minimum", all => all.Minimum)];
            foreach ((string name, Func<Distribution, double> value) in shares)
            {
                Figure($"{name} KLD", new Estimate(value(found.Divergence), 0), 2e-5);
                Figure($"{name} Δp", new Estimate(100 * value(found.DeltaP), 0), 2e-3);
            }

            void Figure(string line, Estimate figure, double within)
            {
                Match match = Regex.Match(printed, $@"{Regex.Escape(line)} *: *(-?[0-9.]+)(?: ± *([0-9.]+))?");
                Assert.True(match.Success, $"{line} in {printed}");
                Assert.True(Math.Abs(Number(match.Groups[1]) - figure.Value) <= within, $"{file}, {line}: {figure.Value}, and llama-perplexity {match.Groups[1]}");
                Assert.True(!match.Groups[2].Success || Math.Abs(Number(match.Groups[2]) - figure.Error) <= Math.Max(within, 1e-3 * figure.Error), $"{file}, {line}: ± {figure.Error}, and llama-perplexity {match.Groups[2]}");
            }
        }
    }

    /// <remarks>Inputs are rounded to 8 bits by both, and where the rounding of a sum turns a code over, the sides differ.</remarks>
    [Theory]
    [InlineData("q8_0")]
    [InlineData("q4_k_m")]
    public void Perplexity_of_a_quantized_file_is_that_of_llama_perplexity(string type)
    {
        using Peers peers = new();
        Prepare(peers);
        Done(peers.Program("llama-quantize", "@model.gguf", "@quantized.gguf", type, "2"));
        Match printed = Found(@"PPL = ([0-9.]+) \+/- ([0-9.]+)", Printed(peers, "Final estimate", ["-m", "@quantized.gguf", "-f", "@text.txt", .. Cut]));
        string strided = Printed(peers, $"[{Chunks}]", ["-m", "@quantized.gguf", "-f", "@text.txt", "-c", $"{Context}", "-b", $"{Context}", "--ppl-stride", "32", "--chunks", $"{Chunks}", "-t", "2"]);
        using EvaluatedModel model = EvaluatedModel.Open(peers.Here("quantized.gguf"), new EvaluationSettings(2));
        PerplexityReport Measured(int? stride) => PerplexityMeasurement.Run(
            model, TextChunks.Read(peers.Here("text.txt"), model.Tokenizer, new TextChunkSettings(Context, Most: Chunks, Stride: stride)), TimeProvider.System, cancellationToken: Cancellation);

        PerplexityReport report = Measured(null);
        Close(Number(printed.Groups[1]), report.Perplexity.Value, 5e-3);
        Close(Number(printed.Groups[2]), report.Perplexity.Error, 0.05);
        Close(Number(Found($@"\[{Chunks}\]([0-9.]+)", strided).Groups[1]), Measured(32).Perplexity.Value, 1e-2);
    }

    private static void Prepare(Peers peers)
    {
        TinyModel.Copy(TinyModel.Sample, peers.Here("source"));
        TinyModel.Convert(peers.Here("source"), peers.Here("model.gguf"), GgufTensorType.F32);
        File.Copy(Path.Combine(AppContext.BaseDirectory, "peers", "check_gguf.py"), peers.Here("text.txt"));
    }

    private static void Close(double expected, double found, double share) => Assert.True(Math.Abs(found - expected) <= share * expected, $"{found}, and llama-perplexity {expected}");

    private static Estimate Percent(Estimate share) => new(100 * share.Value, 100 * share.Error);

    private static double Number(Group text) => double.Parse(text.Value, CultureInfo.InvariantCulture);

    private static Match Found(string pattern, string output)
    {
        Match match = Regex.Match(output, pattern);
        Assert.True(match.Success, $"{pattern} in {output}");
        return match;
    }

    /// <summary>What llama-perplexity prints. On a busy machine version 0.7.0 may end before its logging thread has written the last lines; it is then run again, and at last
    /// there is nothing to compare with.</summary>
    private static string Printed(Peers peers, string last, string[] arguments)
    {
        const int Attempts = 8;
        string output = string.Empty;
        for (int i = 0; i < Attempts && !output.Contains(last, StringComparison.Ordinal); i++)
        {
            output = Done(peers.Program("llama-perplexity", arguments));
        }

        Assert.SkipUnless(output.Contains(last, StringComparison.Ordinal), $"llama-perplexity ended {Attempts} times without '{last}'");
        return output;
    }

    private static string Done((int Code, string Output) run)
    {
        Assert.True(run.Code == 0, run.Output);
        return run.Output;
    }
}
