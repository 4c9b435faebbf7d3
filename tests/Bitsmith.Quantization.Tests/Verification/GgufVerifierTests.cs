using Bitsmith.Checkpoints;
using Bitsmith.Checkpoints.Gguf;
using Bitsmith.Quantization.Jobs;
using Bitsmith.Quantization.Packaging;
using Bitsmith.Quantization.Tests.Conversion;
using Bitsmith.Quantization.Tests.Jobs;
using Bitsmith.Quantization.Verification;

namespace Bitsmith.Quantization.Tests.Verification;

public sealed class GgufVerifierTests
{
    [Theory]
    [InlineData("tiny-glm4")]
    [InlineData("tiny-glm4moe")]
    public void A_result_is_sound_and_every_tensor_is_compared_with_the_folder_it_came_from(string model)
    {
        using GoldenModel golden = new(model);
        Quantize(golden, "Q4_K_M");
        VerificationReport report = Verify(golden, golden.Folder);

        Assert.Empty(report.Findings);
        Assert.Equal((1, golden.File.Tensors.Count()), (report.FilesHashed, report.TensorsCompared));
        Assert.All(report.Tensors!, tensor => Assert.True(tensor.Format == "F32" ? tensor.RelativeRmse == 0 : tensor.RelativeRmse is > 0 and < 0.2, $"{tensor.Name}: {tensor.RelativeRmse}"));
        Assert.Equal(["gguf-model", "gguf-file-type", "gguf-quantization-version", "gguf-imatrix", "gguf-tokenizer", "gguf-chat-template"], report.Checks.Select(check => check.Name));
        Assert.All(report.Checks, check => Assert.True(check.Verdict == Verdict.Pass, check.Evidence));
    }

    [Fact]
    public void A_changed_byte_is_noticed_by_the_recorded_hash()
    {
        using GoldenModel golden = new("tiny-glm4");
        Quantize(golden, "Q8_0");
        Change(golden.Output, "blk.1.ffn_up.weight", 5, 0x11);
        Finding finding = Assert.Single(Verify(golden, null).Findings);
        Assert.Equal("out.gguf", finding.Place);
        Assert.Contains("SHA-256", finding.Problem, StringComparison.Ordinal);
    }

    [Fact]
    public void A_scale_that_is_no_number_is_named_by_its_first_value()
    {
        using GoldenModel golden = new("tiny-glm4");
        Quantize(golden, "Q8_0");
        File.Delete(Path.ChangeExtension(golden.Output, ".bitsmith.json"));

        // Rows of 256 are eight blocks of 34 bytes: the scale of the third block of row 2.
        long place = ((2 * 8) + 2) * 34;
        Change(golden.Output, "blk.0.attn_q.weight", place, 0x00);
        Change(golden.Output, "blk.0.attn_q.weight", place + 1, 0x7E);
        Finding finding = Assert.Single(Verify(golden, null).Findings);
        Assert.Equal("blk.0.attn_q.weight", finding.Place);
        Assert.StartsWith("row 2, column 64 decodes to", finding.Problem, StringComparison.Ordinal);
    }

    [Fact]
    public void A_file_of_another_model_is_far_from_the_base()
    {
        using GoldenModel golden = new("tiny-glm4"), other = new("tiny-glm4moe");
        Quantize(golden, "Q8_0");
        VerificationReport report = Verify(golden, other.File.Files[0].Path);
        Assert.Contains(report.Findings, finding => finding.Problem.Contains("has no counterpart in the base model", StringComparison.Ordinal));
        Assert.Contains(report.Findings, finding => finding.Problem.Contains("is missing", StringComparison.Ordinal));

        // The same shapes, other weights: rows of one tensor in the opposite order.
        long offset;
        byte[] turned;
        using (GgufModel model = GgufModel.Open(golden.Output))
        {
            GgufTensor tensor = model.Find("blk.0.attn_output.weight")!.Value.Tensor;
            byte[] bytes = model.Files[0].View(tensor).ToArray();
            int row = bytes.Length / 256;
            (offset, turned) = (tensor.Offset, [.. Enumerable.Range(0, 256).Reverse().SelectMany(i => bytes.AsSpan(i * row, row).ToArray())]);
        }

        using (FileStream file = File.OpenWrite(golden.Output))
        {
            file.Position = offset;
            file.Write(turned);
        }

        File.Delete(Path.ChangeExtension(golden.Output, ".bitsmith.json"));
        Finding far = Assert.Single(Verify(golden, golden.Folder).Findings);
        Assert.Equal("blk.0.attn_output.weight", far.Place);
        Assert.Contains("rows are in another order", far.Problem, StringComparison.Ordinal);
    }

    [Fact]
    public void A_cut_off_file_is_a_finding_and_an_absent_one_an_error()
    {
        using GoldenModel golden = new("tiny-glm4");
        Quantize(golden, "Q4_0");
        using (FileStream file = File.OpenWrite(golden.Output))
        {
            file.SetLength(file.Length / 2);
        }

        Assert.Equal(2, Verify(golden, null).Findings.Count); // its hash and its structure
        File.Delete(golden.Output);
        Assert.Throws<CheckpointException>(() => Verify(golden, null));
    }

    private static void Quantize(GoldenModel golden, string mix)
    {
        using GgufQuantizationJob job = GgufQuantizationJob.Prepare(GgufQuantizationJobTests.Options(golden, mix));
        job.Run(null, TestContext.Current.CancellationToken);
    }

    private static VerificationReport Verify(GoldenModel golden, string? baseModel) => GgufVerifier.Verify(golden.Output, baseModel, 2, null, TestContext.Current.CancellationToken);

    private static void Change(string path, string name, long at, byte value)
    {
        long offset;
        using (GgufModel model = GgufModel.Open(path))
        {
            offset = model.Find(name)!.Value.Tensor.Offset;
        }

        using FileStream file = File.OpenWrite(path);
        file.Position = offset + at;
        file.WriteByte(value);
    }
}
