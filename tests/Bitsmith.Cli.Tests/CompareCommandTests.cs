using System.Text.Json;

namespace Bitsmith.Cli.Tests;

public sealed class CompareCommandTests
{
    [Fact]
    public void A_release_is_compared_described_and_still_verifies()
    {
        using Shell shell = new();
        string text = Path.Combine(shell.Sample, "..", "text", "questions.jsonl"), fp8 = shell.PathOf("glm-4.6v-mini-FP8"), gguf = shell.PathOf("glm-4.6v-mini-Q4_K_M.gguf"), report = shell.PathOf("report");
        Assert.Equal(ExitCode.Done, shell.Run("quantize", shell.Sample, "-o", fp8, "--scheme", "fp8-block"));
        Assert.Equal(ExitCode.Done, shell.Run("quantize", shell.Sample, "-o", gguf, "--scheme", "q4_k_m"));
        string[] compare = ["compare", shell.Sample, fp8, gguf, "-f", text, "-c", "64", "--chunks", "4", "-p", "8", "-n", "2", "-r", "1", "--weights-only", "-o", report];
        Assert.True(shell.Run(compare) == ExitCode.Done, shell.Error);
        Assert.All(
            (string[])["glm-4.6v-mini-FP8 (weights only)", "μKLD", "ρPPL", "pp8", "tg2", "glm-4.6v-mini-Q4_K_M", ": 7,415,040 parameters, glm-4.6v-mini 8,657,024"],
            word => Assert.Contains(word, shell.Output, StringComparison.Ordinal));
        Assert.Contains("wrote " + Path.Combine(report, "report.html"), shell.Error, StringComparison.Ordinal);
        Assert.True(shell.Run([.. compare, "--json"]) == ExitCode.Done, shell.Error);
        Assert.Contains("glm-4.6v-mini-Q4_K_M: divergence: measured before", shell.Error, StringComparison.Ordinal);
        JsonElement json = JsonDocument.Parse(shell.Output).RootElement;
        Assert.Equal(["scheme", "scheme", "exact", "scheme"], json.GetProperty("models").EnumerateArray().Select((model, i) => i == 0 ? "scheme" : model.GetProperty("model").GetProperty("activations").GetString()));

        Assert.True(shell.Run("card", fp8, "--report", report, "--base-model", "zai-org/GLM-4.6V-Flash", "--license", "mit", "--name", "me/glm-4.6v-mini-FP8") == ExitCode.Done, shell.Error);
        string card = File.ReadAllText(Path.Combine(fp8, "README.md"));
        Assert.All(
            (string[])["base_model_relation: quantized\n", "pipeline_tag: image-text-to-text\n", "# glm-4.6v-mini-FP8\n", "| vision tower | BF16 |", "| attention | F8_E4M3 |", "vllm serve me/glm-4.6v-mini-FP8", "bitsmith quantize GLM-4.6V-Flash -o glm-4.6v-mini-FP8 --recipe bitsmith.json", "## What was measured"],
            words => Assert.Contains(words, card, StringComparison.Ordinal));
        Assert.True(shell.Run("verify", fp8) == ExitCode.Done, shell.Output + shell.Error);

        Assert.True(shell.Run("card", gguf, "--report", report, "--base-model", "zai-org/GLM-4.6V-Flash", "--license", "mit", "-o", "-") == ExitCode.Done, shell.Error);
        Assert.Contains("library_name: gguf\n", shell.Output, StringComparison.Ordinal);
        Assert.Contains("llama-server -m glm-4.6v-mini-Q4_K_M.gguf", shell.Output, StringComparison.Ordinal);

        // A file that is no longer what was measured has no place in a card with these figures.
        Assert.Equal(ExitCode.Done, shell.Run("quantize", shell.Sample, "-o", gguf, "--scheme", "q3_k_m", "--force"));
        Assert.Equal(ExitCode.WrongRequest, shell.Run("card", gguf, "--report", report, "--base-model", "zai-org/GLM-4.6V-Flash", "--license", "mit", "-o", "-"));
        Assert.Contains("does not measure", shell.Error, StringComparison.Ordinal);
    }

    [Theory]
    [InlineData("compare", "base")]
    [InlineData("compare", "base", "quant", "-o", "x")]
    [InlineData("compare", "base", "quant", "-f", "t.txt")]
    [InlineData("compare", "base", "quant", "./quant", "-f", "t.txt", "-o", "x")]
    [InlineData("compare", "base", "quant", "-f", "t.txt", "-o", "x", "--task", "chess=file")]
    [InlineData("compare", "base", "quant", "-f", "t.txt", "-o", "x", "--passage", "0")]
    [InlineData("card")]
    public void A_command_that_makes_no_sense_is_refused(params string[] command)
    {
        using Shell shell = new();
        Assert.Equal(ExitCode.WrongRequest, shell.Run(command));
        Assert.Contains($"See 'bitsmith {command[0]} --help'", shell.Error, StringComparison.Ordinal);
    }

    [Fact]
    public void A_readme_of_someone_else_is_not_replaced()
    {
        using Shell shell = new();
        string gguf = shell.PathOf("m.gguf"), readme = shell.PathOf("README.md");
        Assert.Equal(ExitCode.Done, shell.Run("quantize", shell.Sample, "-o", gguf, "--scheme", "q8_0"));
        File.WriteAllText(readme, "# Mine\n");
        string[] card = ["card", gguf, "--base-model", "zai-org/GLM-4.6V-Flash", "--license", "mit"];
        Assert.Equal(ExitCode.WrongRequest, shell.Run(card));
        Assert.Contains("--force", shell.Error, StringComparison.Ordinal);
        Assert.Equal("# Mine\n", File.ReadAllText(readme));
        Assert.Equal(ExitCode.Done, shell.Run([.. card, "--force"]));
        Assert.Equal(ExitCode.Done, shell.Run(card));
    }
}
