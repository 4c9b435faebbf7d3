using Bitsmith.Checkpoints.Json;
using Bitsmith.Quantization.Manifests;
using Bitsmith.Quantization.Packaging;
using Bitsmith.Quantization.Verification;
using Bitsmith.Tensors.Formats;

namespace Bitsmith.Quantization.Tests.Verification;

public sealed class VerifierTests
{
    private static VerificationReport Verify(TestCheckpoint checkpoint, bool withBase = true, bool fix = false) =>
        Verifier.Verify(checkpoint.Output, withBase ? checkpoint.Model : null, fix, 2, null, CancellationToken.None);

    [Theory]
    [InlineData("fp8-block-32", WeightEncoder.Library)]
    [InlineData("fp8-block-32", WeightEncoder.Best)]
    public void A_result_is_sound(string scheme, WeightEncoder encoder)
    {
        using TestCheckpoint checkpoint = TestCheckpoint.Dense();
        checkpoint.Quantize(checkpoint.Options(scheme) with { Encoder = encoder, Recipe = checkpoint.Options(scheme).Recipe with { Groups = [checkpoint.Options(scheme).Recipe.Groups[0] with { InputActivations = null }] } });

        VerificationReport report = Verify(checkpoint);

        Assert.Empty(report.Findings);
        Assert.Equal(19, report.TensorsCompared);
        Assert.Equal(4, report.FilesHashed);
    }

    [Fact]
    public void One_flipped_byte_anywhere_is_found()
    {
        using TestCheckpoint checkpoint = TestCheckpoint.Vision();
        checkpoint.Quantize();
        int seed = Random.Shared.Next();
        Random random = new(seed);
        foreach (string file in Directory.EnumerateFiles(checkpoint.Output))
        {
            byte[] content = File.ReadAllBytes(file);
            for (int i = 0; i < 25; i++)
            {
                int place = random.Next(content.Length);
                byte[] flipped = (byte[])content.Clone();
                flipped[place] ^= (byte)(1 << random.Next(8));
                File.WriteAllBytes(file, flipped);

                Assert.False(Verify(checkpoint, withBase: false).IsSound, $"{Path.GetFileName(file)}, byte {place}, seed {seed}");
            }

            File.WriteAllBytes(file, content);
        }

        Assert.Empty(Verify(checkpoint).Findings);
    }

    [Fact]
    public void Every_byte_of_the_manifest_itself_counts()
    {
        using TestCheckpoint checkpoint = TestCheckpoint.Moe();
        checkpoint.Quantize();
        string path = Path.Combine(checkpoint.Output, Manifest.FileName);
        byte[] content = File.ReadAllBytes(path);
        for (int i = 0; i < content.Length; i++)
        {
            byte original = content[i];
            content[i] ^= 1;
            File.WriteAllBytes(path, content);
            Assert.Throws<Checkpoints.CheckpointException>(() => ManifestFile.Load(path));
            content[i] = original;
        }
    }

    [Fact]
    public void Without_a_manifest_a_changed_code_or_scale_is_found_by_decoding()
    {
        using TestCheckpoint checkpoint = TestCheckpoint.Vision();
        checkpoint.Quantize();
        File.Delete(Path.Combine(checkpoint.Output, Manifest.FileName));
        foreach (string tensor in (string[])["model.language_model.layers.0.self_attn.q_proj.weight", "model.language_model.layers.0.self_attn.q_proj.weight_scale", "model.language_model.norm.weight"])
        {
            using Flip flip = new(checkpoint.Output, tensor, 3);

            Finding finding = Assert.Single(Verify(checkpoint).Findings);

            Assert.StartsWith(finding.Place, tensor, StringComparison.Ordinal);
        }
    }

    [Fact]
    public void Missing_and_additional_files_are_found()
    {
        using TestCheckpoint checkpoint = TestCheckpoint.Vision();
        checkpoint.Quantize();
        File.Delete(Path.Combine(checkpoint.Output, "generation_config.json"));
        File.WriteAllText(Path.Combine(checkpoint.Output, "extra.json"), "{}");

        Assert.Equal(["extra.json", "generation_config.json"], Verify(checkpoint).Findings.Select(finding => finding.Place).Order());
    }

    [Fact]
    public void A_result_of_another_model_is_found()
    {
        using TestCheckpoint checkpoint = TestCheckpoint.Dense(seed: 1), other = TestCheckpoint.Dense(seed: 9);
        checkpoint.Quantize(checkpoint.Options("fp8-block-32"));

        VerificationReport report = Verifier.Verify(checkpoint.Output, other.Model, false, 2, null, CancellationToken.None);

        Assert.True(report.Findings.Count >= 19);
    }

    [Fact]
    public void A_result_without_the_compressed_status_is_found_and_repaired()
    {
        using TestCheckpoint checkpoint = TestCheckpoint.Vision();
        checkpoint.Quantize();
        string config = Path.Combine(checkpoint.Output, "config.json");
        File.WriteAllBytes(config, JsonText.Load(config).Without(["quantization_config", "quantization_status"]).Utf8.ToArray());
        File.Delete(Path.Combine(checkpoint.Output, Manifest.FileName));

        Assert.Contains(Verify(checkpoint).Findings, finding => finding.Place == "check quantization-status");

        VerificationReport repaired = Verify(checkpoint, fix: true);
        Assert.Empty(repaired.Findings);
        Assert.Equal(Verdict.Fixed, repaired.Checks.Single(check => check.Name == "quantization-status").Verdict);
        Assert.Empty(Verify(checkpoint).Findings);
    }

    [Fact]
    public void A_repair_keeps_the_recorded_hashes_true()
    {
        using TestCheckpoint checkpoint = TestCheckpoint.Vision();
        File.WriteAllText(checkpoint.PathOf("tokenizer_config.json"), """{"model_input_names": ["input_ids", "token_type_ids"]}""");
        File.WriteAllText(checkpoint.PathOf("preprocessor_config.json"), """{"image_processor_type": "Glm46VImageProcessor"}""");
        checkpoint.Quantize();
        Assert.Equal(["check processor-type", "check token-type-ids"], Verify(checkpoint).Findings.Select(finding => finding.Place).Where(place => place.StartsWith("check", StringComparison.Ordinal)).Order());

        Assert.Equal(2, Verify(checkpoint, fix: true).Repaired.Count);

        Assert.Empty(Verify(checkpoint).Findings);
    }

    private sealed class Flip : IDisposable
    {
        private readonly string path;
        private readonly byte[] before;

        public Flip(string folder, string tensor, int bit)
        {
            using Checkpoints.Safetensors.SafetensorsFile file = Checkpoints.Safetensors.SafetensorsFile.Open(Path.Combine(folder, "model.safetensors"));
            var place = file.Header.Tensors.Single(entry => entry.Name == tensor);
            path = file.Path;
            before = File.ReadAllBytes(path);
            byte[] changed = (byte[])before.Clone();
            changed[place.Offset + place.Bytes - 1] ^= (byte)(1 << bit);
            File.WriteAllBytes(path, changed);
        }

        public void Dispose() => File.WriteAllBytes(path, before);
    }
}
