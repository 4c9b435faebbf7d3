using System.Text.Json;

namespace Bitsmith.Cli.Tests;

public sealed class EvalCommandTests
{
    [Fact]
    public void Perplexity_is_shown_and_its_logits_stand_for_the_model_in_a_divergence()
    {
        using Shell shell = new();
        string text = TextOf(shell), logits = shell.PathOf("base.bin");
        string[] command = ["eval", "perplexity", shell.Sample, "-f", text, "-c", "64", "--chunks", "3", "--activations", "exact", "--save-logits", logits];
        Assert.Equal(ExitCode.Done, shell.Run(command));
        Assert.Contains("PPL = ", shell.Output, StringComparison.Ordinal);
        Assert.Contains("exact activations: f32 (36 Linears)", shell.Output, StringComparison.Ordinal);
        Assert.Contains("[3] ", shell.Error, StringComparison.Ordinal);
        Assert.Equal(ExitCode.WrongRequest, shell.Run(command));
        Assert.Contains("--force", shell.Error, StringComparison.Ordinal);
        Assert.Equal(ExitCode.Done, shell.Run([.. command, "--force", "--json"]));
        JsonElement perplexity = JsonDocument.Parse(shell.Output).RootElement;
        Assert.Equal((93, 64), (perplexity.GetProperty("text").GetProperty("scored_tokens").GetInt32(), perplexity.GetProperty("text").GetProperty("context").GetInt32()));

        Assert.Equal(ExitCode.Done, shell.Run("eval", "divergence", shell.Sample, "--base-logits", logits, "--activations", "exact", "--json"));
        JsonElement figures = JsonDocument.Parse(shell.Output).RootElement.GetProperty("statistics");
        Assert.Equal(perplexity.GetProperty("perplexity").GetProperty("error").GetDouble(), figures.GetProperty("perplexity").GetProperty("error").GetDouble());
        Assert.InRange(figures.GetProperty("mean").GetProperty("value").GetDouble(), -1e-6, 1e-6);
        Assert.Equal(1, figures.GetProperty("same_top").GetProperty("value").GetDouble());
    }

    [Fact]
    public void A_base_model_runs_beside_the_one_that_is_measured()
    {
        using Shell shell = new();
        string text = TextOf(shell), quantized = shell.PathOf("fp8");
        Assert.Equal(ExitCode.Done, shell.Run("quantize", shell.Sample, "-o", quantized, "--scheme", "fp8-block"));
        Assert.Equal(ExitCode.Done, shell.Run("eval", "divergence", quantized, "--base", shell.Sample, "-f", text, "-c", "64", "--chunks", "4"));
        Assert.Contains("mean KLD", shell.Output, StringComparison.Ordinal);
        Assert.Contains("scheme activations: fp8 in groups of 128", shell.Output, StringComparison.Ordinal);
        Assert.Contains("exact activations: f32", shell.Output, StringComparison.Ordinal);
        Assert.Contains("[4] PPL ", shell.Error, StringComparison.Ordinal);
    }

    [Theory]
    [InlineData("eval")]
    [InlineData("eval", "perplexity", "model")]
    [InlineData("eval", "perplexity", "model", "-f", "t.txt", "-c", "3")]
    [InlineData("eval", "perplexity", "model", "-f", "t.txt", "--chunks", "0")]
    [InlineData("eval", "perplexity", "model", "-f", "t.txt", "--stride", "0")]
    [InlineData("eval", "perplexity", "model", "-f", "t.txt", "--stride", "8", "--save-logits", "x.bin")]
    [InlineData("eval", "divergence", "model", "-f", "t.txt")]
    [InlineData("eval", "divergence", "model", "--base", "other")]
    [InlineData("eval", "divergence", "model", "--base", "other", "--base-logits", "x.bin")]
    [InlineData("eval", "divergence", "model", "--base-logits", "x.bin", "--save-base-logits", "y.bin")]
    public void A_command_that_makes_no_sense_is_refused(params string[] command)
    {
        using Shell shell = new();
        Assert.Equal(ExitCode.WrongRequest, shell.Run(command));
        Assert.Contains($"See 'bitsmith {string.Join(' ', command.Take(2))} --help'", shell.Error, StringComparison.Ordinal);
    }

    [Fact]
    public void A_text_that_is_too_short_is_a_broken_input()
    {
        using Shell shell = new();
        File.WriteAllText(shell.PathOf("short.txt"), "One.");
        Assert.Equal(ExitCode.BrokenInput, shell.Run("eval", "perplexity", shell.Sample, "-f", shell.PathOf("short.txt")));
        Assert.StartsWith($"bitsmith: {shell.PathOf("short.txt")}: ", shell.Error, StringComparison.Ordinal);
    }

    private static string TextOf(Shell shell) => Path.Combine(shell.Sample, "..", "text", "questions.jsonl");
}
