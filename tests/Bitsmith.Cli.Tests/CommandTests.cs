using System.Text.Json;

namespace Bitsmith.Cli.Tests;

public sealed class CommandTests
{
    [Fact]
    public void Demo_plans_quantizes_and_verifies_the_sample_model()
    {
        using Shell shell = new();

        int code = shell.Run("demo", "--keep", shell.PathOf("out"));

        Assert.True(code == ExitCode.Done, shell.Output + shell.Error);
        Assert.Contains("36 Linears encoded", shell.Output, StringComparison.Ordinal);
        Assert.Contains("sound: 8 files have their recorded hash, 115 tensors agree with the base model", shell.Output, StringComparison.Ordinal);
        Assert.True(File.Exists(Path.Combine(shell.PathOf("out"), "bitsmith.json")));
    }

    [Fact]
    public void Plan_prints_json_under_stable_names()
    {
        using Shell shell = new();

        Assert.Equal(ExitCode.Done, shell.Run("plan", shell.Sample, "--scheme", "fp8-block", "--json"));

        JsonElement totals = JsonDocument.Parse(shell.Output).RootElement.GetProperty("totals");
        Assert.Equal(36, totals.GetProperty("encoded_linears").GetInt32());
        Assert.Equal(12006280, totals.GetProperty("bytes_after").GetInt64());
        Assert.True(totals.GetProperty("peak_memory_bytes").GetInt64() < 2L << 30);
    }

    [Fact]
    public void Quantize_inspect_and_verify_agree_on_what_was_written()
    {
        using Shell shell = new();
        string result = shell.PathOf("out");

        Assert.Equal(ExitCode.Done, shell.Run("quantize", shell.Sample, "-o", result, "--scheme", "fp8-block-32", "--max-shard-size", "4MB", "--json"));
        Assert.Equal(36, JsonDocument.Parse(shell.Output).RootElement.GetProperty("tensors").GetArrayLength());

        Assert.Equal(ExitCode.Done, shell.Run("inspect", result, "--json"));
        JsonElement summary = JsonDocument.Parse(shell.Output).RootElement;
        Assert.Equal("glm4v", summary.GetProperty("model_type").GetString());
        Assert.True(summary.GetProperty("files").GetArrayLength() >= 3);
        Assert.Equal(5308416, summary.GetProperty("types").EnumerateArray().Single(type => type.GetProperty("type").GetString() == "F8_E4M3").GetProperty("elements").GetInt64());

        Assert.Equal(ExitCode.Done, shell.Run("verify", result, "--base", shell.Sample, "--json"));
        Assert.Equal(115, JsonDocument.Parse(shell.Output).RootElement.GetProperty("tensors_compared").GetInt32());

        File.AppendAllText(Path.Combine(result, "tokenizer.json"), " ");
        Assert.Equal(ExitCode.Failed, shell.Run("verify", result));
        Assert.Contains("WRONG  tokenizer.json", shell.Output, StringComparison.Ordinal);
    }

    [Fact]
    public void The_manifest_as_recipe_repeats_the_result()
    {
        using Shell shell = new();
        Assert.Equal(ExitCode.Done, shell.Run("quantize", shell.Sample, "-o", shell.PathOf("a"), "--scheme", "fp8-block", "--encoder", "best", "--max-shard-size", "5MB"));

        Assert.Equal(ExitCode.Done, shell.Run("quantize", shell.Sample, "-o", shell.PathOf("b"), "--recipe", Path.Combine(shell.PathOf("a"), "bitsmith.json")));

        foreach (string file in Directory.EnumerateFiles(shell.PathOf("a")))
        {
            Assert.Equal(File.ReadAllBytes(file), File.ReadAllBytes(Path.Combine(shell.PathOf("b"), Path.GetFileName(file))));
        }
    }

    [Fact]
    public void Inspect_reads_a_single_file()
    {
        using Shell shell = new();

        Assert.Equal(ExitCode.Done, shell.Run("inspect", Path.Combine(shell.Sample, "model-00001-of-00003.safetensors"), "--tensors"));

        Assert.Contains("lm_head.weight", shell.Output, StringComparison.Ordinal);
    }

    public static TheoryData<int, string[], string> Mistakes => new()
    {
        { ExitCode.WrongRequest, ["quantize", "MODEL", "-o", "OUT"], "Exactly one of --scheme, --recipe" },
        { ExitCode.WrongRequest, ["quantize", "MODEL", "-o", "OUT", "--scheme", "fp8-block", "--recipe", "r.yaml"], "Exactly one of --scheme, --recipe" },
        { ExitCode.WrongRequest, ["quantize", "MODEL", "--scheme", "fp8-block"], "--output" },
        { ExitCode.WrongRequest, ["quantize", "MODEL", "-o", "OUT", "--scheme", "fp9"], "fp8-block-32" },
        { ExitCode.WrongRequest, ["quantize", "MODEL", "-o", "OUT", "--scheme", "fp8-block", "--ignore", "re:nothing"], "matches no module" },
        { ExitCode.WrongRequest, ["quantize", "MODEL", "-o", "OUT", "--scheme", "fp8-block", "--ignore", "re:("], "regular expression" },
        { ExitCode.WrongRequest, ["quantize", "MODEL", "-o", "OUT", "--scheme", "fp8-block", "--max-shard-size", "big"], "5GB" },
        { ExitCode.WrongRequest, ["quantize", "MODEL", "-o", "OUT", "--scheme", "fp8-block", "--threads", "0"], "--threads" },
        { ExitCode.WrongRequest, ["quantize", "MODEL", "-o", "OUT", "--scheme", "fp8-block", "--resume", "--force"], "exclude" },
        { ExitCode.WrongRequest, ["quantize", "MODEL", "-o", "OUT", "--scheme", "nvfp4"], "--calibration" },
        { ExitCode.WrongRequest, ["plan", "MODEL", "--scheme", "nvfp4"], "--calibration" },
        { ExitCode.WrongRequest, ["quantize", "MODEL", "-o", "OUT", "--scheme", "w4a16", "--num-samples", "5"], "--num-samples has a meaning only with --calibration" },
        { ExitCode.WrongRequest, ["quantize", "MODEL", "-o", "OUT", "--scheme", "w4a16", "--group-size", "32", "--calibration", "nowhere.jsonl"], "'nowhere.jsonl' is no file" },
        { ExitCode.WrongRequest, ["quantize", "MODEL", "-o", "OUT", "--scheme", "w4a16", "--calibration", "x", "--method", "best"], "awq+gptq" },
        { ExitCode.WrongRequest, ["quantize", "MODEL", "-o", "OUT.gguf", "--scheme", "q4_k_m", "--calibration", "x"], "--calibration has no meaning for GGUF files" },
        { ExitCode.WrongRequest, ["plan", "MODEL", "--recipe", "missing.yaml"], "missing.yaml" },
        { ExitCode.WrongRequest, ["quantise"], "quantise" },
        { ExitCode.BrokenInput, ["inspect", "nowhere"], "no such file" },
        { ExitCode.BrokenInput, ["plan", "nowhere", "--scheme", "fp8-block"], "no such folder" },
        { ExitCode.BrokenInput, ["verify", "nowhere"], "no such folder" },
    };

    [Theory]
    [MemberData(nameof(Mistakes))]
    public void Mistakes_have_their_exit_code_and_a_message_that_helps(int code, string[] args, string word)
    {
        using Shell shell = new();

        int found = shell.Run([.. args.Select(arg => arg switch { "MODEL" => shell.Sample, "OUT" => shell.PathOf("out"), _ => arg })]);

        Assert.True(found == code, $"exit {found}: {shell.Error}");
        Assert.Contains(word, shell.Error, StringComparison.Ordinal);
        Assert.StartsWith("bitsmith: ", shell.Error, StringComparison.Ordinal);
        Assert.False(Directory.Exists(shell.PathOf("out")));
    }

    [Theory]
    [InlineData("quantize")]
    [InlineData("plan")]
    [InlineData("verify")]
    [InlineData("inspect")]
    [InlineData("convert")]
    public void Help_of_every_verb_shows_an_example(string verb)
    {
        using Shell shell = new();

        Assert.Equal(ExitCode.Done, shell.Run(verb, "--help"));

        Assert.Contains($"bitsmith {verb} ./", shell.Output, StringComparison.Ordinal);
    }

    [Theory]
    [InlineData("5GB", 5_000_000_000)]
    [InlineData("1.5 GiB", 1_610_612_736)]
    [InlineData("123", 123)]
    [InlineData("7kb", 7_000)]
    public void Sizes_are_read_in_decimal_and_binary_units(string text, long bytes) =>
        Assert.Equal(bytes, Rendering.Units.ParseBytes(text));

    [Theory]
    [InlineData("")]
    [InlineData("GB")]
    [InlineData("-1GB")]
    [InlineData("1e99TB")]
    [InlineData("0")]
    public void What_is_no_size_is_refused(string text) => Assert.Throws<FormatException>(() => Rendering.Units.ParseBytes(text));
}
