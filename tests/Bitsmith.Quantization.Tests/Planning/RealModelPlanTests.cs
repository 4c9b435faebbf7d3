using System.Text;
using Bitsmith.Checkpoints.HuggingFace;
using Bitsmith.Checkpoints.Json;
using Bitsmith.Quantization.Modules;
using Bitsmith.Quantization.Planning;
using Bitsmith.Quantization.Recipes;
using Bitsmith.Synthesize;

namespace Bitsmith.Quantization.Tests.Planning;

/// <summary>Plans of the published models' tensor lists, with the numbers of the releases.</summary>
public sealed class RealModelPlanTests
{
    private static QuantizationPlan Plan(string model, Recipe recipe)
    {
        TensorList list = TensorList.Load(Path.Combine(AppContext.BaseDirectory, "tensors", model + ".json"));
        ModelConfig config = ModelConfig.Create(JsonText.Parse(Encoding.UTF8.GetBytes(list.Config.GetRawText()), model));
        ModuleTree modules = ModuleTree.Build(config, list.Tensors, model);
        return Planner.Create(modules, list.Tensors, recipe, new PlanOptions(), model);
    }

    private static Recipe FromFile(string name) => RecipeYaml.Load(Path.Combine(AppContext.BaseDirectory, "recipes", name));

    [Theory]
    [InlineData("fp8-block", null)]
    [InlineData(null, "glm-4.6v-flash-fp8.yaml")]
    public void Flash_has_240_linears_and_181_vision_tensors_and_becomes_12_4_gigabytes(string? preset, string? file)
    {
        QuantizationPlan plan = Plan("GLM-4.6V-Flash", preset is null ? FromFile(file!) : Presets.Get(preset));

        Assert.Equal(240, plan.EncodedModules);
        Assert.Equal(181, plan.Rows.Count(row => row.Module.Part == ModelPart.Vision && !row.IsEncoded));
        Assert.Equal(20_585_554_944, plan.BytesBefore);
        Assert.Equal(12_428_629_504, plan.BytesAfter);
    }

    [Fact]
    public void Air_with_the_recipe_of_its_release_encodes_the_experts_and_keeps_the_mtp_layer()
    {
        QuantizationPlan plan = Plan("GLM-4.5-Air", FromFile("glm-4.5-air-fp8-32.yaml"));

        Assert.Equal(17_280, plan.EncodedModules);
        Assert.All(plan.Rows.Where(row => row.IsEncoded), row => Assert.Contains(".mlp.experts.", row.Module.Name, StringComparison.Ordinal));
        Assert.Equal(404, plan.Rows.Count(row => row.Module.Part == ModelPart.Mtp));
        Assert.Equal(121_475_640_320, plan.BytesAfter);
    }

    [Fact]
    public void GLM_4_7_with_fp8_blocks_encodes_43364_linears()
    {
        QuantizationPlan plan = Plan("GLM-4.7", Presets.Get("fp8-block"));

        Assert.Equal(43_364, plan.EncodedModules);
        Assert.Equal(365_547_755_072, plan.BytesAfter);
    }

    [Theory]
    [InlineData("GLM-4.6V-Flash")]
    [InlineData("GLM-4.5-Air")]
    [InlineData("GLM-4.7")]
    public void Peak_memory_is_predicted_below_two_gibibytes_for_any_model(string model)
    {
        QuantizationPlan plan = Plan(model, Presets.Get("fp8-block"));

        Assert.InRange(ResourceEstimate.Predict(plan, 30_000_000, 5_000_000_000, 16).PeakMemoryBytes, 1 << 27, (2L << 30) - 1);
    }
}
