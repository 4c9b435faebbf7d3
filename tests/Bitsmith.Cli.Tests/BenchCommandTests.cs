using System.Text.Json;

namespace Bitsmith.Cli.Tests;

public sealed class BenchCommandTests
{
    [Fact]
    public void Bench_prints_a_table_with_its_settings()
    {
        using Shell shell = new();

        int code = shell.Run("bench", shell.Sample, "-p", "20", "-n", "3", "--pg", "4,2", "-r", "2", "--threads", "1");

        Assert.True(code == ExitCode.Done, shell.Error);
        Assert.All((string[])["glm4v", "MB of weights", "pp20", "tg3", "pp4+tg2", "1 thread(s)", "2 run(s)"], word => Assert.Contains(word, shell.Output, StringComparison.Ordinal));
        Assert.Contains("tg3: run 2 of 2", shell.Error, StringComparison.Ordinal);
    }

    [Fact]
    public void Bench_prints_json_and_leaves_out_what_is_zero()
    {
        using Shell shell = new();

        Assert.Equal(ExitCode.Done, shell.Run("bench", shell.Sample, "-p", "0", "-n", "2", "-n", "1", "-r", "1", "--json"));

        JsonElement report = JsonDocument.Parse(shell.Output).RootElement;
        Assert.Equal(["tg2", "tg1"], report.GetProperty("results").EnumerateArray().Select(result => result.GetProperty("test").GetString()));
        Assert.Equal(17314048, report.GetProperty("weight_bytes").GetInt64());
    }

    public static TheoryData<int, string[], string> Mistakes => new()
    {
        { ExitCode.WrongRequest, ["bench", "MODEL", "-p", "0", "-n", "0"], "Nothing to measure" },
        { ExitCode.WrongRequest, ["bench", "MODEL", "-p", "-1"], "0 or more" },
        { ExitCode.WrongRequest, ["bench", "MODEL", "--pg", "4"], "--pg 4" },
        { ExitCode.WrongRequest, ["bench", "MODEL", "--pg", "4,x"], "--pg 4,x" },
        { ExitCode.WrongRequest, ["bench", "MODEL", "-r", "0"], "-r must be" },
        { ExitCode.WrongRequest, ["bench", "MODEL", "--threads", "0"], "--threads must be" },
        { ExitCode.BrokenInput, ["bench", "nowhere"], "nowhere" },
    };

    [Theory]
    [MemberData(nameof(Mistakes))]
    public void Mistakes_have_their_exit_code_and_a_message_that_helps(int code, string[] args, string word)
    {
        using Shell shell = new();

        int found = shell.Run([.. args.Select(arg => arg.Replace("MODEL", shell.Sample, StringComparison.Ordinal))]);

        Assert.True(found == code, $"exit {found}: {shell.Error}");
        Assert.Contains(word, shell.Error, StringComparison.Ordinal);
    }
}
