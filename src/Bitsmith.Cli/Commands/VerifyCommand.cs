using System.CommandLine;
using Bitsmith.Cli.Rendering;
using Bitsmith.Quantization.Verification;

namespace Bitsmith.Cli.Commands;

/// <summary><c>bitsmith verify</c>.</summary>
internal static class VerifyCommand
{
    public static Command Create(Terminal terminal)
    {
        Argument<string> folder = new("OUT") { Description = "A quantized folder." };
        Option<string?> baseModel = new("--base") { Description = "The original model: every tensor is compared with it." };
        Option<bool> fix = new("--fix") { Description = "Make the repairs of the packaging checks." };
        Option<int> threads = CommonOptions.Threads();
        Option<bool> json = CommonOptions.Json();
        Command command = new("verify", "Check a result: hashes, structure, content against the base model, packaging. Exits 1 with a list of what is wrong.\n\n  bitsmith verify ./GLM-4.6V-Flash-FP8 --base ./GLM-4.6V-Flash");
        command.Arguments.Add(folder);
        foreach (Option option in (Option[])[baseModel, fix, threads, json])
        {
            command.Options.Add(option);
        }

        command.SetAction((parsed, cancellationToken) =>
        {
            VerificationReport report = Run(
                terminal, parsed.GetRequiredValue(folder), parsed.GetValue(baseModel), parsed.GetValue(fix), parsed.GetValue(threads), cancellationToken);
            if (parsed.GetValue(json))
            {
                terminal.Out.WriteLine(VerificationJson.Write(report));
            }
            else
            {
                VerificationTable.Write(terminal, report);
            }

            return Task.FromResult(report.IsSound ? ExitCode.Done : ExitCode.Failed);
        });
        return command;
    }

    public static VerificationReport Run(
        Terminal terminal, string folder, string? baseModel, bool fix, int threads, CancellationToken cancellationToken) =>
        ProgressDisplay.Run(terminal, "verify", progress => Verifier.Verify(folder, baseModel, fix, threads, progress, cancellationToken));
}
