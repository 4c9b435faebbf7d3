using Bitsmith.Checkpoints;
using Bitsmith.Checkpoints.Safetensors;
using Bitsmith.Quantization.Modules;
using Bitsmith.Quantization.Planning;
using Bitsmith.Quantization.Recipes;
using Bitsmith.Tensors.ElementTypes;

namespace Bitsmith.Quantization.Tests.Planning;

public sealed class PlannerTests
{
    private static QuantizationPlan Plan(TestCheckpoint checkpoint, Recipe recipe, PlanOptions? options = null) =>
        Planner.Create(checkpoint.Modules(), checkpoint.Tensors, recipe, options ?? new PlanOptions(), checkpoint.Model);

    private static Recipe Preset(params string[] ignore) => Presets.Get("fp8-block") with { Ignore = ignore };

    private static Recipe Custom(params string[] ignore) => new("r.yaml", Presets.Get("fp8-block-32").Groups, ignore);

    [Fact]
    public void The_ignore_list_has_the_librarys_names_in_its_order_and_the_pattern_for_vllm()
    {
        using TestCheckpoint checkpoint = TestCheckpoint.Vision();

        Assert.Equal(
            [
                "model.visual.blocks.0.attn.qkv", "model.visual.blocks.0.attn.proj", "model.visual.blocks.0.mlp.gate_proj",
                "model.visual.blocks.0.mlp.up_proj", "model.visual.blocks.0.mlp.down_proj", "model.visual.merger.proj", "lm_head", @"re:.*visual\..*",
            ],
            Plan(checkpoint, Preset()).Config.Ignore);
    }

    [Fact]
    public void The_router_is_listed_and_the_mtp_layer_is_covered_by_one_pattern()
    {
        using TestCheckpoint checkpoint = TestCheckpoint.Moe();

        QuantizationPlan plan = Plan(checkpoint, Preset());

        Assert.Equal(["model.layers.1.mlp.gate", "lm_head", @"re:model\.layers\.2\..*"], plan.Config.Ignore);
        Assert.All(plan.Rows.Where(row => row.Module.Part == ModelPart.Mtp), row => Assert.False(row.IsEncoded));
        Assert.Equal(10, plan.EncodedModules);
    }

    [Fact]
    public void Codes_keep_the_weights_name_and_scales_stand_behind_them_in_the_weights_type()
    {
        using TestCheckpoint checkpoint = TestCheckpoint.Dense(type: ElementType.F16);

        PlanRow row = Plan(checkpoint, Custom()).Rows.Single(row => row.Source.Name == "model.layers.1.mlp.down_proj.weight");

        Assert.Equal(["F8_E4M3 [256, 416]", "F16 [8, 13]"], row.Outputs.Select(output => output.Describe()));
        Assert.Equal("model.layers.1.mlp.down_proj.weight_scale", row.Outputs[1].Name);
    }

    [Fact]
    public void A_bias_of_an_encoded_linear_is_kept()
    {
        using TestCheckpoint checkpoint = TestCheckpoint.Dense();

        PlanRow row = Plan(checkpoint, Preset()).Rows.Single(row => row.Source.Name == "model.layers.0.self_attn.k_proj.bias");

        Assert.False(row.IsEncoded);
        Assert.Equal([row.Source], row.Outputs);
    }

    [Fact]
    public void The_mistake_of_the_published_release_is_an_error_that_shows_the_real_paths()
    {
        using TestCheckpoint checkpoint = TestCheckpoint.Vision();

        RecipeException problem = Assert.Throws<RecipeException>(() => Plan(checkpoint, Custom("re:model.vision_tower.*")));

        Assert.Contains("'re:model.vision_tower.*' matches no module", problem.Message, StringComparison.Ordinal);
        Assert.Contains("model.visual", problem.Message, StringComparison.Ordinal);
        Assert.Contains("--allow-unmatched", problem.Message, StringComparison.Ordinal);
    }

    [Theory]
    [InlineData("lm_heed", "lm_head")]
    [InlineData("re:model.language_model.layers.*.mlp.down_prj", "model.language_model.layers.0.mlp.down_proj")]
    [InlineData("re:.*multi_modal_projector.*", "model.visual.merger")]
    public void A_misspelt_pattern_is_answered_with_the_closest_path(string pattern, string closest)
    {
        using TestCheckpoint checkpoint = TestCheckpoint.Vision();

        Assert.Contains(closest, NameSuggestions.Closest(pattern, checkpoint.Modules()));
    }

    [Fact]
    public void Permission_turns_an_unmatched_pattern_into_a_warning()
    {
        using TestCheckpoint checkpoint = TestCheckpoint.Vision();

        QuantizationPlan plan = Plan(checkpoint, Custom("re:model.vision_tower.*"), new PlanOptions(AllowUnmatched: true));

        Assert.Contains("vision_tower", Assert.Single(plan.Warnings), StringComparison.Ordinal);
    }

    [Theory]
    [InlineData("model.norm")]
    [InlineData("re:.*input_layernorm$")]
    [InlineData("model.embed_tokens")]
    [InlineData("re:model.layers.1$")]
    [InlineData("Glm4RMSNorm")]
    [InlineData("Embedding")]
    public void A_pattern_may_match_a_module_that_could_not_be_quantized_anyway(string pattern)
    {
        using TestCheckpoint checkpoint = TestCheckpoint.Dense();

        Assert.Empty(Plan(checkpoint, Custom("lm_head", pattern)).Warnings);
    }

    [Fact]
    public void A_pattern_is_anchored_at_the_start_only()
    {
        using TestCheckpoint checkpoint = TestCheckpoint.Dense();

        QuantizationPlan plan = Plan(checkpoint, Custom("re:model.layers.0"));

        Assert.DoesNotContain(plan.Rows, row => row.IsEncoded && row.Module.Name.StartsWith("model.layers.0.", StringComparison.Ordinal));
        Assert.Throws<RecipeException>(() => Plan(checkpoint, Custom("re:layers.0")));
    }

    [Fact]
    public void An_exact_name_wins_over_a_regular_expression_and_that_over_a_class()
    {
        using TestCheckpoint checkpoint = TestCheckpoint.Dense();
        RecipeGroup fallback = Presets.Get("fp8-block").Groups[0], pattern = fallback with { Targets = ["re:.*down_proj$"] }, exact = Presets.Get("fp8-block-32").Groups[0] with { Targets = ["model.layers.1.mlp.down_proj"] };

        QuantizationPlan plan = Plan(checkpoint, new Recipe("r", [fallback, pattern, exact], ["lm_head"]));

        Assert.Equal("target: model.layers.1.mlp.down_proj", RuleOf("model.layers.1.mlp.down_proj.weight"));
        Assert.Equal("target: re:.*down_proj$", RuleOf("model.layers.0.mlp.down_proj.weight"));
        Assert.Equal("target: Linear", RuleOf("model.layers.0.self_attn.q_proj.weight"));

        string RuleOf(string tensor) => plan.Rows.Single(row => row.Source.Name == tensor).Rule;
    }

    [Fact]
    public void Experts_in_one_tensor_are_refused_with_the_layout_that_is_needed()
    {
        using TestCheckpoint checkpoint = TestCheckpoint.Moe();
        TensorInfo[] fused = [.. checkpoint.Tensors, new("model.layers.1.mlp.experts.gate_up_proj", ElementType.BF16, [2, 256, 256])];
        ModuleTree tree = ModuleTree.Build(checkpoint.Modules().Config, fused, "m");

        CheckpointException problem = Assert.Throws<CheckpointException>(() => Planner.Create(tree, fused, Preset(), new PlanOptions(), "m"));

        Assert.Contains("experts.0.gate_proj.weight", problem.Message, StringComparison.Ordinal);
    }

    [Fact]
    public void A_recipe_that_leaves_nothing_to_do_is_an_error()
    {
        using TestCheckpoint checkpoint = TestCheckpoint.Dense();

        Assert.Throws<RecipeException>(() => Plan(checkpoint, Custom("Linear")));
    }

    [Fact]
    public void Fix_keeps_exactly_the_weights_that_transformers_misreads()
    {
        using TestCheckpoint checkpoint = TestCheckpoint.Dense();

        QuantizationPlan plan = Plan(checkpoint, Preset(), new PlanOptions(KeepUnreadable: true));

        Assert.Equal(
            ["mlp.down_proj.weight", "mlp.gate_up_proj.weight"],
            plan.Rows.Where(row => row.Rule.StartsWith("fix:", StringComparison.Ordinal)).Select(row => string.Join('.', row.Source.Name.Split('.')[3..])).Distinct().Order());
    }
}
