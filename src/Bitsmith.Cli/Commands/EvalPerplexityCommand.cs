using System.CommandLine;
using System.CommandLine.Parsing;
using Bitsmith.Cli.Rendering;
using Bitsmith.Evaluation;
using Bitsmith.Evaluation.Divergence;
using Bitsmith.Evaluation.Perplexity;
using Bitsmith.Evaluation.Texts;

namespace Bitsmith.Cli.Commands;

/// <summary><c>bitsmith eval perplexity</c>.</summary>
internal sealed class EvalPerplexityCommand
{
    private readonly EvaluationOptions evaluation = new();
    private readonly TextOptions text = new(required: true);
    private readonly Option<int?> stride = new Option<int?>("--stride", "--ppl-stride") { Description = "Let chunks overlap: one begins every so many tokens, and so many tokens of each are scored, as llama-perplexity does. A chunk then has --ctx-size tokens and half of these, rounded up to 256." }.AtLeast(1);
    private readonly LogitsOutput save = new("--save-logits", "Write the model's log-probabilities to this file too, as llama-perplexity does with --kl-divergence-base.");
    private readonly Terminal terminal;

    private EvalPerplexityCommand(Terminal terminal) => this.terminal = terminal;

    public static Command Create(Terminal terminal) => new EvalPerplexityCommand(terminal).Create();

    private Command Create()
    {
        Command command = new("perplexity", "Measure perplexity on a text, with llama-perplexity's definition.\n\n  bitsmith eval perplexity GLM-4.6V-Flash-Q4_K_M.gguf -f wiki.test.raw\n  bitsmith eval perplexity ./GLM-4.6V-Flash-FP8 -f wiki.test.raw --ctx-size 2048 --chunks 20 --json");
        evaluation.AddTo(command);
        text.AddTo(command);
        command.Options.Add(stride);
        save.AddTo(command);
        command.Validators.Add(Check);
        command.SetAction((parsed, cancellationToken) =>
        {
            save.RequireFree(parsed);
            using EvaluatedModel model = evaluation.Open(parsed);
            TextChunks chunks = TextChunks.Read(parsed.GetRequiredValue(text.File)!, model.Tokenizer, text.Settings(parsed) with { First = model.Tokenizer.First, Stride = parsed.GetValue(stride) });
            EvaluationTable.Announce(terminal, chunks);
            using LogitsFileWriter? writer = save.Begin(parsed, chunks, model);
            PerplexityReport report = PerplexityMeasurement.Run(model, chunks, TimeProvider.System, writer, EvaluationTable.Progress(terminal), cancellationToken);
            writer?.Complete();
            return Task.FromResult(evaluation.Print(parsed, terminal, report.ToJson, () => EvaluationTable.Write(terminal, report)));
        });
        return command;
    }

    private void Check(CommandResult result)
    {
        if (result.GetValue(stride) is not null && result.GetValue(save.File) is not null)
        {
            result.AddError("--save-logits writes chunks that do not overlap; leave --stride out.");
        }
    }
}
