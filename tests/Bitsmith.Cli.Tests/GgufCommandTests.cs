using System.Text.Json;

namespace Bitsmith.Cli.Tests;

public sealed class GgufCommandTests
{
    [Fact]
    public void Plan_quantize_verify_and_convert_back_in_a_row()
    {
        using Shell shell = new();
        string file = shell.PathOf("m.gguf");
        Assert.Equal(ExitCode.Done, shell.Run("plan", shell.Sample, "--scheme", "q4_k_m", "--tensor-type", "attn_k=q8_0", "--json"));
        JsonElement plan = JsonDocument.Parse(shell.Output).RootElement;
        JsonElement key = plan.GetProperty("rows").EnumerateArray().Single(row => row.GetProperty("tensor").GetString() == "blk.0.attn_k.weight");
        Assert.Equal(("--tensor-type attn_k=q8_0", "Q8_0 [128, 256]"), (key.GetProperty("rule").GetString(), key.GetProperty("after").GetString()));
        Assert.True(plan.GetProperty("totals").GetProperty("seconds").GetDouble() > 0);

        Assert.Equal(ExitCode.Done, shell.Run("quantize", shell.Sample, "-o", file, "--scheme", "q4_k_m", "--tensor-type", "attn_k=q8_0"));
        Assert.Contains("MiB of memory", shell.Error, StringComparison.Ordinal);
        Assert.Equal(plan.GetProperty("totals").GetProperty("bytes_after").GetInt64(), JsonDocument.Parse(File.ReadAllText(shell.PathOf("m.bitsmith.json"))).RootElement.GetProperty("totals").GetProperty("bytes_after").GetInt64());

        Assert.Equal(ExitCode.Done, shell.Run("verify", file, "--base", shell.Sample));
        Assert.Contains("sound: 1 files have their recorded hash, 81 tensors were compared with the base model", shell.Output, StringComparison.Ordinal);
        Assert.Equal(ExitCode.Done, shell.Run("convert", file, "-o", shell.PathOf("back"), "--type", "f16"));
        Assert.True(File.Exists(shell.PathOf("back/tokenizer.json")));
    }

    [Theory]
    [InlineData("is for GGUF files", "out", "--scheme", "q4_k_m")]
    [InlineData("is not for GGUF files", "out.gguf", "--scheme", "fp8-block")]
    [InlineData("is not for GGUF files", "out.gguf", "--scheme", "q9_9")]
    [InlineData("--encoder has no meaning for GGUF files", "out.gguf", "--scheme", "q8_0", "--encoder", "best")]
    [InlineData("--pure has no meaning for folders", "out", "--scheme", "fp8-block", "--pure")]
    [InlineData("is no tensor type", "out.gguf", "--scheme", "q8_0", "--output-tensor-type", "q4_k_m")]
    [InlineData("decides for no tensor", "out.gguf", "--scheme", "q8_0", "--tensor-type", "attn_x=q4_0")]
    [InlineData("--allow-no-imatrix", "out.gguf", "--scheme", "iq2_xxs")]
    public void What_a_container_lacks_is_a_wrong_request(string message, string output, params string[] options)
    {
        using Shell shell = new();
        Assert.Equal(ExitCode.WrongRequest, shell.Run(["quantize", shell.Sample, "-o", shell.PathOf(output), .. options]));
        Assert.Contains(message, shell.Error, StringComparison.Ordinal);
        Assert.False(Path.Exists(shell.PathOf(output)));
    }

    [Fact]
    public void A_gguf_file_is_no_source_for_a_folder_of_quantized_weights()
    {
        using Shell shell = new();
        Assert.Equal(ExitCode.Done, shell.Run("convert", shell.Sample, "-o", shell.PathOf("m.gguf")));
        Assert.NotEqual(ExitCode.Done, shell.Run("quantize", shell.PathOf("m.gguf"), "-o", shell.PathOf("out"), "--scheme", "fp8-block"));
        Assert.Equal(ExitCode.WrongRequest, shell.Run("convert", shell.PathOf("m.gguf"), "-o", shell.PathOf("n.gguf")));
        Assert.Equal(ExitCode.WrongRequest, shell.Run("verify", shell.PathOf("m.gguf"), "--fix"));
    }

    [Fact]
    public void A_target_of_bits_or_bytes_chooses_types_says_why_and_leaves_the_plan_beside_the_result()
    {
        using Shell shell = new();
        string output = shell.PathOf("m.gguf"), plan = shell.PathOf("m.allocation.json"), again = shell.PathOf("again.gguf");
        Assert.Equal(ExitCode.Done, shell.Run("plan", shell.Sample, "--target-bpw", "5.5"));
        Assert.Contains("would save", shell.Output, StringComparison.Ordinal);
        Assert.Equal(ExitCode.Done, shell.Run("quantize", shell.Sample, "-o", output, "--target-bpw", "5.5"));
        Assert.True(File.Exists(plan));
        Assert.Equal(ExitCode.Done, shell.Run("quantize", shell.Sample, "-o", again, "--allocation", plan));
        Assert.Equal(File.ReadAllBytes(output), File.ReadAllBytes(again));
        Assert.Equal(ExitCode.Done, shell.Run("quantize", shell.Sample, "-o", shell.PathOf("w.gguf"), "--target-size", "7MB", "--method", "weight-error", "--no-importance"));
        Assert.InRange(new FileInfo(shell.PathOf("w.gguf")).Length, 6_900_000, 7_000_000);

        Assert.Equal(ExitCode.WrongRequest, shell.Run("quantize", shell.Sample, "-o", output, "--target-bpw", "5.5"));
        Assert.Contains("exists", shell.Error, StringComparison.Ordinal);
        Assert.Equal(ExitCode.WrongRequest, shell.Run("quantize", shell.Sample, "-o", shell.PathOf("x.gguf"), "--target-bpw", "5.5", "--scheme", "q4_k_m"));
        Assert.Contains("Exactly one of", shell.Error, StringComparison.Ordinal);
        Assert.Equal(ExitCode.WrongRequest, shell.Run("quantize", shell.Sample, "-o", shell.PathOf("folder"), "--target-bpw", "5.5"));
        Assert.Contains(".gguf", shell.Error, StringComparison.Ordinal);
        Assert.Equal(ExitCode.WrongRequest, shell.Run("quantize", shell.Sample, "-o", shell.PathOf("x.gguf"), "--target-bpw", "5.5", "--method", "gptq"));
        Assert.Contains("output-error, weight-error", shell.Error, StringComparison.Ordinal);
        Assert.Equal(ExitCode.WrongRequest, shell.Run("quantize", shell.Sample, "-o", shell.PathOf("x.gguf"), "--scheme", "q4_k_m", "--types", "q8_0"));
        Assert.Contains("--target-bpw", shell.Error, StringComparison.Ordinal);
    }
}
