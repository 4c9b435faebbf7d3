using System.Text;
using Bitsmith.Checkpoints.CompressedTensors;
using Bitsmith.Checkpoints.HuggingFace;
using Bitsmith.Checkpoints.Tests.Support;

namespace Bitsmith.Checkpoints.Tests.HuggingFace;

public sealed class CheckpointFolderFuzzTests
{
    private const int Runs = 2000;

    private const string Config = """
        {"model_type":"glm4","architectures":["Glm4ForCausalLM",null],"num_hidden_layers":2,"num_nextn_predict_layers":1,
         "text_config":{"num_hidden_layers":4},"vision_config":{"depth":3},
         "quantization_config":{"config_groups":{"group_0":{"format":"float-quantized","targets":["Linear"],
           "input_activations":{"num_bits":8,"type":"float","strategy":"group","group_size":128,"dynamic":true,"observer":null},
           "weights":{"num_bits":8,"type":"float","strategy":"block","block_structure":[32,32],"symmetric":true,"scale_dtype":null}}},
           "format":"float-quantized","ignore":["lm_head"],"quant_method":"compressed-tensors","quantization_status":"compressed"}}
        """;

    private const string Index = """
        {"metadata":{"total_size":12},"weight_map":{"a":"model-00001-of-00002.safetensors","b":"model-00001-of-00002.safetensors","c":"model-00002-of-00002.safetensors"}}
        """;

    [Theory]
    [InlineData("config.json", Config, false)]
    [InlineData("config.json", Config, true)]
    [InlineData("model.safetensors.index.json", Index, false)]
    [InlineData("model.safetensors.index.json", Index, true)]
    public void A_folder_with_a_damaged_or_misleading_file_opens_or_is_refused(string name, string content, bool wellFormed)
    {
        int seed = Random.Shared.Next(), opened = 0;
        Random random = new(seed);
        using ModelFolder model = ModelFolder.Sharded();
        model.Write("config.json", Config);
        byte[] valid = Encoding.UTF8.GetBytes(content);
        for (int run = 0; run < Runs; run++)
        {
            byte[] damaged = wellFormed ? Encoding.UTF8.GetBytes(Mutation.Misplace(content, random)) : Mutation.Damage(valid, valid.Length, random);
            model.Write(name, damaged);
            try
            {
                using CheckpointFolder folder = CheckpointFolder.Open(model.Path);
                Assert.NotNull(folder.Config.ModelType);
                Assert.Equal(["a", "b", "c"], folder.Tensors.Select(tensor => tensor.Name));
                QuantizationConfig? quantization = QuantizationConfig.Read(folder.Config.Text, "config.json");
                Assert.All(quantization?.Groups ?? [], group =>
                {
                    Assert.NotNull(group.Weights.Type);
                    Assert.NotNull(group.Weights.Strategy);
                });
                _ = quantization?.ToJson();
                opened++;
            }
            catch (CheckpointException refusal)
            {
                Assert.NotEmpty(refusal.Path);
            }
            catch (Exception other) when (other is not Xunit.Sdk.IAssertionException)
            {
                Assert.Fail($"seed {seed}, run {run}: {Encoding.UTF8.GetString(damaged)}: {other}");
            }
        }

        Assert.InRange(opened, 1, Runs - 1);
    }
}
