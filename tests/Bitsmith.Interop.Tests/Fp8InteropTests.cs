using Bitsmith.Quantization.Jobs;
using Bitsmith.Quantization.Recipes;

namespace Bitsmith.Interop.Tests;

public sealed class Fp8InteropTests
{
    public static TheoryData<string, string[]> Models => new()
    {
        { "samples/glm-4.6v-mini", [] },
        { "models/tiny-glm", [] },
        { "models/tiny-glm4-moe", ["--explicit-args", "--weights-only"] },
    };

    [Theory]
    [MemberData(nameof(Models))]
    public void The_client_loads_the_result_and_it_is_the_librarys_own_byte_for_byte(string model, string[] options)
    {
        using Peers peers = new();
        string source = Path.Combine(AppContext.BaseDirectory, model);
        Directory.CreateDirectory(peers.Here("source"));
        foreach (string file in Directory.EnumerateFiles(source))
        {
            File.Copy(file, Path.Combine(peers.Here("source"), Path.GetFileName(file)));
        }

        using (QuantizationJob job = QuantizationJob.Prepare(new JobOptions { Model = source, Output = peers.Here("ours"), Recipe = Presets.Get("fp8-block") }, TestContext.Current.CancellationToken))
        {
            job.Run(null, TestContext.Current.CancellationToken);
        }

        Succeed(peers.Run("check_compressed_tensors.py", ["@ours", "--ids", "1,2,3,5,8,13", .. options]));
        Succeed(peers.Run("library_compress.py", "@source", "@library", "--block", "128", "--ignore", "lm_head", "--ignore", @"re:model\.visual.*"));
        Succeed(peers.Run("compare_folders.py", "@ours", "@library"));

        static void Succeed((int Code, string Output) result) => Assert.True(result.Code == 0, result.Output);
    }
}
