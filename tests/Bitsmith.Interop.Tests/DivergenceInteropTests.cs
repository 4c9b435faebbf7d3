using System.Globalization;
using System.Text.RegularExpressions;
using Bitsmith.Checkpoints.Gguf;
using Bitsmith.Evaluation.Divergence;
using Bitsmith.Models;
using Bitsmith.Models.Weights;
using Bitsmith.Quantization.Tests.Conversion;
using Bitsmith.Tensors.Matrices;

namespace Bitsmith.Interop.Tests;

public sealed class DivergenceInteropTests
{
    /// <remarks>The weights of Q4_K_M, decoded to F32: so neither side rounds inputs, keys or values, and only the sums differ.</remarks>
    [Fact]
    public void Llama_perplexity_prints_our_divergence_from_the_file_it_wrote()
    {
        using Peers peers = new();
        TinyModel.Copy(TinyModel.Sample, peers.Here("source"));
        TinyModel.Convert(peers.Here("source"), peers.Here("model.gguf"), GgufTensorType.F32);
        File.Copy(Path.Combine(AppContext.BaseDirectory, "peers", "check_gguf.py"), peers.Here("text.txt"));
        string[] exactly = ["-c", "128", "--chunks", "10", "-ctk", "f32", "-ctv", "f32", "-fa", "off", "-t", "2", "--kl-divergence-base", "@base.bin"];
        Done(peers.Program("llama-quantize", "@model.gguf", "@q4_k_m.gguf", "q4_k_m", "2"));
        Done(peers.Program("llama-quantize", "--allow-requantize", "@q4_k_m.gguf", "@decoded.gguf", "f32", "2"));
        Done(peers.Program("llama-perplexity", ["-m", "@model.gguf", "-f", "@text.txt", .. exactly]));
        string printed = Done(peers.Program("llama-perplexity", ["-m", "@decoded.gguf", "--kl-divergence", .. exactly]));

        using ModelWeights weights = ModelWeights.Open(peers.Here("decoded.gguf"));
        using LogitsFile reference = LogitsFile.Open(peers.Here("base.bin"));
        DivergenceSum sum = DivergenceMeasurement.Run(LanguageModel.Create(weights, ComputeOptions.Default, exactActivations: true), reference, cancellationToken: TestContext.Current.CancellationToken);

        Assert.Equal(630, sum.Count);
        Assert.True(sum.Mean.Value > 1e-3, "the models differ");
        Same("Mean    KLD", sum.Mean.Value, 2e-6);
        Same("Maximum KLD", sum.Percentile(1), 2e-5);
        Same("99.0%   KLD", sum.Percentile(0.99), 1e-5);
        Same("Median  KLD", sum.Percentile(0.5), 2e-6);
        Same("Mean PPL(Q)                   ", Math.Exp(sum.ModelLoss.Value), 1e-5 * Math.Exp(sum.ModelLoss.Value));
        Same("Mean PPL(base)                ", Math.Exp(sum.ReferenceLoss.Value), 1e-5 * Math.Exp(sum.ReferenceLoss.Value));
        Same("Mean ln(PPL(Q)/PPL(base))     ", sum.LossDifference.Value, 1e-5);
        Same("Same top p", 100 * sum.SameTop, 0.17);

        void Same(string line, double found, double within) =>
            Assert.Equal(double.Parse(Regex.Match(printed, Regex.Escape(line) + @": *(-?[0-9.]+)").Groups[1].Value, CultureInfo.InvariantCulture), found, within);
    }

    private static string Done((int Code, string Output) run)
    {
        Assert.True(run.Code == 0, run.Output);
        return run.Output;
    }
}
