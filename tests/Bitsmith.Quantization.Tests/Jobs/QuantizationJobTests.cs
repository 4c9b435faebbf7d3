using System.Text;
using Bitsmith.Checkpoints;
using Bitsmith.Checkpoints.HuggingFace;
using Bitsmith.Checkpoints.Json;
using Bitsmith.Checkpoints.Safetensors;
using Bitsmith.Quantization.Jobs;
using Bitsmith.Quantization.Manifests;
using Bitsmith.Tensors.ElementTypes;
using Bitsmith.Tensors.Formats;

namespace Bitsmith.Quantization.Tests.Jobs;

public sealed class QuantizationJobTests
{
    [Theory]
    [InlineData("fp8-block", ElementType.BF16)]
    [InlineData("fp8-block-32", ElementType.BF16)]
    [InlineData("fp8-block", ElementType.F16)]
    [InlineData("fp8-block-32", ElementType.F32)]
    public void Weights_are_encoded_as_the_format_says_and_everything_else_is_carried_over(string scheme, ElementType type)
    {
        using TestCheckpoint checkpoint = TestCheckpoint.Dense(type: type);
        JobOptions options = checkpoint.Options(scheme);

        checkpoint.Quantize(options);

        using CheckpointFolder source = CheckpointFolder.Open(checkpoint.Model);
        using CheckpointFolder result = CheckpointFolder.Open(checkpoint.Output);
        BlockShape block = options.Recipe.Groups[0].Block;
        Dictionary<string, byte[]> written = Contents(result);
        int encoded = 0;
        foreach ((string name, byte[] bytes) in Contents(source))
        {
            if (!written.TryGetValue(name + "_scale", out byte[]? scales))
            {
                Assert.Equal(bytes, written[name]);
                continue;
            }

            encoded++;
            IReadOnlyList<long> shape = source.Tensors.Single(tensor => tensor.Name == name).Shape;
            byte[] expectedCodes = new byte[shape[0] * shape[1]], expectedScales = new byte[scales.Length];
            Fp8Block.Encode(
                WeightEncoder.Library, type, bytes, (int)shape[0], (int)shape[1], block, expectedCodes, expectedScales,
                new QuantizationError[block.GridOf(shape[0], shape[1]).Rows], []);
            Assert.Equal(expectedCodes, written[name]);
            Assert.Equal(expectedScales, scales);
        }

        Assert.Equal(12, encoded);
        Assert.Equal(
            source.Tensors.Select(tensor => tensor.Name),
            result.Tensors.Select(tensor => tensor.Name).Where(name => !name.EndsWith("_scale", StringComparison.Ordinal)));
    }

    [Fact]
    public void Config_json_keeps_its_text_and_gains_the_quantization()
    {
        using TestCheckpoint checkpoint = TestCheckpoint.Dense();
        string before = File.ReadAllText(checkpoint.PathOf("config.json"));

        checkpoint.Quantize();

        string after = File.ReadAllText(Path.Combine(checkpoint.Output, "config.json"));
        Assert.StartsWith(before.TrimEnd().TrimEnd('}').TrimEnd(), after, StringComparison.Ordinal);
        Assert.Equal("compressed", JsonText.Parse(Encoding.UTF8.GetBytes(after), "c").Get("quantization_config", "quantization_status")!.Value.GetString());
    }

    [Fact]
    public void Side_files_are_carried_and_other_weights_are_named_as_left_out()
    {
        using TestCheckpoint checkpoint = TestCheckpoint.Dense();
        Directory.CreateDirectory(checkpoint.PathOf("assets"));
        File.WriteAllText(checkpoint.PathOf("assets/logo.svg"), "<svg/>");
        File.WriteAllText(checkpoint.PathOf("README.md"), "# card");
        File.WriteAllText(checkpoint.PathOf("pytorch_model.bin"), "weights");
        Directory.CreateDirectory(checkpoint.PathOf(".git"));
        File.WriteAllText(checkpoint.PathOf(".git/HEAD"), "ref");

        Dictionary<string, byte[]> result = checkpoint.Quantize();

        Assert.Equal(
            ["README.md", "assets/logo.svg", "bitsmith.json", "config.json", "generation_config.json", "model.safetensors", "tokenizer_config.json"],
            result.Keys.Order(StringComparer.Ordinal));
        Assert.Equal(["pytorch_model.bin"], ManifestFile.Load(Path.Combine(checkpoint.Output, Manifest.FileName)).LeftOut);
    }

    [Fact]
    public void Threads_do_not_change_a_byte()
    {
        using TestCheckpoint checkpoint = TestCheckpoint.Dense(shards: 2);

        Dictionary<string, byte[]> one = checkpoint.Quantize(checkpoint.Options() with { Threads = 1 });
        Dictionary<string, byte[]> five = checkpoint.Quantize(checkpoint.Options() with { Threads = 5, Force = true });

        TestCheckpoint.AssertSame(one, five);
    }

    [Fact]
    public void A_small_shard_limit_gives_several_files_with_an_index_and_keeps_scales_beside_codes()
    {
        using TestCheckpoint checkpoint = TestCheckpoint.Dense();

        checkpoint.Quantize(checkpoint.Options() with { MaxShardBytes = 200_000 });

        using CheckpointFolder result = CheckpointFolder.Open(checkpoint.Output);
        Assert.True(result.Files.Count > 3);
        foreach (SafetensorsFile file in result.Files)
        {
            string[] names = [.. file.Header.Tensors.Select(tensor => tensor.Name)];
            Assert.All(names.Where(name => name.EndsWith("_scale", StringComparison.Ordinal)), name => Assert.Contains(name[..^6], names));
            Assert.Equal("pt", file.Header.Metadata["format"]);
        }
    }

    [Fact]
    public void The_manifest_as_recipe_makes_the_same_bytes_again()
    {
        using TestCheckpoint checkpoint = TestCheckpoint.Dense();
        Dictionary<string, byte[]> first = checkpoint.Quantize(checkpoint.Options("fp8-block-32") with { Encoder = WeightEncoder.Best, MaxShardBytes = 300_000 });
        Manifest manifest = ManifestFile.Load(Path.Combine(checkpoint.Output, Manifest.FileName));

        Dictionary<string, byte[]> second = checkpoint.Quantize(checkpoint.Options() with
        {
            Output = checkpoint.Output + "2",
            Recipe = manifest.Recipe,
            Encoder = manifest.Options.Encoder,
            MaxShardBytes = manifest.Options.MaxShardBytes,
        });

        TestCheckpoint.AssertSame(first, second);
    }

    [Fact]
    public void The_manifest_states_lineage_and_loss()
    {
        using TestCheckpoint checkpoint = TestCheckpoint.Dense();
        Dictionary<string, byte[]> result = checkpoint.Quantize();

        Manifest manifest = ManifestFile.Load(Path.Combine(checkpoint.Output, Manifest.FileName));

        Assert.Equal(TestCheckpoint.Files(checkpoint.Model).Keys.Order(StringComparer.Ordinal), manifest.Source.Select(file => file.File));
        Assert.All(manifest.Source, file => Assert.Equal(FileHash.Compute(checkpoint.PathOf(file.File)).Sha256, file.Sha256));
        Assert.Equal(result.Keys.Where(file => file != Manifest.FileName).Order(StringComparer.Ordinal), manifest.Output.Select(file => file.File));
        Assert.Equal(12, manifest.Tensors.Count);
        Assert.All(manifest.Tensors, tensor => Assert.InRange(tensor.SnrDb!.Value, 29, 33));
    }

    [Fact]
    public void The_best_encoder_says_what_it_gained()
    {
        using TestCheckpoint checkpoint = TestCheckpoint.Dense();

        checkpoint.Quantize(checkpoint.Options() with { Encoder = WeightEncoder.Best });

        Manifest manifest = ManifestFile.Load(Path.Combine(checkpoint.Output, Manifest.FileName));
        Assert.True(manifest.Totals.GainDb > 0);
        Assert.All(manifest.Tensors, tensor => Assert.True(tensor.GainDb >= 0));
    }

    [Theory]
    [InlineData(float.NaN)]
    [InlineData(float.PositiveInfinity)]
    public void A_weight_that_is_not_finite_is_an_error_that_names_its_place(float value)
    {
        using TestCheckpoint checkpoint = TestCheckpoint.Dense();
        checkpoint.Poke("model.layers.1.mlp.gate_up_proj.weight", (700 * 256) + 13, value);

        CheckpointException problem = Assert.Throws<CheckpointException>(() => checkpoint.Quantize());

        Assert.Contains("model.layers.1.mlp.gate_up_proj.weight", problem.Message, StringComparison.Ordinal);
        Assert.Contains("row 700, column 13", problem.Message, StringComparison.Ordinal);
        Assert.False(Directory.Exists(checkpoint.Output));
    }

    [Fact]
    public void A_weight_that_is_not_finite_but_not_encoded_is_carried_over()
    {
        using TestCheckpoint checkpoint = TestCheckpoint.Dense();
        checkpoint.Poke("model.embed_tokens.weight", 5, float.NaN);

        checkpoint.Quantize();

        Assert.True(Directory.Exists(checkpoint.Output));
    }

    [Fact]
    public void A_source_that_is_already_quantized_is_refused()
    {
        using TestCheckpoint checkpoint = TestCheckpoint.Dense();
        checkpoint.Quantize();

        RequestException problem = Assert.Throws<RequestException>(
            () => checkpoint.Quantize(checkpoint.Options() with { Model = checkpoint.Output, Output = checkpoint.Output + "2" }));

        Assert.Contains("already quantized", problem.Message, StringComparison.Ordinal);
    }

    [Theory]
    [InlineData("")]
    [InlineData("/inside")]
    [InlineData("/..")]
    public void An_output_that_overlaps_the_source_is_refused(string suffix)
    {
        using TestCheckpoint checkpoint = TestCheckpoint.Dense();
        byte[] before = File.ReadAllBytes(checkpoint.PathOf("model.safetensors"));

        Assert.Throws<RequestException>(() => checkpoint.Quantize(checkpoint.Options() with { Output = checkpoint.Model + suffix, Force = true }));

        Assert.Equal(before, File.ReadAllBytes(checkpoint.PathOf("model.safetensors")));
    }

    [Fact]
    public void A_link_to_the_source_does_not_hide_it()
    {
        using TestCheckpoint checkpoint = TestCheckpoint.Dense();
        string link = Path.Combine(checkpoint.Root, "link");
        Directory.CreateSymbolicLink(link, checkpoint.Model);

        Assert.Throws<RequestException>(() => checkpoint.Quantize(checkpoint.Options() with { Output = link, Force = true }));
    }

    [Fact]
    public void An_existing_output_is_replaced_only_with_force()
    {
        using TestCheckpoint checkpoint = TestCheckpoint.Dense();
        Directory.CreateDirectory(checkpoint.Output);
        File.WriteAllText(Path.Combine(checkpoint.Output, "mine.txt"), "precious");

        Assert.Throws<RequestException>(() => checkpoint.Quantize());
        Assert.Equal("precious", File.ReadAllText(Path.Combine(checkpoint.Output, "mine.txt")));

        Dictionary<string, byte[]> result = checkpoint.Quantize(checkpoint.Options() with { Force = true });
        Assert.DoesNotContain("mine.txt", result.Keys);
        Assert.Equal(["model", "out"], Directory.EnumerateFileSystemEntries(checkpoint.Root).Select(path => Path.GetFileName(path)).Order());
    }

    [Fact]
    public void Too_little_memory_is_refused_before_the_work()
    {
        using TestCheckpoint checkpoint = TestCheckpoint.Dense();

        RequestException problem = Assert.Throws<RequestException>(() => checkpoint.Quantize(checkpoint.Options() with { MaxMemoryBytes = 1 << 20 }));

        Assert.Contains("--max-memory", problem.Message, StringComparison.Ordinal);
    }

    private static Dictionary<string, byte[]> Contents(CheckpointFolder folder) => folder.Files
        .SelectMany(file => file.Header.Tensors.Select(tensor => (tensor.Name, file.View(tensor).ToArray()))).ToDictionary();
}
