using Bitsmith.Evaluation.Divergence;
using Bitsmith.Tensors.InstructionSets;
using FsCheck;
using FsCheck.Fluent;

namespace Bitsmith.Evaluation.Tests.Divergence;

/// <remarks>Where the environment variable BITSMITH_MEASUREMENTS names a file, what was found is added to it before it is judged, for proofs/5-5.</remarks>
public sealed class DivergenceSumTests
{
    private static readonly string? Measurements = Environment.GetEnvironmentVariable("BITSMITH_MEASUREMENTS");

    [Fact]
    public void A_pair_of_distributions_gives_the_figures_computed_by_hand()
    {
        // p = (1/2, 1/4, 1/4) and q = (1/4, 1/2, 1/4): KL = 1/2 ln 2 + 1/4 ln 1/2 + 1/4 ln 1 = 1/4 ln 2; the token that follows is the first.
        float[] p = [MathF.Log(0.5f), MathF.Log(0.25f), MathF.Log(0.25f)], q = [MathF.Log(0.25f), MathF.Log(0.5f), MathF.Log(0.25f)];
        foreach (InstructionSet set in Cpu.Available)
        {
            foreach (TokenDivergence token in (TokenDivergence[])[TokenDivergence.OfLogits([.. p.Select(x => x + 7)], [.. q.Select(x => x - 3)], 0, set), TokenDivergence.OfKnown(p, q, 0, set)])
            {
                Record("pair", set.ToString(), token.Divergence - (0.25 * Math.Log(2)));
                Assert.Equal(0.25 * Math.Log(2), token.Divergence, 1e-6);
                Assert.Equal(Math.Log(4), token.Loss, 1e-6);
                Assert.Equal(Math.Log(2), token.BaseLoss, 1e-6);
                Assert.False(token.SameTop);
                DivergenceSum sum = new();
                sum.Add(token);
                DivergenceStatistics found = sum.Statistics();
                Assert.Equal((4, 2, 2), (found.Perplexity.Value, found.BasePerplexity.Value, found.Ratio.Value), Within(1e-5));
                Assert.Equal(-0.25, found.MeanDeltaP.Value, 1e-6);
                Assert.Equal(0.25, found.RmsDeltaP.Value, 1e-6);
                Assert.Equal((0, 0, 0), (found.SameTop.Value, found.Perplexity.Error, found.Mean.Error));
            }
        }
    }

    [Fact]
    public void The_divergence_is_that_of_binary64_and_never_negative() =>
        Prop.ForAll(ArbMap.Default.ArbFor<int>(), seed =>
        {
            Random random = new(seed);
            int vocabulary = random.Next(2, 400);
            float[] reference = Logits(random, vocabulary), model = Logits(random, vocabulary);
            int next = random.Next(vocabulary);
            double[] p = Exact(reference), q = Exact(model);
            double expected = p.Zip(q, (a, b) => Math.Exp(a) * (a - b)).Sum();
            foreach (InstructionSet set in Cpu.Available)
            {
                TokenDivergence found = TokenDivergence.OfLogits(reference, model, next, set);
                Assert.InRange(found.Divergence, expected - (1e-5 * (1 + expected)), expected + (1e-5 * (1 + expected)));
                Assert.True(found.Divergence > -1e-6);
                Assert.Equal(-q[next], found.Loss, 1e-5);
                Assert.Equal(-p[next], found.BaseLoss, 1e-5);
                Assert.Equal(Array.IndexOf(reference, reference.Max()) == Array.IndexOf(model, model.Max()), found.SameTop);
            }
        }).Check(Config.QuickThrowOnFailure.WithQuietOnSuccess(true).WithMaxTest(100));

    [Fact]
    public void Logits_that_are_not_finite_show_as_no_number()
    {
        foreach (InstructionSet set in Cpu.Available)
        {
            foreach (float wrong in (float[])[float.NaN, float.PositiveInfinity])
            {
                float[] logits = [.. Enumerable.Range(0, 40).Select(i => i == 21 ? wrong : i)], sound = [.. Enumerable.Range(0, 40).Select(i => (float)i)];
                Assert.True(double.IsNaN(TokenDivergence.OfLogits(sound, logits, 3, set).Loss));
                Assert.True(double.IsNaN(TokenDivergence.OfLogits(logits, sound, 3, set).BaseLoss));
            }
        }

        TokenDivergence impossible = TokenDivergence.OfLogits([1, float.NegativeInfinity], [1, float.NegativeInfinity], 0, Cpu.Default);
        Assert.Equal((0, true), (impossible.Divergence, impossible.SameTop));
        Assert.Equal(double.PositiveInfinity, TokenDivergence.OfLogits([1, 1], [1, float.NegativeInfinity], 0, Cpu.Default).Divergence);
    }

    [Fact]
    public void Tokens_whose_base_probability_is_not_known_do_not_count()
    {
        float[] reference = [MathF.Log(1 - 2e-7f), -16], model = [0, 0];
        Assert.Equal(Math.Log(2), TokenDivergence.OfKnown(reference, model, 0, Cpu.Default).Divergence, 1e-6);
        Assert.Equal(1, TokenDivergence.OfKnown([0, -17, -17], [0, -1e30f, 5], 0, Cpu.Default).Divergence / Math.Log(1 + Math.Exp(5)), 1e-6);
    }

    /// <remarks>2000 resamples tell a standard error to 1.6 %.</remarks>
    [Theory]
    [InlineData(1, 0.05)]
    [InlineData(2, 0.3)]
    [InlineData(3, 1)]
    public void Errors_agree_with_a_bootstrap(int seed, double noise)
    {
        const int Tokens = 1200, Resamples = 2000;
        Random random = new(seed);
        TokenDivergence[] tokens = [.. Enumerable.Range(0, Tokens).Select(_ =>
        {
            double baseLoss = -Math.Log(random.NextDouble()) * 2.5, loss = Math.Max(1e-3, baseLoss + (noise * ((2 * random.NextDouble()) - 1)));
            return new TokenDivergence(noise * noise * random.NextDouble() * random.NextDouble(), loss, baseLoss, random.NextDouble() > noise / 4);
        })];
        DivergenceStatistics found = Sum(tokens).Statistics();
        (string Name, Func<DivergenceSum, Estimate> Of)[] figures =
        [
            ("mean KLD", sum => sum.Mean), ("ln PPL(Q)", sum => sum.Loss), ("ln PPL(base)", sum => sum.BaseLoss), ("PPL(Q)", sum => sum.Perplexity), ("PPL(base)", sum => sum.BasePerplexity),
            ("ln(PPL(Q) / PPL(base))", sum => sum.LogRatio), ("PPL(Q) / PPL(base)", sum => sum.Ratio), ("PPL(Q) - PPL(base)", sum => sum.Difference), ("mean Δp", sum => sum.MeanShift),
            ("RMS Δp", sum => sum.RmsShift), ("same top p", sum => sum.SameTop),
        ];
        double[] sums = new double[figures.Length], squares = new double[figures.Length];
        TokenDivergence[] drawn = new TokenDivergence[Tokens];
        for (int i = 0; i < Resamples; i++)
        {
            random.GetItems(tokens, drawn);
            DivergenceSum sum = Sum(drawn);
            for (int figure = 0; figure < figures.Length; figure++)
            {
                double value = figures[figure].Of(sum).Value;
                (sums[figure], squares[figure]) = (sums[figure] + value, squares[figure] + (value * value));
            }
        }

        DivergenceSum all = Sum(tokens);
        for (int figure = 0; figure < figures.Length; figure++)
        {
            double mean = sums[figure] / Resamples, spread = Math.Sqrt((squares[figure] / Resamples) - (mean * mean)), error = figures[figure].Of(all).Error;
            Record("bootstrap", figures[figure].Name, (error / spread) - 1);
            Assert.True(Math.Abs((error / spread) - 1) < 0.1, $"{figures[figure].Name}: error {error}, bootstrap {spread}");
        }

        Assert.InRange(found.Correlation!.Value, 0, 1);
    }

    [Fact]
    public void Shares_of_the_tokens_lie_between_neighbours()
    {
        float[] values = [.. Enumerable.Range(0, 11).Select(i => (float)(i * i))];
        Random.Shared.Shuffle(values);
        Distribution found = Distribution.Of(values);
        Assert.Equal((0, 25, 100), (found.Minimum, found.Median, found.Maximum));
        Assert.Equal((1, 81), (found.P10, found.P90));
        Assert.Equal((0.5, 90.5, 6.5, 56.5), (found.P5, found.P95, found.P25, found.P75)); // places 0.5, 9.5, 2.5, 7.5
        Assert.Equal(98.1, found.P99, 1e-9); // place 9.9
        Assert.Equal(99.81, found.P999, 1e-9);
        Assert.Equal(0.1, found.P1, 1e-9);
        Assert.Equal(0.01, found.P01, 1e-9);
        Assert.Equal(2.5, Distribution.Of([1, 4, 2, 3]).Median);
        Assert.Equal((7, 7, 7), (Distribution.Of([7]).Minimum, Distribution.Of([7]).P90, Distribution.Of([7]).Maximum));
    }

    // Tests of a class run one after the other.
    private static void Record(string quantity, string what, double value)
    {
        if (Measurements is not null)
        {
            File.AppendAllText(Measurements, $"{quantity}\t{what}\t{value}\n");
        }
    }

    private static DivergenceSum Sum(IEnumerable<TokenDivergence> tokens)
    {
        DivergenceSum sum = new();
        foreach (TokenDivergence token in tokens)
        {
            sum.Add(token);
        }

        return sum;
    }

    private static EqualityComparer<(double, double, double)> Within(double tolerance) =>
        EqualityComparer<(double, double, double)>.Create((a, b) => Math.Abs(a.Item1 - b.Item1) < tolerance && Math.Abs(a.Item2 - b.Item2) < tolerance && Math.Abs(a.Item3 - b.Item3) < tolerance);

    private static float[] Logits(Random random, int count) => [.. Enumerable.Range(0, count).Select(_ => (random.NextSingle() - 0.5f) * 20)];

    private static double[] Exact(float[] logits)
    {
        double largest = logits.Max(), normalizer = Math.Log(logits.Sum(logit => Math.Exp(logit - largest)));
        return [.. logits.Select(logit => logit - largest - normalizer)];
    }
}
