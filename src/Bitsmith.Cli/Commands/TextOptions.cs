using System.CommandLine;
using Bitsmith.Evaluation;
using Bitsmith.Evaluation.Divergence;
using Bitsmith.Evaluation.Texts;
using Bitsmith.Quantization.Jobs;

namespace Bitsmith.Cli.Commands;

/// <summary>The text that a model is measured on, and how it is cut.</summary>
/// <param name="required">Whether there must be one.</param>
internal sealed class TextOptions(bool required)
{
    private const int DefaultContext = 512, FewestTokens = 4;

    private readonly Option<int> context = new Option<int>("--ctx-size", "-c") { Description = "Tokens in a chunk, of which the second half is scored.", DefaultValueFactory = _ => DefaultContext }.AtLeast(FewestTokens);
    private readonly Option<int?> chunks = new Option<int?>("--chunks") { Description = "Most chunks to run; default: all." }.AtLeast(1);

    public Option<string?> File { get; } = new("--file", "-f") { Description = "The text, UTF-8.", Required = required };

    public void AddTo(Command command)
    {
        command.Options.Add(File);
        command.Options.Add(context);
        command.Options.Add(chunks);
    }

    public TextChunkSettings Settings(ParseResult parsed) => new(parsed.GetValue(context), Most: parsed.GetValue(chunks));
}

/// <summary>A file of log-probabilities that is written on the way.</summary>
internal sealed class LogitsOutput(string name, string description)
{
    private readonly Option<bool> force = new("--force") { Description = $"Replace an existing file of {name}." };

    public Option<string?> File { get; } = new(name) { Description = description };

    public void AddTo(Command command)
    {
        command.Options.Add(File);
        command.Options.Add(force);
    }

    /// <summary>Refuses an existing file, before anything heavy is begun.</summary>
    public void RequireFree(ParseResult parsed)
    {
        if (parsed.GetValue(File) is string path && System.IO.File.Exists(path) && !parsed.GetValue(force))
        {
            throw new RequestException($"{path} exists. Choose another name, or replace it with --force.");
        }
    }

    /// <summary>The file, or null where none was asked for.</summary>
    public LogitsFileWriter? Begin(ParseResult parsed, TextChunks chunks, EvaluatedModel model) =>
        parsed.GetValue(File) is string path ? LogitsFileWriter.Create(path, chunks, model.Language.Config.VocabSize) : null;
}
