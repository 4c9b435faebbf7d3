using System.CommandLine;
using Bitsmith.Cli.Rendering;
using Bitsmith.Quantization.Jobs;
using Bitsmith.Quantization.Planning;

namespace Bitsmith.Cli.Commands;

/// <summary><c>bitsmith plan</c>.</summary>
internal static class PlanCommand
{
    public static Command Create(Terminal terminal)
    {
        SharedOptions shared = new();
        Option<bool> all = new("--all") { Description = "One row for each tensor instead of one for each kind." };
        Command command = new("plan", "Show what quantize would do: every tensor with decision, rule and bytes; nothing is written.\n\n  bitsmith plan ./GLM-4.6V-Flash --scheme fp8-block");
        shared.AddTo(command);
        command.Options.Add(all);
        command.SetAction(parsed =>
        {
            using QuantizationJob job = QuantizationJob.Prepare(shared.Read(parsed, string.Empty));
            if (parsed.GetValue(shared.Json))
            {
                terminal.Out.WriteLine(PlanJson.Write(job.Plan, job.Estimate));
            }
            else
            {
                PlanTable.Write(terminal, job, parsed.GetValue(all));
            }

            return ExitCode.Done;
        });
        return command;
    }
}
