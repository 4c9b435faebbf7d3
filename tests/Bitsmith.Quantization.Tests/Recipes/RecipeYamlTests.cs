using Bitsmith.Checkpoints.CompressedTensors;
using Bitsmith.Quantization.Calibration.Weights;
using Bitsmith.Quantization.Recipes;
using Bitsmith.Tensors.Formats;

namespace Bitsmith.Quantization.Tests.Recipes;

public sealed class RecipeYamlTests
{
    [Fact]
    public void The_air_recipe_restates_the_release_field_by_field()
    {
        Recipe recipe = RecipeYaml.Load(Path.Combine(AppContext.BaseDirectory, "recipes", "glm-4.5-air-fp8-32.yaml"));

        RecipeGroup group = Assert.Single(recipe.Groups);
        Assert.Equal(["Linear"], group.Targets);
        Assert.Equal(
            new QuantizationArgs { NumBits = 8, Type = "float", Dynamic = "false", Symmetric = true, Strategy = "block", BlockStructure = [32, 32], Observer = "memoryless_minmax" },
            group.Weights);
        Assert.Equal(
            new QuantizationArgs { NumBits = 8, Type = "float", Strategy = "group", Symmetric = true, Dynamic = "true", Observer = null, GroupSize = 128 },
            group.InputActivations);
        Assert.Equal(
            [
                "lm_head", "model.embed_tokens", "model.norm", "re:.*input_layernorm$", "re:.*post_attention_layernorm$", "re:.*self_attn.*",
                "re:.*shared_experts.*", @"re:.*mlp\.gate$", "re:model.layers.0.*", "re:model.layers.46.*",
            ],
            recipe.Ignore);
    }

    [Fact]
    public void The_flash_recipe_is_the_fp8_block_preset_without_the_vision_tower()
    {
        Recipe recipe = RecipeYaml.Load(Path.Combine(AppContext.BaseDirectory, "recipes", "glm-4.6v-flash-fp8.yaml"));

        RecipeGroup group = Assert.Single(recipe.Groups);
        Assert.Equal(Presets.Get("fp8-block").Groups[0].Weights, group.Weights);
        Assert.Equal(Presets.Get("fp8-block").Groups[0].InputActivations, group.InputActivations);
        Assert.Equal(["lm_head", @"re:model\.visual.*"], recipe.Ignore);
    }

    [Theory]
    [InlineData("QuantizationModifier: {scheme: FP8_BLOCK, targets: Linear}")]
    [InlineData("QuantizationModifier: {scheme: fp8_block}")]
    [InlineData("QuantizationModifier: {scheme: {FP8_BLOCK: [Linear]}}")]
    [InlineData("a_stage: {b_modifiers: {QuantizationModifier: {scheme: FP8_BLOCK}}}")]
    [InlineData("QuantizationModifier: {config_groups: {g: {targets: [Linear], weights: {num_bits: 8, type: FLOAT, strategy: BLOCK, block_structure: 128x128}}}}")]
    public void Every_spelling_that_llm_compressor_reads_means_the_same(string yaml)
    {
        RecipeGroup group = Assert.Single(RecipeYaml.Parse(yaml, "r.yaml").Groups);

        Assert.Equal(["Linear"], group.Targets);
        Assert.Equal(new BlockShape(128, 128), group.Block);
    }

    [Theory]
    [InlineData("W4A16", "w4a16", "QuantizationModifier: {config_groups: {g: {targets: [Linear], format: pack-quantized, weights: {num_bits: 4, type: int, symmetric: true, strategy: group, group_size: 128, observer: minmax}}}}")]
    [InlineData("W4A16_ASYM", "w4a16-asym", "QuantizationModifier: {config_groups: {g: {targets: [Linear], weights: {num_bits: 4, type: int, symmetric: false, strategy: group, group_size: 128, zp_dtype: torch.int8}}}}")]
    [InlineData("NVFP4A16", "nvfp4a16", "QuantizationModifier: {config_groups: {g: {targets: [Linear], weights: {num_bits: 4, type: float, strategy: tensor_group, group_size: 16, scale_dtype: torch.float8_e4m3fn}}}}")]
    [InlineData("NVFP4", "nvfp4", "QuantizationModifier: {config_groups: {g: {targets: [Linear], weights: {num_bits: 4, type: float, strategy: tensor_group, group_size: 16}, input_activations: {num_bits: 4, type: float, strategy: tensor_group, group_size: 16, dynamic: local, observer: static_minmax}}}}")]
    public void The_4_bit_schemes_mean_the_same_by_name_as_a_preset_and_field_by_field(string name, string preset, string yaml)
    {
        RecipeGroup expected = Assert.Single(Presets.Get(preset).Groups);
        foreach (string text in (string[])[$"QuantizationModifier: {{scheme: {name}}}", yaml])
        {
            RecipeGroup group = Assert.Single(RecipeYaml.Parse(text, "r.yaml").Groups);
            Assert.Equal(expected.Weights, group.Weights);
            Assert.Equal(expected.InputActivations, group.InputActivations);
        }
    }

    [Fact]
    public void The_NVFP4_recipe_is_the_preset_for_the_library()
    {
        Recipe recipe = RecipeYaml.Load(Path.Combine(AppContext.BaseDirectory, "recipes", "glm-4-9b-chat-nvfp4.yaml"));

        Assert.Equal((Presets.Get("nvfp4").Groups[0].Weights, Presets.Get("nvfp4").Groups[0].InputActivations), (recipe.Groups[0].Weights, Assert.Single(recipe.Groups).InputActivations));
        Assert.Equal(["lm_head"], recipe.Ignore);
        Assert.Null(recipe.Method);
    }

    [Fact]
    public void The_AWQ_recipe_has_groups_of_32_and_can_have_others()
    {
        Recipe recipe = RecipeYaml.Load(Path.Combine(AppContext.BaseDirectory, "recipes", "glm-4.7-w4a16-awq.yaml"));

        Assert.Equal(Presets.WithGroupSize(Presets.Get("w4a16"), 32).Groups[0].Weights, Assert.Single(recipe.Groups).Weights);
        Assert.Equal(CalibrationMethod.Awq, recipe.Method);
        Assert.Equal(["lm_head"], recipe.Ignore);
        Assert.Equal(64, Presets.WithGroupSize(recipe, 64).Groups[0].Weights.GroupSize);
    }

    /// <remarks>The second is what llm-compressor itself writes beside a model that AWQ made, with GLM's mappings.</remarks>
    [Theory]
    [InlineData(CalibrationMethod.Awq, "AWQModifier: {scheme: W4A16, targets: [Linear], ignore: [lm_head]}")]
    [InlineData(CalibrationMethod.Awq, """
        default_stage:
          default_modifiers:
            AWQModifier:
              config_groups:
                group_0:
                  targets: [Linear]
                  weights: {num_bits: 4, type: int, symmetric: true, group_size: 128, strategy: group, block_structure: null, dynamic: false, actorder: null, scale_dtype: null, zp_dtype: null, observer: minmax, observer_kwargs: {}}
                  input_activations: null
                  output_activations: null
                  format: null
              targets: [Linear]
              ignore: [lm_head]
              mappings:
              - smooth_layer: re:.*input_layernorm$
                balance_layers: ['re:.*q_proj$', 're:.*k_proj$', 're:.*v_proj$']
              - smooth_layer: re:.*v_proj$
                balance_layers: ['re:.*o_proj$']
              - smooth_layer: re:.*post_attention_layernorm$
                balance_layers: ['re:.*mlp.gate$', 're:.*mlp.experts.*.gate_proj$', 're:.*mlp.experts.*.up_proj$']
              - smooth_layer: re:.*up_proj$
                balance_layers: ['re:.*down_proj$']
              duo_scaling: true
              n_grid: 20
        """)]
    [InlineData(CalibrationMethod.Awq, "s_stage: {m_modifiers: {AWQModifier: {duo_scaling: true, ignore: [lm_head]}, QuantizationModifier: {scheme: W4A16, ignore: [lm_head]}}}")]
    [InlineData(CalibrationMethod.Gptq, "GPTQModifier: {scheme: W4A16, targets: Linear, ignore: lm_head, block_size: 128, dampening_frac: 0.01, actorder: static, offload_hessians: true}")]
    [InlineData(CalibrationMethod.Gptq, "GPTQModifier: {ignore: [lm_head], config_groups: {g: {targets: [Linear], weights: {num_bits: 4, type: int, symmetric: true, strategy: group, group_size: 128, actorder: static}}}}")]
    [InlineData(CalibrationMethod.AwqGptq, "s_stage: {m_modifiers: {AWQModifier: {}, GPTQModifier: {scheme: W4A16, ignore: [lm_head]}}}")]
    [InlineData(null, "QuantizationModifier: {scheme: W4A16, ignore: [lm_head], kv_cache_scheme: null, config_groups: null}")]
    public void Modifiers_name_the_method_that_fits_the_weights(CalibrationMethod? method, string yaml)
    {
        Recipe recipe = RecipeYaml.Parse(yaml, "r.yaml");

        Assert.Equal(method, recipe.Method);
        Assert.Equal(Presets.Get("w4a16").Groups[0].Weights, Assert.Single(recipe.Groups).Weights);
        Assert.Equal(["Linear"], recipe.Groups[0].Targets);
        Assert.Equal(["lm_head"], recipe.Ignore);
    }

    [Fact]
    public void The_group_size_of_a_preset_can_be_chosen_among_those_that_clients_read()
    {
        Assert.Equal(32, Presets.WithGroupSize(Presets.Get("w4a16"), 32).Groups[0].Weights.GroupSize);
        Assert.Contains("group_size 48", Assert.Throws<RecipeException>(() => Presets.WithGroupSize(Presets.Get("w4a16"), 48)).Message, StringComparison.Ordinal);
        Assert.Contains("w4a16", Assert.Throws<RecipeException>(() => Presets.WithGroupSize(Presets.Get("fp8-block"), 64)).Message, StringComparison.Ordinal);
    }

    [Theory]
    [InlineData("QuantizationModifier:\n  scheme: FP8_BLOCK\n  ignored: [lm_head]", "line 3", "ignored")]
    [InlineData("SmoothQuantModifier:\n  scheme: W4A16", "line 2", "GPTQModifier")]
    [InlineData("s_stage:\n  m_modifiers:\n    SparseGPTModifier: {}", "line 3", "AWQModifier")]
    [InlineData("s_stage:\n  m_modifiers:\n    AWQModifier: {}", "line 1", "no modifier that quantizes")]
    [InlineData("QuantizationModifier: {scheme: W4A16}\nGPTQModifier: {scheme: W4A16}", "line 2", "2 modifiers that quantize")]
    [InlineData("QuantizationModifier: {scheme: W4A16}\nAWQModifier: {}", "line 2", "in front")]
    [InlineData("AWQModifier: {ignore: [lm_head]}\nQuantizationModifier: {scheme: W4A16}", "line 1", "ignore differs")]
    [InlineData("GPTQModifier: {scheme: W4A16, dampening_frac: 0.1}", "line 1", "dampening_frac: Bitsmith does what 0.01 means")]
    [InlineData("GPTQModifier: {scheme: W4A16, duo_scaling: true}", "line 1", "GPTQModifier.duo_scaling is not understood")]
    [InlineData("QuantizationModifier: {scheme: W4A16, actorder: static}", "line 1", "QuantizationModifier.actorder is not understood")]
    [InlineData("GPTQModifier: {config_groups: {g: {targets: [Linear], weights: {num_bits: 4, type: int, strategy: group, group_size: 32, actorder: group}}}}", "line 1", "actorder")]
    [InlineData("AWQModifier: {scheme: W4A16, duo_scaling: both}", "line 1", "duo_scaling")]
    [InlineData("AWQModifier: {scheme: W4A16, mappings: [{smooth_layer: 're:.*fc1', balance_layers: ['re:.*fc2']}]}", "line 1", "none of a GLM model's")]
    [InlineData("AWQModifier: {scheme: W4A16, mappings: [{smooth_layer: 're:.*input_layernorm$', balance_layers: ['re:.*q_proj$']}]}", "line 1", "leaves out 'post_attention_layernorm'")]
    [InlineData("QuantizationModifier:\n  scheme: W8A8", "scheme", "FP8_BLOCK")]
    [InlineData("QuantizationModifier:\n  targets: [Linear]", "line 2", "config_groups")]
    [InlineData("QuantizationModifier: {config_groups: {g: {targets: [Linear], weights: {num_bits: 4, type: int, strategy: group, group_size: 16}}}}", "group 0", "group_size 16")]
    [InlineData("QuantizationModifier: {config_groups: {g: {targets: [Linear], weights: {num_bits: 4, type: int, strategy: channel}}}}", "group 0", "num_bits 4")]
    [InlineData("QuantizationModifier: {config_groups: {g: {targets: [Linear], format: dense, weights: {num_bits: 4, type: int, strategy: group, group_size: 32}}}}", "line 1", "pack-quantized")]
    [InlineData("QuantizationModifier: {config_groups: {g: {targets: [Linear], weights: {num_bits: 4, type: float, strategy: tensor_group, group_size: 32}}}}", "group 0", "group_size 32")]
    [InlineData("QuantizationModifier: {config_groups: {g: {targets: [Linear], weights: {strategy: block, type: float, block_structure: [0, 32]}}}}", "group 0", "block_structure")]
    [InlineData("QuantizationModifier: {config_groups: {g: {weights: {strategy: block, type: float, block_structure: [32, 32]}}}}", "group 0", "targets")]
    [InlineData("QuantizationModifier: {config_groups: {g: {targets: [Linear], weights: {strategy: block, type: float, block_structure: [32, 32], bits: 8}}}}", "line 1", "bits")]
    [InlineData("QuantizationModifier: {scheme: FP8_BLOCK", "line 2", "flow mapping")]
    [InlineData("- a\n- b", "line 1", "expected keys")]
    [InlineData("QuantizationModifier: {scheme: FP8_BLOCK, kv_cache_scheme: {num_bits: 8}}", "line 1", "kv_cache_scheme")]
    public void What_is_not_understood_is_an_error_that_names_its_place(string yaml, string place, string word)
    {
        RecipeException problem = Assert.Throws<RecipeException>(() => RecipeYaml.Parse(yaml, "r.yaml"));

        Assert.StartsWith("r.yaml", problem.Message, StringComparison.Ordinal);
        Assert.Contains(place, problem.Message, StringComparison.Ordinal);
        Assert.Contains(word, problem.Message, StringComparison.Ordinal);
    }

    [Fact]
    public void An_unknown_preset_is_an_error_that_lists_the_known_ones()
    {
        RecipeException problem = Assert.Throws<RecipeException>(() => Presets.Get("fp9"));

        Assert.Contains("fp8-block, fp8-block-32", problem.Message, StringComparison.Ordinal);
    }
}
