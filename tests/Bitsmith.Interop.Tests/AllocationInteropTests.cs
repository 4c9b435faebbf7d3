using System.Text.Json;
using Bitsmith.Checkpoints.Gguf;
using Bitsmith.Quantization.Allocation;
using Bitsmith.Quantization.Conversion;
using Bitsmith.Quantization.Jobs;
using Bitsmith.Quantization.Mixes;
using Bitsmith.Quantization.Tests.Conversion;

namespace Bitsmith.Interop.Tests;

public sealed class AllocationInteropTests
{
    [Fact]
    public void Llama_cpp_loads_a_file_of_a_target_and_llama_quantize_makes_one_of_the_same_types_from_the_exported_list()
    {
        using Peers peers = new();
        TinyModel.Copy("samples/glm-4.6v-mini", peers.Here("source"));
        using (GgufConversion conversion = GgufConversion.Prepare(new GgufConversionOptions { Model = peers.Here("source"), Output = peers.Here("model.gguf") }))
        {
            conversion.Run(null, TestContext.Current.CancellationToken);
        }

        GgufJobOptions job = new() { Model = peers.Here("model.gguf"), Output = peers.Here("ours.gguf"), Mix = GgufMix.All[0] };
        AllocationPlan plan = GgufAllocator.Allocate(job, new AllocationOptions { Target = AllocationTarget.Bits(5) }, null, TestContext.Current.CancellationToken);
        plan.SaveTypes(peers.Here("types.txt"), job.MixOptions);
        using (GgufQuantizationJob ours = GgufQuantizationJob.Prepare(GgufAllocator.Apply(plan, job)))
        {
            ours.Run(null, TestContext.Current.CancellationToken);
        }

        (int code, string output) = peers.Program("llama-quantize", "--tensor-type-file", "@types.txt", "@model.gguf", "@theirs.gguf", plan.Scheme);
        Assert.True(code == 0, output);
        Assert.Equal(TypesOf(peers.Here("ours.gguf")), TypesOf(peers.Here("theirs.gguf")));
        File.WriteAllText(peers.Here("files.json"), JsonSerializer.Serialize((string[])[peers.Inside("ours.gguf")]));
        (code, output) = peers.Run("quantize_gguf.py", "load", "@files.json", "-");
        Assert.True(code == 0, output);

        static Dictionary<string, string> TypesOf(string path)
        {
            using GgufModel model = GgufModel.Open(path);
            return model.Tensors.ToDictionary(tensor => tensor.Name, tensor => tensor.Type.Name);
        }
    }
}
