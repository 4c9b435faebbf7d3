namespace Bitsmith.Cli.Tests;

public sealed class ChatCommandTests
{
    [Fact]
    public void A_conversation_goes_over_several_turns_looks_at_pictures_and_ends_with_its_input()
    {
        using Shell shell = new();
        shell.Input = $"""
            What is the opposite of wet?

            /nonsense
            /image nowhere.png
            /image {Path.Combine(shell.Sample, "..", "pictures", "00.png")}
            Describe this image.
            /video nowhere
            /video {Path.Combine(shell.Sample, "..", "pictures", "00.png")},{Path.Combine(shell.Sample, "..", "pictures", "00.png")} 2.5
            Describe this video.
            /clear
            What sound does a bee make?
            /exit
            What is never asked?
            """;

        int code = shell.Run("chat", shell.Sample, "--temperature", "0", "-n", "40");

        Assert.True(code == ExitCode.Done, shell.Error);
        string[] answers = shell.Output.Split('\n', StringSplitOptions.RemoveEmptyEntries);
        Assert.Equal(4, answers.Length);
        Assert.Equal("The opposite of wet is dry.", answers[0]);
        Assert.StartsWith("The image shows", answers[1], StringComparison.Ordinal);
        Assert.Equal("A bee buzzes.", answers[3]);
        Assert.Contains("2 of 2 frames, 2.5 frames a second", shell.Error, StringComparison.Ordinal);
        Assert.Contains("nowhere.png", shell.Error, StringComparison.Ordinal);
    }
}
