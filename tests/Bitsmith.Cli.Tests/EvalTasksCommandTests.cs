using System.Text.Json;

namespace Bitsmith.Cli.Tests;

public sealed class EvalTasksCommandTests
{
    private const string Arc = """{"question":"What is ice?","choices":{"text":["frozen water","a stone","a bird"],"label":["A","B","C"]},"answerKey":"A"}""";

    [Fact]
    public void Several_tasks_are_printed_with_their_parts_and_their_average()
    {
        using Shell shell = new();

        int code = shell.Run(
            "eval", "tasks", shell.Sample, "--task", $"arc={Write(shell, "easy.jsonl", Arc)}", "--task", $"arc={Write(shell, "challenge.jsonl", $"{Arc}\n{Arc}")}",
            "--task", $"winogrande={Write(shell, "w.csv", "0,The dog saw the cat because _ was big.,the dog,the cat,1\n1,The man gave the boy bread because _ was hungry.,the man,the boy,2\n")}", "--threads", "1");

        Assert.True(code == ExitCode.Done, shell.Error);
        Assert.All(
            (string[])["ARC", "easy.jsonl", "challenge.jsonl", "WinoGrande", "average", "33.33", "50.00", "line 2, counts; llama-perplexity leaves it out and has 1 items", "questions are put as 'Question: {question}\\nAnswer:'", "at most 768 tokens a choice, seed 1"],
            word => Assert.Contains(word, shell.Output, StringComparison.Ordinal));
        Assert.Contains("ARC: 3 of 3", shell.Error, StringComparison.Ordinal);
    }

    [Fact]
    public void Json_has_what_was_chosen_for_each_item()
    {
        using Shell shell = new();

        Assert.Equal(ExitCode.Done, shell.Run("eval", "arc", shell.Sample, "-f", Write(shell, "f.jsonl", $"{Arc}\n{Arc}\n{Arc}"), "--tasks", "2", "--seed", "5", "--json"));

        JsonElement task = JsonElement.Parse(shell.Output).GetProperty("tasks")[0];
        Assert.Equal(("arc", 3, 5, 2), (task.GetProperty("task").GetString(), task.GetProperty("available").GetInt32(), task.GetProperty("seed").GetInt32(), task.GetProperty("score").GetProperty("items").GetInt32()));
        JsonElement item = task.GetProperty("items")[0];
        double[] scores = [.. item.GetProperty("scores").EnumerateArray().Select(score => score.GetDouble())];
        Assert.Equal(Array.IndexOf(scores, scores.Max()), item.GetProperty("choice").GetInt32());
        Assert.Equal(item.GetProperty("choice").GetInt32() == 0, item.GetProperty("correct").GetBoolean());
    }

    [Theory]
    [InlineData("arc")]
    [InlineData("hellaswag")]
    [InlineData("mmlu")]
    [InlineData("truthfulqa")]
    [InlineData("winogrande")]
    [InlineData("tasks")]
    public void Help_shows_how_each_task_is_run(string verb)
    {
        using Shell shell = new();
        Assert.Equal(ExitCode.Done, shell.Run("eval", verb, "--help"));
        Assert.Contains($"bitsmith eval {verb} GLM-4.6V-Flash-Q4_K_M.gguf ", shell.Output, StringComparison.Ordinal);
    }

    public static TheoryData<int, string[], string> Mistakes => new()
    {
        { ExitCode.WrongRequest, ["eval", "arc", "MODEL"], "--file" },
        { ExitCode.WrongRequest, ["eval", "tasks", "MODEL", "--task", "chess=f"], "--task chess=f: write NAME=FILE with NAME one of arc, hellaswag" },
        { ExitCode.WrongRequest, ["eval", "tasks", "MODEL", "--task", "arc"], "--task arc: write NAME=FILE" },
        { ExitCode.WrongRequest, ["eval", "arc", "MODEL", "-f", "FILE", "--tasks", "0"], "--tasks must be at least 1" },
        { ExitCode.WrongRequest, ["eval", "arc", "MODEL", "-f", "FILE", "--ctx-size", "4"], "line 1: has" },
        { ExitCode.BrokenInput, ["eval", "mmlu", "MODEL", "-f", "FILE"], "line 1: 'choices' is not an array" },
        { ExitCode.BrokenInput, ["eval", "arc", "MODEL", "-f", "nowhere.jsonl"], "nowhere.jsonl: cannot be read" },
    };

    [Theory]
    [MemberData(nameof(Mistakes))]
    public void Mistakes_have_their_exit_code_and_a_message_that_helps(int code, string[] args, string word)
    {
        using Shell shell = new();
        string file = Write(shell, "f.jsonl", Arc);

        int found = shell.Run([.. args.Select(arg => arg == "MODEL" ? shell.Sample : arg == "FILE" ? file : arg)]);

        Assert.True(found == code, $"exit {found}: {shell.Error}");
        Assert.Contains(word, shell.Error, StringComparison.Ordinal);
    }

    private static string Write(Shell shell, string name, string content)
    {
        File.WriteAllText(shell.PathOf(name), content);
        return shell.PathOf(name);
    }
}
