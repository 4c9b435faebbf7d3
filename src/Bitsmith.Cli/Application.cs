using System.CommandLine;
using System.CommandLine.Parsing;
using Bitsmith.Checkpoints;
using Bitsmith.Checkpoints.CompressedTensors;
using Bitsmith.Cli.Commands;
using Bitsmith.Evaluation.Tasks;
using Bitsmith.Models.Generation;
using Bitsmith.Models.Images;
using Bitsmith.Models.Text.Templates;
using Bitsmith.Publishing.Cards;
using Bitsmith.Quantization.Jobs;
using Bitsmith.Quantization.Recipes;
using Bitsmith.Tensors.InstructionSets;

namespace Bitsmith.Cli;

/// <summary>The command line: verbs, and exit codes for what can go wrong.</summary>
internal static class Application
{
    public static RootCommand CreateRoot(Terminal terminal)
    {
        RootCommand root = new("Bitsmith turns a Hugging Face checkpoint of a GLM model into quantized releases and proves that they load.");
        root.Subcommands.Add(DemoCommand.Create(terminal));
        root.Subcommands.Add(InspectCommand.Create(terminal));
        root.Subcommands.Add(PlanCommand.Create(terminal));
        root.Subcommands.Add(QuantizeCommand.Create(terminal));
        root.Subcommands.Add(ConvertCommand.Create(terminal));
        root.Subcommands.Add(ImatrixCommand.Create(terminal));
        root.Subcommands.Add(VerifyCommand.Create(terminal));
        root.Subcommands.Add(RunCommand.Create(terminal));
        root.Subcommands.Add(ChatCommand.Create(terminal));
        root.Subcommands.Add(EvalCommand.Create(terminal));
        root.Subcommands.Add(CompareCommand.Create(terminal));
        root.Subcommands.Add(CardCommand.Create(terminal));
        root.Subcommands.Add(BenchCommand.Create(terminal));
        root.Subcommands.Add(DoctorCommand.Create(terminal));
        return root;
    }

    public static async Task<int> RunAsync(string[] args, Terminal terminal)
    {
        ParseResult parsed = CreateRoot(terminal).Parse(args);
        if (parsed.Errors.Count > 0)
        {
            foreach (var error in parsed.Errors)
            {
                await terminal.Error.WriteLineAsync($"bitsmith: {error.Message}").ConfigureAwait(false);
            }

            await terminal.Error.WriteLineAsync($"See '{Verb(parsed)} --help'.").ConfigureAwait(false);
            return ExitCode.WrongRequest;
        }

        InvocationConfiguration configuration = new()
        {
            Output = terminal.Out,
            Error = terminal.Error,
            EnableDefaultExceptionHandler = false,

            // A stop request waits for the write at hand, so that the state left behind can be resumed. A chat decides itself what Ctrl-C stops.
            ProcessTerminationTimeout = parsed.CommandResult.Command.Name == ChatCommand.Name ? null : TimeSpan.FromSeconds(30),
        };
        try
        {
            Cpu.Choose(Environment.GetEnvironmentVariable(Cpu.Variable)); // before anything takes it for granted
        }
        catch (ArgumentException problem)
        {
            await terminal.Error.WriteLineAsync($"bitsmith: {problem.Message}").ConfigureAwait(false);
            return ExitCode.WrongRequest;
        }

        try
        {
            return await parsed.InvokeAsync(configuration).ConfigureAwait(false);
        }
        catch (Exception problem) when (Explain(problem) is { } code)
        {
            bool canResume = parsed.CommandResult.Command.Name is QuantizeCommand.Name or ImatrixCommand.Name;
            bool keeps = parsed.CommandResult.Command.Name == CompareCommand.Name;
            await terminal.Error.WriteLineAsync(code == ExitCode.Interrupted
                ? $"bitsmith: interrupted.{(canResume ? " Repeat the command with --resume to go on." : keeps ? " Repeat the command to go on." : string.Empty)}"
                : $"bitsmith: {problem.Message}").ConfigureAwait(false);
            return code;
        }
    }

    // Only what the libraries promise to throw: anything else is a bug and shows its stack.
    private static int? Explain(Exception problem) => problem switch
    {
        OperationCanceledException => ExitCode.Interrupted,
        ImageException { Problem: ImageProblem.Unsuitable } => ExitCode.WrongRequest,
        CheckpointException or ImageException or NonFiniteLogitsException => ExitCode.BrokenInput,
        RecipeException or RequestException or ModulePatternException or PromptTooLongException or ItemTooLongException or CardException => ExitCode.WrongRequest,
        JobException or TemplateException => ExitCode.Failed,
        IOException or UnauthorizedAccessException => ExitCode.Failed,
        _ => null,
    };

    private static string Verb(ParseResult parsed)
    {
        string verbs = string.Empty;
        for (SymbolResult? result = parsed.CommandResult; result is CommandResult { Command: not RootCommand and var command }; result = result.Parent)
        {
            verbs = $" {command.Name}{verbs}";
        }

        return $"bitsmith{verbs}";
    }
}
