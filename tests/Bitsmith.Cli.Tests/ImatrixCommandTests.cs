using System.Text.Json;
using Bitsmith.Checkpoints.Imatrix;

namespace Bitsmith.Cli.Tests;

public sealed class ImatrixCommandTests
{
    [Fact]
    public void A_matrix_is_computed_merged_shown_and_written_in_both_forms()
    {
        using Shell shell = new();
        string text = TextOf(shell), first = shell.PathOf("a.gguf"), both = shell.PathOf("both.gguf"), dat = shell.PathOf("both.dat");
        string[] command = ["imatrix", shell.Sample, "-f", text, "-o", first, "-c", "64", "--chunks", "3"];
        Assert.Equal(ExitCode.Done, shell.Run(command));
        Assert.Contains("36 tensors, 3 chunks of 64 tokens", shell.Output, StringComparison.Ordinal);
        Assert.Contains("chunk 3 of 3", shell.Error, StringComparison.Ordinal);
        Assert.Equal(ExitCode.WrongRequest, shell.Run(command));
        Assert.Contains("--force", shell.Error, StringComparison.Ordinal);

        Assert.Equal(ExitCode.Done, shell.Run("imatrix", "--in-file", first, "--in-file", first, "-o", both));
        Assert.Equal(ExitCode.Done, shell.Run("imatrix", "--in-file", both, "-o", dat, "--output-format", "dat"));
        Assert.True(ImportanceMatrix.Load(dat).CountsChunks);
        Assert.Equal(384, ImportanceMatrix.Load(both).Entries["blk.0.attn_q.weight"].Counts[0]);

        Assert.Equal(ExitCode.Done, shell.Run("imatrix", "--in-file", both, "--show-statistics"));
        Assert.Contains("blk.5.ffn_down.weight", shell.Output, StringComparison.Ordinal);
        Assert.Equal(ExitCode.Done, shell.Run("imatrix", "--in-file", both, "--show-statistics", "--json"));
        JsonElement json = JsonDocument.Parse(shell.Output).RootElement;
        Assert.Equal((6, 36, 6), (json.GetProperty("chunk_count").GetInt32(), json.GetProperty("tensors").GetArrayLength(), json.GetProperty("layers").GetArrayLength()));
        Assert.True(json.GetProperty("layers")[1].GetProperty("gain").GetSingle() > 0);
        Assert.False(json.GetProperty("layers")[0].TryGetProperty("gain", out _));
    }

    [Theory]
    [InlineData("--in-file")]
    [InlineData("imatrix")]
    [InlineData("imatrix", "--in-file", "a.gguf")]
    [InlineData("imatrix", "model", "-o", "x.gguf")]
    [InlineData("imatrix", "model", "-f", "t.txt")]
    [InlineData("imatrix", "--in-file", "a.gguf", "-o", "x.gguf", "--resume")]
    [InlineData("imatrix", "model", "-f", "t.txt", "-o", "x.gguf", "--chunks", "0")]
    [InlineData("imatrix", "model", "-f", "t.txt", "-o", "x.gguf", "--resume", "--force")]
    public void A_command_that_makes_no_sense_is_refused(params string[] command)
    {
        using Shell shell = new();
        Assert.Equal(ExitCode.WrongRequest, shell.Run(command));
    }

    [Fact]
    public void A_file_that_is_no_matrix_is_a_broken_input()
    {
        using Shell shell = new();
        File.WriteAllText(shell.PathOf("x.gguf"), "GGUFgguf");
        Assert.Equal(ExitCode.BrokenInput, shell.Run("imatrix", "--in-file", shell.PathOf("x.gguf"), "--show-statistics"));
        Assert.StartsWith($"bitsmith: {shell.PathOf("x.gguf")}: ", shell.Error, StringComparison.Ordinal);
    }

    private static string TextOf(Shell shell)
    {
        string text = shell.PathOf("text.txt");
        File.Copy(Path.Combine(shell.Sample, "..", "text", "questions.jsonl"), text);
        return text;
    }
}
