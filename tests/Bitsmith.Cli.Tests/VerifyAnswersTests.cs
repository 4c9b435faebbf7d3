using System.Text.Json;
using Bitsmith.Checkpoints.Safetensors;

namespace Bitsmith.Cli.Tests;

public sealed class VerifyAnswersTests
{
    private static string Picture(Shell shell, string name) => Path.GetFullPath(Path.Combine(shell.Sample, "..", "pictures", name));

    [Fact]
    public void A_gguf_file_is_verified_by_its_structure_and_its_answers()
    {
        using Shell shell = new();
        string file = shell.PathOf("m.gguf"), tower = shell.PathOf("mmproj.gguf"), picture = Path.Combine(shell.Sample, "..", "pictures", "00.png");
        Assert.Equal(ExitCode.Done, shell.Run("convert", shell.Sample, "-o", file));
        Assert.Equal(ExitCode.Done, shell.Run("convert", shell.Sample, "-o", tower, "--mmproj"));

        Assert.Equal(ExitCode.Done, shell.Run("verify", file, "--mmproj", tower, "--image", picture, "--expect", "circle"));
        Assert.Equal(ExitCode.Failed, shell.Run("verify", file, "--mmproj", tower, "--image", picture, "--expect", "bridge"));
        Assert.Equal(ExitCode.Done, shell.Run("verify", file, "--base", shell.Sample));
        Assert.Equal(ExitCode.Done, shell.Run("verify", tower));
    }

    [Fact]
    public void A_quantized_model_describes_pictures_and_what_it_does_not_name_is_a_finding()
    {
        using Shell shell = new();
        string result = shell.PathOf("fp8"), circle = Picture(shell, "00.png"), blue = Picture(shell, "01.png");
        Assert.Equal(ExitCode.Done, shell.Run("quantize", shell.Sample, "-o", result, "--scheme", "fp8-block"));

        Assert.Equal(ExitCode.Done, shell.Run("verify", result, "--image", circle, "--expect", "Circle", "--image", blue, "--expect", "blue background", "--max-tokens", "40"));
        Assert.Contains("2 answers are as expected", shell.Output, StringComparison.Ordinal);

        Assert.Equal(ExitCode.Failed, shell.Run("verify", result, "--image", circle, "--expect", "circle", "--image", blue, "--expect", "giraffe", "--max-tokens", "40", "--json"));
        JsonElement report = JsonDocument.Parse(shell.Output).RootElement;
        JsonElement finding = Assert.Single(report.GetProperty("findings").EnumerateArray());
        Assert.Equal($"answer to {blue}", finding.GetProperty("place").GetString());
        Assert.StartsWith("the answer does not name \"giraffe\": \"The image shows", finding.GetProperty("problem").GetString(), StringComparison.Ordinal);
        JsonElement[] answers = [.. report.GetProperty("answers").EnumerateArray()];
        Assert.Equal(["circle", "giraffe"], answers.Select(answer => answer.GetProperty("expected").GetString()));
        Assert.All(answers, answer => Assert.False(answer.GetProperty("cut_off").GetBoolean()));
        Assert.False(answers[0].TryGetProperty("problem", out _));
    }

    [Theory]
    [InlineData(0x00, "the answer runs into a loop: from token 0 on, 1 token(s) stand 50 times back to back")] // all logits are 0: always the first token
    [InlineData(0xFF, "logits are not finite")] // NaN
    public void A_damaged_model_is_found_by_its_answers(byte damage, string problem)
    {
        using Shell shell = new();
        string result = shell.PathOf("fp8");
        Assert.Equal(ExitCode.Done, shell.Run("quantize", shell.Sample, "-o", result, "--scheme", "fp8-block"));
        File.Delete(Path.Combine(result, "bitsmith.json"));
        Overwrite(result, "model.language_model.norm.weight", damage);

        Assert.Equal(ExitCode.Failed, shell.Run("verify", result, "--prompts", "--max-tokens", "50"));

        Assert.Contains($"WRONG  answer to \"What is the capital of France?\": ", shell.Output, StringComparison.Ordinal);
        Assert.Contains(problem, shell.Output, StringComparison.Ordinal);
        Assert.Contains("5 finding(s)", shell.Output, StringComparison.Ordinal);
    }

    [Fact]
    public void A_folder_that_cannot_be_run_is_a_finding()
    {
        using Shell shell = new();
        string result = shell.PathOf("fp8");
        Assert.Equal(ExitCode.Done, shell.Run("quantize", shell.Sample, "-o", result, "--scheme", "fp8-block"));
        File.Delete(Path.Combine(result, "bitsmith.json"));
        File.Delete(Path.Combine(result, "chat_template.jinja"));

        Assert.Equal(ExitCode.Failed, shell.Run("verify", result, "--prompts"));

        Assert.Contains("WRONG  running the model", shell.Output, StringComparison.Ordinal);
    }

    private static void Overwrite(string folder, string tensor, byte value)
    {
        foreach (string path in Directory.EnumerateFiles(folder, "*.safetensors"))
        {
            StoredTensor? place;
            using (SafetensorsFile file = SafetensorsFile.Open(path))
            {
                place = file.Header.Tensors.SingleOrDefault(entry => entry.Name == tensor);
            }

            if (place is not null)
            {
                using FileStream stream = File.OpenWrite(path);
                stream.Position = place.Offset;
                stream.Write(Enumerable.Repeat(value, (int)place.Bytes).ToArray());
                return;
            }
        }

        Assert.Fail($"{folder} has no {tensor}");
    }

    public static TheoryData<int, string[], string> Mistakes => new()
    {
        { ExitCode.WrongRequest, ["verify", "MODEL", "--image", "a.png"], "needs its --expect" },
        { ExitCode.WrongRequest, ["verify", "MODEL", "--expect", "circle"], "needs its --expect" },
        { ExitCode.WrongRequest, ["verify", "MODEL", "--image", "a.png", "--expect", " "], "--expect is empty" },
        { ExitCode.BrokenInput, ["verify", "MODEL", "--image", "nowhere.png", "--expect", "circle"], "nowhere.png" },
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
