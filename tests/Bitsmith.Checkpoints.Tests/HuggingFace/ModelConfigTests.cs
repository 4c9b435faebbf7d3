using System.Text;
using Bitsmith.Checkpoints.HuggingFace;
using Bitsmith.Checkpoints.Json;

namespace Bitsmith.Checkpoints.Tests.HuggingFace;

public sealed class ModelConfigTests
{
    [Fact]
    public void A_text_models_sizes_stand_at_the_root()
    {
        ModelConfig config = Create("""{"model_type":"glm4_moe","architectures":["Glm4MoeForCausalLM"],"num_hidden_layers":46,"num_nextn_predict_layers":1}""");
        Assert.Equal("glm4_moe", config.ModelType);
        Assert.Equal(["Glm4MoeForCausalLM"], config.Architectures);
        Assert.Equal((46, 1), (config.Layers, config.MtpLayers));
        Assert.Null(config.VisionModel);
        Assert.False(config.IsQuantized);
    }

    [Fact]
    public void A_vision_language_models_sizes_stand_in_text_config()
    {
        ModelConfig config = Create("""{"model_type":"glm4v","num_hidden_layers":1,"text_config":{"num_hidden_layers":40},"vision_config":{"depth":24}}""");
        Assert.Equal(40, config.Layers);
        Assert.Equal(24, config.VisionModel!.Value.GetProperty("depth").GetInt32());
        Assert.Equal(0, config.MtpLayers);
        Assert.Empty(config.Architectures);
    }

    [Theory]
    [InlineData("\"46\"")]
    [InlineData("46.5")]
    [InlineData("null")]
    [InlineData("4294967296")]
    public void A_number_of_layers_that_is_no_whole_number_counts_as_absent(string layers) =>
        Assert.Null(Create($$"""{"model_type":"glm4","num_hidden_layers":{{layers}} }""").Layers);

    [Theory]
    [InlineData("{}", true)]
    [InlineData("{\"quant_method\":\"fp8\"}", true)]
    [InlineData("null", false)]
    public void A_quantization_config_that_is_an_object_means_quantized(string value, bool expected) =>
        Assert.Equal(expected, Create($$"""{"model_type":"glm4","quantization_config":{{value}} }""").IsQuantized);

    private static ModelConfig Create(string json) => ModelConfig.Create(JsonText.Parse(Encoding.UTF8.GetBytes(json), "config.json"));
}
