namespace Bitsmith.Cli.Tests;

public sealed class RunCommandTests
{
    [Fact]
    public void Run_prints_the_answer_to_a_picture_and_nothing_else_on_standard_output()
    {
        using Shell shell = new();

        int code = shell.Run("run", shell.Sample, "-p", "Describe this image.", "--image", Path.Combine(shell.Sample, "..", "pictures", "00.png"), "--temperature", "0", "-n", "40");

        Assert.True(code == ExitCode.Done, shell.Error);
        Assert.Equal("The image shows a large red circle on a orange background.", shell.Output.Trim());
    }

    [Fact]
    public void Run_answers_from_a_gguf_file_and_its_vision_tower_as_from_the_folder()
    {
        using Shell shell = new();
        Assert.Equal(ExitCode.Done, shell.Run("convert", shell.Sample, "-o", shell.PathOf("m.gguf"), "--split-max-size", "4MB"));
        Assert.Equal(ExitCode.Done, shell.Run("convert", shell.Sample, "-o", shell.PathOf("mmproj.gguf"), "--mmproj"));
        string model = Directory.EnumerateFiles(Path.GetDirectoryName(shell.PathOf("m.gguf"))!, "m-*.gguf").Order().Last(), picture = Path.Combine(shell.Sample, "..", "pictures", "00.png");

        int code = shell.Run("run", model, "--mmproj", shell.PathOf("mmproj.gguf"), "-p", "Describe this image.", "--image", picture, "--temperature", "0", "-n", "40");

        Assert.True(code == ExitCode.Done, shell.Error);
        Assert.Equal("The image shows a large red circle on a orange background.", shell.Output.Trim());
        Assert.Equal(ExitCode.WrongRequest, shell.Run("run", model, "-p", "Describe this image.", "--image", picture));
        Assert.Contains("--mmproj", shell.Error, StringComparison.Ordinal);
        Assert.Equal(ExitCode.WrongRequest, shell.Run("run", model, "--mmproj", shell.PathOf("mmproj.gguf"), "-p", "Describe this video.", "--video", $"{picture},{picture}"));
        Assert.Contains("does not say which frames", shell.Error, StringComparison.Ordinal);
    }

    [Fact]
    public void Run_looks_at_a_video_and_says_which_frames_it_took()
    {
        using Shell shell = new();
        string frames = Directory.CreateDirectory(shell.PathOf("frames")).FullName;
        for (int i = 0; i < 20; i++)
        {
            File.CreateSymbolicLink(Path.Combine(frames, $"{i:00}.png"), Path.GetFullPath(Path.Combine(shell.Sample, "..", "pictures", "00.png")));
        }

        Assert.Equal(ExitCode.Done, shell.Run("run", shell.Sample, "-p", "Describe this video.", "--video", frames, "--fps", "8", "--temperature", "0", "-n", "20"));
        Assert.Contains("18 of 20 frames, 8 frames a second", shell.Error, StringComparison.Ordinal);
        Assert.NotEmpty(shell.Output.Trim());

        string first = Path.Combine(frames, "00.png"), second = Path.Combine(frames, "01.png");
        Assert.Equal(ExitCode.Done, shell.Run("run", shell.Sample, "-p", "Describe this video.", "--video", $"{first},{second}", "--temperature", "0", "-n", "20"));
        Assert.Contains("2 of 2 frames, no rate given", shell.Error, StringComparison.Ordinal);
    }

    [Theory]
    [InlineData("f32")]
    [InlineData("bf16")]
    [InlineData("f16")]
    [InlineData("fp8")]
    public void The_cache_may_be_stored_narrow(string type)
    {
        using Shell shell = new();

        Assert.Equal(ExitCode.Done, shell.Run("run", shell.Sample, "-p", "What is the opposite of wet?", "--cache-type", type, "--temperature", "0", "-n", "20"));

        Assert.Equal("The opposite of wet is dry.", shell.Output.Trim());
    }

    [Fact]
    public void Every_result_may_be_rounded_to_bfloat16()
    {
        using Shell shell = new();

        Assert.Equal(ExitCode.Done, shell.Run("run", shell.Sample, "-p", "What is the opposite of wet?", "--activations", "bf16", "--temperature", "0", "-n", "20"));

        Assert.Equal("The opposite of wet is dry.", shell.Output.Trim());
    }

    [Fact]
    public void The_same_seed_gives_the_same_answer_and_the_override_merges_over_the_models_settings()
    {
        using Shell shell = new();
        string[] command = ["run", shell.Sample, "-p", "Tell me a story about a dog.", "-n", "25", "--seed", "5"];
        Assert.Equal(ExitCode.Done, shell.Run([.. command, "--override-generation-config", """{"temperature": 1.5}"""]));
        string first = shell.Output;
        Assert.Equal(ExitCode.Done, shell.Run([.. command, "--override-generation-config", """{"temperature": 1.5}"""]));
        Assert.Equal(first, shell.Output);
        Assert.Equal(ExitCode.Done, shell.Run([.. command, "--override-generation-config", """{"top_k": 1}"""]));
        Assert.NotEqual(first, shell.Output);
    }

    public static TheoryData<int, string[], string> Mistakes => new()
    {
        { ExitCode.WrongRequest, ["run", "MODEL"], "--prompt" },
        { ExitCode.WrongRequest, ["run", "MODEL", "-p", "x", "--activations", "none"], "'none'" },
        { ExitCode.WrongRequest, ["run", "MODEL", "-p", "x", "--cache-type", "int4"], "'int4'" },
        { ExitCode.BrokenInput, ["run", "nowhere", "-p", "x"], "no such file or folder" },
        { ExitCode.BrokenInput, ["run", "MODEL", "-p", "x", "--override-generation-config", "{"], "no JSON" },
        { ExitCode.BrokenInput, ["run", "MODEL", "-p", "x", "--override-generation-config", """{"top_p": 7}"""], "top_p" },
        { ExitCode.BrokenInput, ["run", "MODEL", "-p", "x", "--image", "nowhere.png"], "nowhere.png" },
        { ExitCode.BrokenInput, ["run", "MODEL", "-p", "x", "--image", "MODEL/config.json"], "config.json" },
        { ExitCode.BrokenInput, ["run", "MODEL", "-p", "x", "--video", "MODEL"], "no frames" },
        { ExitCode.BrokenInput, ["run", "MODEL", "-p", "x", "--video", "nowhere.png,nowhere.png"], "nowhere.png" },
        { ExitCode.WrongRequest, ["run", "MODEL", "-p", "x", "--video", "MODEL", "--fps", "0"], "--fps must be" },
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

    [Theory]
    [InlineData("tokenizer.json", "tokenizer.json")]
    [InlineData("chat_template.jinja", "chat_template")]
    [InlineData("preprocessor_config.json", "preprocessor_config.json")]
    public void A_folder_that_lacks_what_running_needs_is_an_error_that_names_it(string missing, string word)
    {
        using Shell shell = new();
        string copy = Directory.CreateDirectory(shell.PathOf("model")).FullName;
        foreach (string file in Directory.EnumerateFiles(shell.Sample).Where(file => Path.GetFileName(file) != missing))
        {
            File.CreateSymbolicLink(Path.Combine(copy, Path.GetFileName(file)), file);
        }

        Assert.Equal(ExitCode.BrokenInput, shell.Run("run", copy, "-p", "x"));
        Assert.Contains(word, shell.Error, StringComparison.Ordinal);
    }
}
