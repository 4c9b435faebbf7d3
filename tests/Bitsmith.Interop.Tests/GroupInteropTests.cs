using Bitsmith.Checkpoints.Safetensors;
using Bitsmith.Models;
using Bitsmith.Models.Weights;
using Bitsmith.Quantization.Jobs;
using Bitsmith.Quantization.Recipes;
using Bitsmith.Tensors.ElementTypes;
using Bitsmith.Tensors.Formats;
using Bitsmith.Tensors.Matrices;

namespace Bitsmith.Interop.Tests;

/// <summary>Folders of 4-bit weights in the real client, and beside what the library itself compresses.</summary>
public sealed class GroupInteropTests
{
    private const string MixedRecipe = """
        QuantizationModifier:
          ignore: [lm_head, 're:model\.visual.*']
          config_groups:
            a: {targets: ['re:.*self_attn\..*_proj$'], weights: {num_bits: 4, type: float, strategy: tensor_group, group_size: 16}}
            b: {targets: ['re:.*(gate|up|gate_up)_proj$'], weights: {num_bits: 4, type: int, strategy: group, group_size: 32}}
            c: {targets: ['re:.*down_proj$'], weights: {num_bits: 4, type: int, strategy: group, group_size: 64}}
        """;

    public static TheoryData<string, string, string[]> Cases => new()
    {
        { "samples/glm-4.6v-mini", "w4a16 32", ["w4a16:32"] },
        { "samples/glm-4.6v-mini", "w4a16 64", ["w4a16:64"] },
        { "samples/glm-4.6v-mini", "w4a16 128", ["w4a16:128"] },
        { "samples/glm-4.6v-mini", "w4a16-asym 32", ["w4a16-asym:32"] },
        { "samples/glm-4.6v-mini", "w4a16-asym 128", ["w4a16-asym:128"] },
        { "samples/glm-4.6v-mini", "nvfp4a16", ["nvfp4a16"] },
        { "samples/glm-4.6v-mini", "mixed", [@"re:.*self_attn\..*_proj$=nvfp4a16", "re:.*(gate|up|gate_up)_proj$=w4a16:32", "re:.*down_proj$=w4a16:64"] },
        { "models/tiny-glm4", "nvfp4a16", ["nvfp4a16"] },
        { "models/tiny-glm4-moe", "w4a16 32", ["w4a16:32"] },
        { "models/tiny-glm4-moe", "w4a16-asym 32", ["w4a16-asym:32"] },
        { "models/tiny-glm4-moe", "nvfp4a16", ["nvfp4a16"] },
    };

    [Theory]
    [MemberData(nameof(Cases))]
    public void The_client_loads_what_either_encoder_writes_with_our_logits_and_the_librarys_bytes_are_its_own(string model, string scheme, string[] groups)
    {
        const string Ids = "1,2,3,5,8,13,21,34,55,89";
        using Peers peers = new();
        string source = Path.Combine(AppContext.BaseDirectory, model);
        Directory.CreateDirectory(peers.Here("source"));
        foreach (string file in Directory.EnumerateFiles(source))
        {
            File.Copy(file, Path.Combine(peers.Here("source"), Path.GetFileName(file)));
        }

        foreach (WeightEncoder encoder in Enum.GetValues<WeightEncoder>())
        {
            string name = encoder.ToString();
            using (QuantizationJob job = QuantizationJob.Prepare(new JobOptions { Model = source, Output = peers.Here(name), Recipe = RecipeOf(scheme), Encoder = encoder }, TestContext.Current.CancellationToken))
            {
                job.Run(null, TestContext.Current.CancellationToken);
            }

            Succeed(peers.Run("check_compressed_tensors.py", "@" + name, "--ids", Ids, "--attention", "eager", "--save", $"@{name}.logits"));
            double divergence = Divergence(peers.Here(name), [.. Ids.Split(',').Select(int.Parse)], peers.Here($"{name}.logits"));
            TestContext.Current.TestOutputHelper?.WriteLine($"{model} {scheme} {encoder}: mean KLD {divergence:g3}");
            Assert.True(divergence < 1e-4, $"{encoder}: mean KLD {divergence:g3}");
        }

        string[] arguments = [.. groups.SelectMany(group => (string[])["--group", group])];
        Succeed(peers.Run("library_compress.py", ["@source", "@library", .. arguments, "--ignore", "lm_head", "--ignore", @"re:model\.visual.*"]));
        Succeed(peers.Run("compare_folders.py", "@" + nameof(WeightEncoder.Library), "@library"));

        static void Succeed((int Code, string Output) result) => Assert.True(result.Code == 0, result.Output);
    }

    private static Recipe RecipeOf(string scheme) => scheme.Split(' ') switch
    {
        ["mixed"] => RecipeYaml.Parse(MixedRecipe, "mixed.yaml"),
        [string preset, string size] => Presets.WithGroupSize(Presets.Get(preset), int.Parse(size)),
        _ => Presets.Get(scheme),
    };

    /// <summary>The mean divergence of our next tokens, every operation rounded to BF16 as in the client, from the client's.</summary>
    private static double Divergence(string folder, int[] ids, string logits)
    {
        using ModelWeights weights = ModelWeights.Open(folder);
        LanguageModel model = LanguageModel.Create(weights, ComputeOptions.Default with { BFloat16Results = true });
        float[] hidden = model.Embed(ids);
        model.Forward(hidden, model.NewCache(ids.Length));
        float[] ours = model.Logits(hidden);
        using SafetensorsFile file = SafetensorsFile.Open(logits);
        StoredTensor stored = file.Header.Tensors.Single(tensor => tensor.Name == "logits");
        float[] theirs = new float[stored.Elements];
        ElementConversion.ToSingle(stored.Type, file.View(stored), theirs);
        Assert.Equal(theirs.Length, ours.Length);
        int vocabulary = model.Config.VocabSize;
        return Enumerable.Range(0, ids.Length).Average(
            position => NextTokens.Divergence(LogProbabilities(theirs[(position * vocabulary)..((position + 1) * vocabulary)]), ours.AsSpan(position * vocabulary, vocabulary)));
    }

    private static float[] LogProbabilities(float[] logits)
    {
        double largest = logits.Max(), normalizer = largest + Math.Log(logits.Sum(logit => Math.Exp(logit - largest)));
        return [.. logits.Select(logit => (float)(logit - normalizer))];
    }
}
