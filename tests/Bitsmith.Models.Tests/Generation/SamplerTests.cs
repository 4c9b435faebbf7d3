using System.Text.Json;
using Bitsmith.Checkpoints;
using Bitsmith.Models.Generation;

namespace Bitsmith.Models.Tests.Generation;

public sealed class SamplerTests
{
    private static readonly float[] Logits = [1, 3, 2, 0, 3, -1];

    private static HashSet<int> Drawn(SamplingSettings settings, int draws = 400)
    {
        HashSet<int> tokens = [];
        for (int seed = 0; seed < draws; seed++)
        {
            tokens.Add(new Sampler(settings with { Seed = seed }, [], Logits.Length).Next([.. Logits]));
        }

        return tokens;
    }

    [Fact]
    public void Temperature_zero_takes_the_largest_and_of_equals_the_first() =>
        Assert.Equal(1, new Sampler(new SamplingSettings { Temperature = 0 }, [], Logits.Length).Next([.. Logits]));

    [Fact]
    public void Every_token_can_be_drawn_without_limits() =>
        Assert.Equal(6, Drawn(new SamplingSettings { Temperature = 5 }).Count);

    [Theory]
    [InlineData(1, 1.0, 0.0, new[] { 1 })]
    [InlineData(2, 1.0, 0.0, new[] { 1, 4 })]
    [InlineData(3, 1.0, 0.0, new[] { 1, 2, 4 })]
    [InlineData(0, 0.5, 0.0, new[] { 1, 4 })]
    [InlineData(0, 0.0, 0.0, new[] { 1 })]
    [InlineData(0, 1.0, 0.9, new[] { 1, 4 })]
    [InlineData(0, 1.0, 0.3, new[] { 1, 2, 4 })]
    public void Limits_leave_the_most_likely(int topK, double topP, double minP, int[] expected) =>
        Assert.Equal(expected, Drawn(new SamplingSettings { TopK = topK, TopP = topP, MinP = minP }).Order());

    [Fact]
    public void Draws_follow_the_probabilities()
    {
        int[] counts = new int[Logits.Length];
        Sampler sampler = new(new SamplingSettings { Seed = 7 }, [], Logits.Length);
        const int Draws = 20_000;
        for (int i = 0; i < Draws; i++)
        {
            counts[sampler.Next([.. Logits])]++;
        }

        double total = Logits.Sum(logit => Math.Exp(logit));
        for (int token = 0; token < Logits.Length; token++)
        {
            double expected = Math.Exp(Logits[token]) / total;
            Assert.InRange((double)counts[token] / Draws, expected - 0.02, expected + 0.02);
        }
    }

    [Fact]
    public void The_same_seed_draws_the_same_tokens()
    {
        Assert.Equal(Run(), Run());

        static int[] Run()
        {
            Sampler sampler = new(new SamplingSettings { Seed = 11, Temperature = 2 }, [], Logits.Length);
            return [.. Enumerable.Range(0, 50).Select(_ => sampler.Next([.. Logits]))];
        }
    }

    [Fact]
    public void The_repetition_penalty_counts_the_prompt_and_shrinks_towards_unlikely()
    {
        Sampler sampler = new(new SamplingSettings { Temperature = 0, RepetitionPenalty = 2 }, [1, 4, 5], Logits.Length);
        float[] logits = [.. Logits];

        Assert.Equal(2, sampler.Next(logits));
        Assert.Equal([1, 1.5f, 2, 0, 1.5f, -2], logits);
    }

    [Fact]
    public void Presence_and_frequency_count_the_answer_only()
    {
        Sampler sampler = new(new SamplingSettings { Temperature = 0, PresencePenalty = 0.5, FrequencyPenalty = 0.3 }, [4], Logits.Length);

        Assert.Equal([1, 4, 1, 4, 2], Enumerable.Range(0, 5).Select(_ => sampler.Next([.. Logits])).ToArray());
    }

    [Fact]
    public void A_bias_forbids_or_forces_tokens() =>
        Assert.Equal(3, new Sampler(new SamplingSettings { Temperature = 0, LogitBias = new Dictionary<int, double> { [3] = 100, [1] = -100 } }, [], Logits.Length).Next([.. Logits]));

    [Fact]
    public void Logits_that_are_not_finite_are_an_error() =>
        Assert.Throws<NonFiniteLogitsException>(() => new Sampler(new SamplingSettings(), [], 2).Next([float.NaN, float.NaN]));

    [Fact]
    public void Settings_come_from_generation_config_and_an_override_merges_over_them()
    {
        SamplingSettings file = new SamplingSettings().With(Parse("""{"do_sample": true, "temperature": 0.8, "top_p": 0.95, "eos_token_id": [4, 5], "pad_token_id": 1, "top_k": null}"""), "g");
        SamplingSettings merged = file.With(Parse("""{"temperature": 0.6, "min_p": 0.05, "top_p": 1}"""), "o");

        Assert.Equal((0.8, 0.95, 0), (file.Temperature, file.TopP, file.TopK));
        Assert.Equal([4, 5], file.StopTokens);
        Assert.Equal((0.6, 1.0, 0.05), (merged.Temperature, merged.TopP, merged.MinP));
        Assert.Equal(0, file.With(Parse("""{"do_sample": false}"""), "o").Temperature);
    }

    [Theory]
    [InlineData("""{"temperature": -1}""", "temperature")]
    [InlineData("""{"top_p": "high"}""", "top_p")]
    [InlineData("""{"eos_token_id": ["a"]}""", "eos_token_id")]
    [InlineData("[]", "expected an object")]
    public void Values_that_make_no_sense_are_refused_with_their_key(string json, string key)
    {
        CheckpointException problem = Assert.Throws<CheckpointException>(() => new SamplingSettings().With(Parse(json), "generation_config.json"));

        Assert.Contains(key, problem.Message, StringComparison.Ordinal);
    }

    private static JsonElement Parse(string json) => JsonDocument.Parse(json).RootElement;
}
