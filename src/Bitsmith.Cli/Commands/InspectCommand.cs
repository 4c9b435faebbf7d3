using System.CommandLine;
using Bitsmith.Checkpoints.Inspection;
using Bitsmith.Cli.Rendering;

namespace Bitsmith.Cli.Commands;

/// <summary><c>bitsmith inspect</c>.</summary>
internal static class InspectCommand
{
    public static Command Create(Terminal terminal)
    {
        Argument<string> path = new("PATH") { Description = "A .safetensors or .gguf file (of a split model, any of its files), or a model folder." };
        Option<bool> tensors = new("--tensors") { Description = "List every tensor." };
        Option<bool> json = CommonOptions.Json();
        Command command = new("inspect", "Show what is in a file or folder: tensors, types, sizes, quantization, metadata. Reads headers only.\n\n  bitsmith inspect ./GLM-4.6V-Flash-FP8");
        command.Arguments.Add(path);
        command.Options.Add(tensors);
        command.Options.Add(json);
        command.SetAction(parsed =>
        {
            CheckpointSummary summary = CheckpointSummary.Create(parsed.GetRequiredValue(path));
            if (parsed.GetValue(json))
            {
                terminal.Out.WriteLine(summary.ToJson());
            }
            else
            {
                InspectTable.Write(terminal, summary, parsed.GetValue(tensors));
            }

            return ExitCode.Done;
        });
        return command;
    }
}
