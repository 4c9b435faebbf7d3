using Bitsmith.Checkpoints;
using Bitsmith.Models;
using Bitsmith.Models.Text.Templates;
using Bitsmith.Quantization.Jobs;
using Bitsmith.Tensors.Matrices;

namespace Bitsmith.Quantization.Verification;

/// <summary>Verifies a GGUF file as far as it goes without running it: layout, metadata, tokenizer and chat template, every tensor in its place with its shape.</summary>
internal static class GgufVerification
{
    public static VerificationReport Run(string file, string? baseModel, bool fix)
    {
        if (baseModel is not null || fix)
        {
            throw new RequestException($"{(fix ? "--fix" : "--base")}: a GGUF file is not {(fix ? "repaired" : "compared with a base model")}. Leave it out.");
        }

        List<Finding> findings = [];
        try
        {
            GlmModel.Open(file, ComputeOptions.Default).Dispose();
        }
        catch (Exception problem) when (problem is CheckpointException or TemplateException)
        {
            findings.Add(new Finding(Path.GetFileName(file), problem.Message));
        }

        return new VerificationReport(findings, [], 0, 0, []);
    }
}
