using Bitsmith.Checkpoints;
using Bitsmith.Checkpoints.CompressedTensors;
using Bitsmith.Quantization.Modules;

namespace Bitsmith.Quantization.Tests.Modules;

public sealed class ModuleTreeTests
{
    [Theory]
    [InlineData("model.language_model.layers.0.mlp.down_proj", ModuleKind.Linear, "Linear", ModelPart.Decoder)]
    [InlineData("model.language_model.layers.0.input_layernorm", ModuleKind.Norm, "Glm4vRMSNorm", ModelPart.Decoder)]
    [InlineData("model.language_model.embed_tokens", ModuleKind.Embedding, "Embedding", ModelPart.Decoder)]
    [InlineData("model.visual.embeddings.position_embedding", ModuleKind.Embedding, "Embedding", ModelPart.Vision)]
    [InlineData("model.visual.patch_embed.proj", ModuleKind.Convolution, "Conv3d", ModelPart.Vision)]
    [InlineData("model.visual.downsample", ModuleKind.Convolution, "Conv2d", ModelPart.Vision)]
    [InlineData("model.visual.merger.post_projection_norm", ModuleKind.Norm, "LayerNorm", ModelPart.Vision)]
    [InlineData("model.visual.merger.proj", ModuleKind.Linear, "Linear", ModelPart.Vision)]
    [InlineData("model.visual.blocks.0.attn", ModuleKind.Container, "", ModelPart.Vision)]
    [InlineData("lm_head", ModuleKind.Linear, "Linear", ModelPart.Head)]
    public void Modules_of_a_vision_model_are_what_transformers_makes_of_them(string name, object kind, string className, object part)
    {
        using TestCheckpoint checkpoint = TestCheckpoint.Vision();

        ModelModule module = checkpoint.Modules().Modules.Single(module => module.Name == name);

        Assert.Equal((kind, className, part), ((object)module.Kind, module.ClassName, (object)module.Part));
    }

    [Fact]
    public void The_router_and_the_mtp_layer_of_a_mixture_of_experts_are_recognized()
    {
        using TestCheckpoint checkpoint = TestCheckpoint.Moe();

        ModuleTree tree = checkpoint.Modules();

        ModelModule router = tree.Modules.Single(module => module.Name == "model.layers.1.mlp.gate");
        Assert.Equal((ModuleKind.Router, "Glm4MoeTopkRouter"), (router.Kind, router.ClassName));
        Assert.Equal([2], tree.MtpLayers);
        Assert.All(tree.Modules.Where(module => module.Name.StartsWith("model.layers.2.", StringComparison.Ordinal)), module => Assert.Equal(ModelPart.Mtp, module.Part));
    }

    [Fact]
    public void A_tied_head_without_a_tensor_is_still_a_module_that_recipes_may_name()
    {
        using TestCheckpoint checkpoint = TestCheckpoint.Dense();

        ModuleTree tree = ModuleTree.Build(
            checkpoint.Modules().Config, checkpoint.Tensors.Where(tensor => tensor.Name != "lm_head.weight"), "m");

        Assert.True(tree.Matches(new ModulePattern("lm_head")));
    }

    [Fact]
    public void An_unknown_model_type_is_an_error_that_lists_the_known_ones()
    {
        using TestCheckpoint checkpoint = TestCheckpoint.Dense();
        checkpoint.EditConfig(config => config.With(["model_type"], "\"llama\""));

        CheckpointException problem = Assert.Throws<CheckpointException>(checkpoint.Modules);

        Assert.Contains("'llama'", problem.Message, StringComparison.Ordinal);
        Assert.Contains("glm4_moe", problem.Message, StringComparison.Ordinal);
    }
}
