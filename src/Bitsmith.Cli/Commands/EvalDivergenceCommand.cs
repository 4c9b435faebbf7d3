using System.CommandLine;
using System.CommandLine.Parsing;
using Bitsmith.Checkpoints;
using Bitsmith.Cli.Rendering;
using Bitsmith.Evaluation;
using Bitsmith.Evaluation.Divergence;
using Bitsmith.Evaluation.Texts;

namespace Bitsmith.Cli.Commands;

/// <summary><c>bitsmith eval divergence</c>.</summary>
internal sealed class EvalDivergenceCommand
{
    private readonly EvaluationOptions evaluation = new();
    private readonly Option<string?> baseModel = new("--base") { Description = "The base model, a folder or a GGUF file; it runs beside MODEL with exact activations unless --base-activations says otherwise." };
    private readonly Option<string> baseActivations = CommonOptions.ActivationsOrBFloat16("--base-activations", "exact");
    private readonly TextOptions text = new(required: false);
    private readonly Option<string?> baseLogits = new("--base-logits") { Description = "Instead of --base and -f: a file of the base model's log-probabilities, of --save-base-logits, eval perplexity --save-logits or llama-perplexity --kl-divergence-base." };
    private readonly LogitsOutput save = new("--save-base-logits", "Write the base model's log-probabilities to this file too, for other runs and for llama-perplexity.");
    private readonly Terminal terminal;

    private EvalDivergenceCommand(Terminal terminal) => this.terminal = terminal;

    public static Command Create(Terminal terminal) => new EvalDivergenceCommand(terminal).Create();

    private Command Create()
    {
        Command command = new("divergence", "Measure how far a model's probabilities lie from a base model's, with llama-perplexity's definitions (--kl-divergence).\n\n  bitsmith eval divergence GLM-4.6V-Flash-Q4_K_M.gguf --base ./GLM-4.6V-Flash -f wiki.test.raw\n  bitsmith eval divergence GLM-4.6V-Flash-Q4_K_M.gguf --base-logits base.bin");
        evaluation.AddTo(command);
        command.Options.Add(baseModel);
        command.Options.Add(baseActivations);
        text.AddTo(command);
        command.Options.Add(baseLogits);
        save.AddTo(command);
        command.Validators.Add(Check);
        command.SetAction((parsed, cancellationToken) =>
        {
            save.RequireFree(parsed);
            using EvaluatedModel model = evaluation.Open(parsed);
            DivergenceReport report = parsed.GetValue(baseLogits) is string file ? AgainstFile(model, file, cancellationToken) : AgainstModel(parsed, model, cancellationToken);
            return Task.FromResult(evaluation.Print(parsed, terminal, report.ToJson, () => EvaluationTable.Write(terminal, report)));
        });
        return command;
    }

    private DivergenceReport AgainstFile(EvaluatedModel model, string path, CancellationToken cancellationToken)
    {
        using LogitsFile file = LogitsFile.Open(path);
        EvaluationTable.Announce(terminal, file.Chunks(null));
        return DivergenceMeasurement.Run(model, file, TimeProvider.System, EvaluationTable.DivergenceProgress(terminal), cancellationToken);
    }

    private DivergenceReport AgainstModel(ParseResult parsed, EvaluatedModel model, CancellationToken cancellationToken)
    {
        using EvaluatedModel other = EvaluatedModel.Open(parsed.GetValue(baseModel)!, evaluation.Settings(parsed) with { Activations = EvaluationOptions.ModeOf(parsed.GetRequiredValue(baseActivations)) });
        string path = parsed.GetValue(text.File)!;
        TextChunks chunks = TextChunks.Read(path, other.Tokenizer, text.Settings(parsed));
        if (TextChunks.Read(path, model.Tokenizer, text.Settings(parsed)).Digest != chunks.Digest)
        {
            throw new CheckpointException(model.Conditions.Model, $"its tokenizer cuts {path} into other tokens than that of {other.Conditions.Model}. Only models with the same tokenizer can be compared.");
        }

        EvaluationTable.Announce(terminal, chunks);
        using LogitsFileWriter? writer = save.Begin(parsed, chunks, other);
        DivergenceReport report = DivergenceMeasurement.Run(model, other, chunks, TimeProvider.System, writer, EvaluationTable.DivergenceProgress(terminal), cancellationToken);
        writer?.Complete();
        return report;
    }

    private void Check(CommandResult result)
    {
        bool hasFile = result.GetValue(baseLogits) is not null, hasBase = result.GetValue(baseModel) is not null, hasText = result.GetValue(text.File) is not null;
        string? problem =
            hasFile && (hasBase || hasText) ? "--base-logits holds base model and text; --base and -f do not go with it."
            : !hasFile && !(hasBase && hasText) ? "--base BASE and -f TEXT are needed, or --base-logits FILE."
            : hasFile && result.GetValue(save.File) is not null ? "--save-base-logits needs --base."
            : null;
        if (problem is not null)
        {
            result.AddError(problem);
        }
    }
}
