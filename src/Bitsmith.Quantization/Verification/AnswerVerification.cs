using Bitsmith.Checkpoints;
using Bitsmith.Evaluation.Answers;
using Bitsmith.Models;
using Bitsmith.Models.Text.Templates;
using Bitsmith.Tensors.Matrices;

namespace Bitsmith.Quantization.Verification;

/// <summary>Verifies a result from end to end, by running it.</summary>
public static class AnswerVerification
{
    /// <summary>Runs the model and adds what it answered, and what is wrong with that, to a report.</summary>
    /// <param name="report">From <see cref="Verifier.Verify"/>.</param>
    /// <param name="model">The result: a folder, or a GGUF file.</param>
    /// <param name="mmproj">The file with the vision tower of a GGUF file, or null.</param>
    /// <param name="settings">What to ask.</param>
    /// <param name="threads">Threads.</param>
    /// <param name="progress">Told of each answer.</param>
    /// <param name="cancellationToken">Stops between tokens.</param>
    public static VerificationReport Run(
        VerificationReport report, string model, string? mmproj, AnswerSettings settings, int threads, IProgress<AnswerCheck>? progress, CancellationToken cancellationToken)
    {
        ArgumentNullException.ThrowIfNull(report);
        try
        {
            using GlmModel opened = GlmModel.Open(model, ComputeOptions.On(threads, exactInputs: false), mmproj: mmproj);
            IReadOnlyList<AnswerCheck> answers = AnswerChecks.Run(opened, settings, progress, cancellationToken);
            IEnumerable<Finding> findings = answers.Where(answer => answer.Problem is not null).Select(answer => new Finding($"answer to {answer.Picture ?? $"\"{answer.Question}\""}", answer.Problem!));
            return report with { Answers = answers, Findings = [.. report.Findings, .. findings] };
        }
        catch (Exception problem) when (problem is CheckpointException or TemplateException)
        {
            return report with { Answers = [], Findings = [.. report.Findings, new Finding("running the model", problem.Message)] };
        }
    }
}
