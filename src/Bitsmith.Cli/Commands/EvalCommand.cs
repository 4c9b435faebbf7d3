using System.CommandLine;

namespace Bitsmith.Cli.Commands;

/// <summary><c>bitsmith eval</c>: what it measures are its own verbs, one class each.</summary>
internal static class EvalCommand
{
    public static Command Create(Terminal terminal)
    {
        Command command = new("eval", "Measure how good a model is, and what quantization has cost it.");
        command.Subcommands.Add(EvalPerplexityCommand.Create(terminal));
        command.Subcommands.Add(EvalDivergenceCommand.Create(terminal));
        EvalTasksCommand.AddTo(command, terminal);
        return command;
    }
}
