using Bitsmith.Checkpoints.Json;
using Bitsmith.Quantization.Packaging;
using Bitsmith.Quantization.Recipes;

namespace Bitsmith.Quantization.Tests.Packaging;

public sealed class PackagingCheckTests
{
    private static readonly string[] Rope = ["text_config", "rope_parameters"], Scaling = ["text_config", "rope_scaling"];

    private static CheckResult Run(TestCheckpoint checkpoint, string name, bool fix = false)
    {
        checkpoint.Quantize(checkpoint.Options() with { Force = true });
        CheckResult result = PackageInspector.Inspect(checkpoint.Output, fix).Results.Single(check => check.Name == name);
        if (result.Verdict == Verdict.Fixed)
        {
            Assert.Equal(Verdict.Pass, PackageInspector.Inspect(checkpoint.Output, false).Results.Single(check => check.Name == name).Verdict);
        }

        return result;
    }

    private static JsonText Config(TestCheckpoint checkpoint) => JsonText.Load(Path.Combine(checkpoint.Output, "config.json"));

    [Fact]
    public void One_complete_rope_dictionary_passes()
    {
        using TestCheckpoint checkpoint = TestCheckpoint.Vision();

        Assert.Equal(Verdict.Pass, Run(checkpoint, "rope-fields").Verdict);
    }

    [Fact]
    public void A_second_rope_dictionary_that_hides_theta_is_repaired_into_one()
    {
        using TestCheckpoint checkpoint = TestCheckpoint.Vision();
        checkpoint.EditConfig(config => config.With(Scaling, """{"mrope_section": [4, 6, 6], "type": "default"}"""));

        CheckResult failed = Run(checkpoint, "rope-fields");
        Assert.Equal(Verdict.Fail, failed.Verdict);
        Assert.Contains("rope_theta, partial_rotary_factor", failed.Evidence, StringComparison.Ordinal);

        Assert.Equal(Verdict.Fixed, Run(checkpoint, "rope-fields", fix: true).Verdict);
        Assert.Null(Config(checkpoint).Get(Scaling));
        Assert.Equal("500000.0", Config(checkpoint).Get([.. Rope, "rope_theta"])!.Value.GetRawText());
    }

    [Fact]
    public void A_doubled_mrope_section_is_halved()
    {
        using TestCheckpoint checkpoint = TestCheckpoint.Vision();
        checkpoint.EditConfig(config => config.With([.. Rope, "mrope_section"], "[8, 12, 12]"));

        Assert.Contains("doubled", Run(checkpoint, "rope-fields").Evidence, StringComparison.Ordinal);
        Assert.Equal(Verdict.Fixed, Run(checkpoint, "rope-fields", fix: true).Verdict);
        Assert.Equal("[4, 6, 6]", Config(checkpoint).Get([.. Rope, "mrope_section"])!.Value.GetRawText());
    }

    [Fact]
    public void A_missing_partial_factor_is_put_back_where_the_class_default_is_wrong()
    {
        using TestCheckpoint checkpoint = TestCheckpoint.Vision();
        checkpoint.EditConfig(config => config.Without([.. Rope, "partial_rotary_factor"]));

        Assert.Equal(Verdict.Fail, Run(checkpoint, "rope-fields").Verdict);
        Assert.Equal(Verdict.Fixed, Run(checkpoint, "rope-fields", fix: true).Verdict);
        Assert.Equal("0.5", Config(checkpoint).Get([.. Rope, "partial_rotary_factor"])!.Value.GetRawText());
    }

    [Fact]
    public void Text_models_with_top_level_rope_fields_pass()
    {
        using TestCheckpoint checkpoint = TestCheckpoint.Dense();

        Assert.Equal(Verdict.Pass, Run(checkpoint, "rope-fields").Verdict);
    }

    [Theory]
    [InlineData(null, Verdict.Fail, Verdict.Fail)]
    [InlineData("""{"image_processor_type": "Glm46VImageProcessor", "processor_class": "Glm46VProcessor"}""", Verdict.Pass, Verdict.Pass)]
    [InlineData("""{"image_processor_type": "Glm4vImageProcessor"}""", Verdict.Pass, Verdict.Pass)]
    [InlineData("""{"image_processor_type": "Glm46VImageProcessor"}""", Verdict.Fail, Verdict.Fixed)]
    [InlineData("""{"patch_size": 14}""", Verdict.Fail, Verdict.Fixed)]
    [InlineData("""{"image_processor_type": "Qwen2VLImageProcessor"}""", Verdict.Fail, Verdict.Fail)]
    public void The_processor_is_one_that_the_client_finds(string? file, Verdict asIs, Verdict fixing)
    {
        using TestCheckpoint checkpoint = TestCheckpoint.VisionWithoutProcessor();
        if (file is not null)
        {
            File.WriteAllText(checkpoint.PathOf("preprocessor_config.json"), file);
        }

        Assert.Equal(asIs, Run(checkpoint, "processor-type").Verdict);
        Assert.Equal(fixing, Run(checkpoint, "processor-type", fix: true).Verdict);
    }

    [Theory]
    [InlineData("{}", Verdict.Warning, Verdict.Fixed)]
    [InlineData("""{"model_input_names": ["input_ids", "token_type_ids"]}""", Verdict.Fail, Verdict.Fixed)]
    [InlineData("""{"model_input_names": ["input_ids", "attention_mask"]}""", Verdict.Pass, Verdict.Pass)]
    public void Token_type_ids_are_not_emitted(string file, Verdict asIs, Verdict fixing)
    {
        using TestCheckpoint checkpoint = TestCheckpoint.Vision();
        File.WriteAllText(checkpoint.PathOf("tokenizer_config.json"), file);

        Assert.Equal(asIs, Run(checkpoint, "token-type-ids").Verdict);
        Assert.Equal(fixing, Run(checkpoint, "token-type-ids", fix: true).Verdict);
    }

    [Fact]
    public void Full_names_alone_do_not_keep_vllm_from_the_vision_tower()
    {
        using TestCheckpoint checkpoint = TestCheckpoint.Vision();
        Assert.Equal(Verdict.Pass, Run(checkpoint, "vision-ignore").Verdict);
        string path = Path.Combine(checkpoint.Output, "config.json");
        JsonText config = JsonText.Load(path);
        File.WriteAllBytes(path, config.With(["quantization_config", "ignore"], """["lm_head", "re:model\\.visual.*"]""").Utf8.ToArray());

        CheckResult failed = PackageInspector.Inspect(checkpoint.Output, false).Results.Single(check => check.Name == "vision-ignore");
        Assert.Equal(Verdict.Fail, failed.Verdict);
        Assert.Contains("model.visual.blocks.0.attn.qkv", failed.Modules!);
        Assert.Equal(Verdict.Fixed, PackageInspector.Inspect(checkpoint.Output, true).Results.Single(check => check.Name == "vision-ignore").Verdict);
        Assert.Equal(Verdict.Pass, PackageInspector.Inspect(checkpoint.Output, false).Results.Single(check => check.Name == "vision-ignore").Verdict);
    }

    [Fact]
    public void A_quantized_vision_tower_is_named_module_by_module()
    {
        using TestCheckpoint checkpoint = TestCheckpoint.Vision();
        checkpoint.Quantize(checkpoint.Options() with { Recipe = new Recipe("r", Presets.Get("fp8-block").Groups, ["lm_head"]) });

        CheckResult check = PackageInspector.Inspect(checkpoint.Output, false).Results.Single(check => check.Name == "vision-ignore");

        Assert.Equal(Verdict.Fail, check.Verdict);
        Assert.Equal(6, check.Modules!.Count);
    }

    [Fact]
    public void Weights_that_transformers_misreads_are_named_and_kept_with_fix()
    {
        using TestCheckpoint checkpoint = TestCheckpoint.Dense();

        CheckResult failed = Run(checkpoint, "block-layout");
        Assert.Equal(Verdict.Fail, failed.Verdict);
        Assert.Contains("model.layers.0.mlp.down_proj", failed.Modules!);

        checkpoint.Quantize(checkpoint.Options() with { Force = true, Fix = true });
        Assert.All(PackageInspector.Inspect(checkpoint.Output, false).Results, check => Assert.NotEqual(Verdict.Fail, check.Verdict));
    }

    [Fact]
    public void Input_features_that_do_not_fill_activation_groups_are_named()
    {
        using TestCheckpoint checkpoint = TestCheckpoint.Dense();

        Assert.Equal(["model.layers.0.mlp.down_proj", "model.layers.1.mlp.down_proj"], Run(checkpoint, "activation-groups").Modules!);
    }

    [Fact]
    public void Small_blocks_warn_that_vllm_groups_activations_by_the_block()
    {
        using TestCheckpoint checkpoint = TestCheckpoint.Moe();
        checkpoint.Quantize(checkpoint.Options("fp8-block-32"));

        CheckResult check = PackageInspector.Inspect(checkpoint.Output, false).Results.Single(check => check.Name == "activation-groups");

        Assert.Equal(Verdict.Warning, check.Verdict);
        Assert.Contains("128 stated, 32 used by vLLM", check.Evidence, StringComparison.Ordinal);
    }

    [Fact]
    public void Quantized_experts_are_for_vllm_only()
    {
        using TestCheckpoint checkpoint = TestCheckpoint.Moe();

        Assert.Equal(Verdict.Warning, Run(checkpoint, "per-expert-moe").Verdict);
        Assert.Equal(Verdict.Pass, Run(checkpoint, "mtp-layer").Verdict);
    }

    [Fact]
    public void Experts_with_zero_points_are_for_no_client()
    {
        using TestCheckpoint checkpoint = TestCheckpoint.Moe();
        checkpoint.Quantize(checkpoint.Options() with { Recipe = Presets.WithGroupSize(Presets.Get("w4a16-asym"), 32), Fix = true });

        CheckResult check = PackageInspector.Inspect(checkpoint.Output, false).Results.Single(check => check.Name == "per-expert-moe");
        Assert.Equal(Verdict.Fail, check.Verdict);
        Assert.Contains("symmetric", check.Evidence, StringComparison.Ordinal);
        Assert.NotEmpty(check.Modules!);
    }

    [Theory]
    [InlineData("re:.*k_proj")]
    [InlineData("model.layers.1.self_attn.v_proj")]
    public void Members_of_a_fused_layer_must_share_a_scheme(string ignore)
    {
        using TestCheckpoint checkpoint = TestCheckpoint.Dense();
        checkpoint.Quantize(checkpoint.Options() with { Recipe = Presets.Get("fp8-block") with { Ignore = [ignore] } });

        CheckResult check = PackageInspector.Inspect(checkpoint.Output, false).Results.Single(check => check.Name == "fused-layers");

        Assert.Equal(Verdict.Fail, check.Verdict);
        Assert.Contains("model.layers.1.self_attn.q_proj", check.Modules!);
    }

    [Fact]
    public void Tensor_parallel_sizes_that_split_blocks_are_named()
    {
        using TestCheckpoint checkpoint = TestCheckpoint.Moe();

        CheckResult check = Run(checkpoint, "tensor-parallel");

        Assert.Equal(Verdict.Warning, check.Verdict);
        Assert.Contains("2, 4, 8", check.Evidence, StringComparison.Ordinal);
    }
}
