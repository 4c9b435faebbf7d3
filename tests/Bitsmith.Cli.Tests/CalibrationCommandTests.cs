using System.Text.Json;

namespace Bitsmith.Cli.Tests;

public sealed class CalibrationCommandTests
{
    [Fact]
    public void Quantize_calibrates_says_what_that_gained_and_repeats_it_from_the_manifest_with_the_same_data_only()
    {
        using Shell shell = new();
        string chats = Path.Combine(Path.GetDirectoryName(shell.Sample)!, "text", "chats.jsonl"), first = shell.PathOf("a"), second = shell.PathOf("b"), manifest = Path.Combine(first, "bitsmith.json");
        string[] options = ["--calibration", chats, "--num-samples", "6", "--max-length", "48", "--seed", "7", "--propagate", "original"];
        Assert.Equal(ExitCode.Done, shell.Run(["quantize", shell.Sample, "-o", first, "--scheme", "w4a16", "--group-size", "32", .. options]));
        string printed = shell.Output;
        Assert.Contains("6 samples of at most 48 tokens, seed 7", shell.Error, StringComparison.Ordinal);
        Assert.DoesNotContain(chats, File.ReadAllText(manifest), StringComparison.Ordinal);
        JsonElement calibration = JsonDocument.Parse(File.ReadAllText(manifest)).RootElement.GetProperty("calibration");
        Assert.Equal((6, 48, 7), (Number("samples"), Number("max_length"), Number("seed")));
        Assert.InRange(Number("tokens"), 6, 6 * 48);
        Assert.Contains($"calibrated by gptq on 6 samples, {Number("tokens")} tokens of chats.jsonl", printed, StringComparison.Ordinal);

        Assert.Equal(ExitCode.Done, shell.Run("verify", first, "--base", shell.Sample));

        Assert.Equal(ExitCode.WrongRequest, shell.Run("quantize", shell.Sample, "-o", second, "--recipe", manifest));
        Assert.Contains("chats.jsonl. Give the same data with --calibration", shell.Error, StringComparison.Ordinal);
        Assert.Equal(ExitCode.WrongRequest, shell.Run("quantize", shell.Sample, "-o", second, "--recipe", manifest, "--calibration", chats, "--seed", "8"));
        Assert.Contains("--seed", shell.Error, StringComparison.Ordinal);
        Assert.Equal(ExitCode.Done, shell.Run("quantize", shell.Sample, "-o", second, "--recipe", manifest, "--calibration", chats, "--threads", "1"));
        foreach (string file in Directory.EnumerateFiles(first))
        {
            Assert.Equal(File.ReadAllBytes(file), File.ReadAllBytes(Path.Combine(second, Path.GetFileName(file))));
        }

        int Number(string name) => calibration.GetProperty(name).GetInt32();
    }

    [Fact]
    public void Plan_reads_the_samples_and_states_what_calibration_takes()
    {
        using Shell shell = new();
        string chats = Path.Combine(Path.GetDirectoryName(shell.Sample)!, "text", "chats.jsonl");
        long[] disk = [.. ((string[][])[["--scheme", "nvfp4a16"], ["--scheme", "nvfp4", "--calibration", chats, "--num-samples", "6", "--max-length", "48"]]).Select(scheme =>
        {
            Assert.Equal(ExitCode.Done, shell.Run(["plan", shell.Sample, .. scheme, "--json"]));
            return JsonDocument.Parse(shell.Output).RootElement.GetProperty("totals").GetProperty("disk_bytes").GetInt64();
        })];
        Assert.True(disk[1] > disk[0]);
    }

    [Fact]
    public void Several_group_sizes_make_a_folder_each()
    {
        using Shell shell = new();
        string chats = Path.Combine(Path.GetDirectoryName(shell.Sample)!, "text", "chats.jsonl"), output = shell.PathOf("sizes");
        string[] options = ["--scheme", "w4a16", "--group-size", "32,128", "--calibration", chats, "--num-samples", "2", "--max-length", "32", "--method", "search"];
        Assert.Equal(ExitCode.Done, shell.Run(["plan", shell.Sample, .. options]));
        Assert.Contains("W4A16_GS128:", shell.Output, StringComparison.Ordinal);
        Assert.Equal(ExitCode.Done, shell.Run(["quantize", shell.Sample, "-o", output, .. options]));
        Assert.Equal(["W4A16_GS128", "W4A16_GS32"], Directory.EnumerateDirectories(output).Select(Path.GetFileName).Order());
        Assert.Contains(Path.Combine(output, "W4A16_GS32"), shell.Output, StringComparison.Ordinal);
        Assert.Equal(ExitCode.WrongRequest, shell.Run("quantize", shell.Sample, "-o", output, "--scheme", "w4a16", "--group-size", "32,x"));
        Assert.Contains("32,64,128", shell.Error, StringComparison.Ordinal);
    }

    [Theory]
    [InlineData("--clip", "--method", "gptq", "--clip belongs to --method awq")]
    [InlineData("--encoder", "library", "--method gptq", "--method rtn or awq")]
    [InlineData("--encoder", "best", "--method rtn", "--method search")]
    public void Options_that_contradict_the_method_are_refused(string first, string second, string third, string said)
    {
        using Shell shell = new();
        string chats = Path.Combine(Path.GetDirectoryName(shell.Sample)!, "text", "chats.jsonl");
        Assert.Equal(ExitCode.WrongRequest, shell.Run(["quantize", shell.Sample, "-o", shell.PathOf("a"), "--scheme", "w4a16", "--calibration", chats, first, second, .. third.Split(' ')]));
        Assert.Contains(said, shell.Error, StringComparison.Ordinal);
    }
}
