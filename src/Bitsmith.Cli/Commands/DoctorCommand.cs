using System.CommandLine;
using Bitsmith.Cli.Rendering;
using Bitsmith.Evaluation.Speed;

namespace Bitsmith.Cli.Commands;

/// <summary><c>bitsmith doctor</c>.</summary>
internal static class DoctorCommand
{
    public static Command Create(Terminal terminal)
    {
        Option<bool> json = CommonOptions.Json();
        Command command = new("doctor", "Show this machine: processor, kernels, memory, versions; measures memory bandwidth and peak arithmetic, which takes some seconds.\n\n  bitsmith doctor");
        command.Options.Add(json);
        command.SetAction((parsed, cancellationToken) =>
        {
            MachineReport report = Machine.Examine(TimeProvider.System, new LineProgress<string>(terminal.Error, what => $"measuring {what}"), cancellationToken);
            if (parsed.GetValue(json))
            {
                terminal.Out.WriteLine(report.ToJson());
            }
            else
            {
                MachineTable.Write(terminal, report);
            }

            return Task.FromResult(ExitCode.Done);
        });
        return command;
    }
}
