namespace Bitsmith.Cli.Tests;

public sealed class DoctorCommandTests
{
    [Fact]
    public void Doctor_shows_the_machine_and_what_it_measured()
    {
        using Shell shell = new();

        int code = shell.Run("doctor");

        Assert.True(code == ExitCode.Done, shell.Error);
        Assert.All(
            (string[])["bitsmith", ".NET 10", "processor", "kernels", "memory", "f32 fma", "Gop/s", $"{Environment.ProcessorCount} core(s) usable"],
            word => Assert.Contains(word, shell.Output, StringComparison.Ordinal));
        Assert.Contains("measuring memory bandwidth", shell.Error, StringComparison.Ordinal);
    }
}
