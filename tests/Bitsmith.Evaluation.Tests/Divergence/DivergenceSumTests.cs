using Bitsmith.Evaluation.Divergence;
using Bitsmith.Models;
using Bitsmith.Models.Weights;
using Bitsmith.Tensors.InstructionSets;
using Bitsmith.Tensors.Matrices;
using FsCheck;
using FsCheck.Fluent;

namespace Bitsmith.Evaluation.Tests.Divergence;

public sealed class DivergenceSumTests
{
    [Fact]
    public void The_divergence_is_that_of_binary64_and_never_negative() =>
        Prop.ForAll(ArbMap.Default.ArbFor<int>(), seed =>
        {
            Random random = new(seed);
            int vocabulary = random.Next(2, 400);
            float[] reference = Logits(random, vocabulary), model = Logits(random, vocabulary);
            DivergenceSum sum = new();
            sum.Add(Of(reference), Of(model), random.Next(vocabulary));
            double[] p = Exact(reference), q = Exact(model);
            double expected = p.Zip(q, (a, b) => Math.Exp(a) * (a - b)).Sum();
            Assert.InRange(sum.Mean.Value, expected - (1e-5 * (1 + expected)), expected + (1e-5 * (1 + expected)));
            Assert.True(sum.Mean.Value > -1e-5);
            Assert.Equal(Array.IndexOf(reference, reference.Max()) == Array.IndexOf(model, model.Max()) ? 1 : 0, sum.SameTop);
        }).Check(Config.QuickThrowOnFailure.WithQuietOnSuccess(true).WithMaxTest(100));

    [Fact]
    public void Log_probabilities_are_the_same_within_rounding_on_every_instruction_set()
    {
        float[] logits = [.. Logits(new Random(3), 1001), 80, -3e38f, float.NegativeInfinity];
        double[] expected = Exact(logits);
        foreach (InstructionSet set in Cpu.Available)
        {
            float[] found = new float[logits.Length];
            LogProbabilities.Of(logits, found, set);
            for (int i = 0; i < found.Length; i++)
            {
                Assert.True(found[i] == (float)expected[i] || Math.Abs(found[i] - expected[i]) < 1e-5 * (1 + Math.Abs(expected[i])), $"{set}, {i}: {found[i]} for {expected[i]}");
            }
        }
    }

    [Fact]
    public void Tokens_whose_reference_is_not_known_do_not_count()
    {
        DivergenceSum known = new(), all = new();
        float[] reference = [MathF.Log(1 - 2e-7f), -16], model = [MathF.Log(0.5f), MathF.Log(0.5f)];
        known.Add(reference, model, 0, LogitsFile.LeastKnown);
        all.Add(reference, model, 0);
        Assert.True(all.Mean.Value < known.Mean.Value);
    }

    [Fact]
    public void Percentiles_lie_between_neighbours_and_errors_are_those_of_means()
    {
        DivergenceSum sum = new();
        float[] shares = [.. Enumerable.Range(1, 12).Select(i => i / 13f)];
        foreach (float share in shares)
        {
            sum.Add([0, -100], [MathF.Log(share), MathF.Log(1 - share)], 0);
        }

        double[] values = [.. shares.Select(share => -Math.Log(share)).Order()];
        double mean = values.Average();
        Assert.Equal(values[0], sum.Percentile(0), 1e-6);
        Assert.Equal(values[^1], sum.Percentile(1), 1e-6);
        Assert.Equal((values[5] + values[6]) / 2, sum.Percentile(0.5), 1e-6);
        Assert.Equal(values[9] + (0.9 * (values[10] - values[9])), sum.Percentile(0.9), 1e-6);
        Assert.Equal(mean, sum.Mean.Value, 1e-6);
        Assert.Equal(Math.Sqrt(values.Average(value => (value - mean) * (value - mean)) / 11), sum.Mean.Error, 1e-6);
        Assert.Equal(mean, sum.ModelLoss.Value, 1e-6);
        Assert.Equal(sum.ModelLoss.Error, sum.LossDifference.Error, 1e-9);
    }

    [Fact]
    public void A_model_scarcely_differs_from_what_llama_cpp_computed_with_it()
    {
        using ModelWeights weights = ModelWeights.Open(Path.Combine(AppContext.BaseDirectory, "gguf", "tiny-glm4-f16.gguf"));
        using LogitsFile reference = LogitsFile.Open(Path.Combine(AppContext.BaseDirectory, "gguf", "tiny-glm4-f16.logits-base.bin"));
        DivergenceSum sum = DivergenceMeasurement.Run(LanguageModel.Create(weights, ComputeOptions.Default, exactActivations: true), reference, cancellationToken: TestContext.Current.CancellationToken);
        Assert.Equal(567, sum.Count);
        Assert.InRange(sum.Mean.Value, -1e-5, 1e-5); // 16 bits and inputs rounded to F16 on the other side
        Assert.Equal(78.8764, Math.Exp(sum.ModelLoss.Value), 1e-3); // llama-perplexity in F32
        Assert.True(sum.SameTop > 0.99);
    }

    private static float[] Logits(Random random, int count) => [.. Enumerable.Range(0, count).Select(_ => (random.NextSingle() - 0.5f) * 20)];

    private static float[] Of(float[] logits)
    {
        float[] result = new float[logits.Length];
        LogProbabilities.Of(logits, result, Cpu.Default);
        return result;
    }

    private static double[] Exact(float[] logits)
    {
        double largest = logits.Max(), normalizer = Math.Log(logits.Sum(logit => Math.Exp(logit - largest)));
        return [.. logits.Select(logit => logit - largest - normalizer)];
    }
}
