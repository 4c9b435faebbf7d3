using System.Text.Json;
using Bitsmith.Models;
using Bitsmith.Models.Generation;
using Bitsmith.Models.Text.Templates;
using Bitsmith.Models.Vision;

namespace Bitsmith.Evaluation.Answers;

/// <summary>
/// Checks a model from end to end: it is asked by its own chat template and answers by greedy decoding, without penalties and with thinking turned off where the template knows that. An answer must
/// hold some text, name what was expected, and not run into a <see cref="RepetitionLoop"/>.
/// </summary>
public static class AnswerChecks
{
    private const int ShownOfLoop = 60;

    private static readonly Dictionary<string, JsonElement> TemplateArguments = new() { ["enable_thinking"] = JsonDocument.Parse("false").RootElement };

    /// <summary>Asks and checks.</summary>
    /// <param name="model">The model.</param>
    /// <param name="settings">What to ask.</param>
    /// <param name="progress">Told of each answer.</param>
    /// <param name="cancellationToken">Stops between tokens.</param>
    /// <exception cref="TemplateException">The template refuses a plain question.</exception>
    public static IReadOnlyList<AnswerCheck> Run(GlmModel model, AnswerSettings settings, IProgress<AnswerCheck>? progress, CancellationToken cancellationToken)
    {
        ArgumentNullException.ThrowIfNull(model);
        ArgumentNullException.ThrowIfNull(settings);
        List<AnswerCheck> checks = [];
        IEnumerable<(string Question, ExpectedPicture? Picture)> questions =
            settings.Pictures.Select(picture => (AnswerSettings.PictureQuestion, (ExpectedPicture?)picture)).Concat(settings.Prompts.Select(prompt => (prompt, (ExpectedPicture?)null)));
        foreach ((string question, ExpectedPicture? picture) in questions)
        {
            AnswerCheck check = Ask(model, question, picture, settings.MaxTokens, cancellationToken);
            checks.Add(check);
            progress?.Report(check);
        }

        return checks;
    }

    private static AnswerCheck Ask(GlmModel model, string question, ExpectedPicture? picture, int maxTokens, CancellationToken cancellationToken)
    {
        AnswerCheck check = new(question, picture?.Image.Source, picture?.Word, string.Empty, 0, false, null);
        if (picture is not null && !model.HasVision)
        {
            return check with { Problem = "this is a text model; it cannot look at pictures" };
        }

        VisionInput[] pictures = picture is null ? [] : [model.ReadPicture(picture.Image)];
        PreparedPrompt prompt = model.Prepare(Conversation.Of(Conversation.UserMessage(question, pictures.Length)), pictures, TemplateArguments);
        SamplingSettings greedy = new() { Temperature = 0, MaxTokens = maxTokens, StopTokens = model.Defaults.StopTokens };
        int[] tokens;
        try
        {
            tokens = [.. TokenGenerator.Run(model.Language, prompt, greedy, model.Context, cancellationToken)];
        }
        catch (Exception problem) when (problem is NonFiniteLogitsException or PromptTooLongException)
        {
            return check with { Problem = problem.Message };
        }

        bool cutOff = tokens.Length == Math.Min(maxTokens, model.Context - prompt.Ids.Count);
        string answer = model.Tokenizer.Decode(tokens, skipSpecial: true);
        return check with { Answer = answer, Tokens = tokens.Length, CutOff = cutOff, Problem = Judge(model, tokens, answer, cutOff, picture?.Word) };
    }

    private static string? Judge(GlmModel model, int[] tokens, string answer, bool cutOff, string? word)
    {
        if (RepetitionLoop.Find(tokens, cutOff) is { } loop)
        {
            string piece = model.Tokenizer.Decode(tokens.AsSpan(loop.Start, loop.Period), skipSpecial: false).Trim();
            return $"the answer runs into a loop: from token {loop.Start} on, {loop.Period} token(s) stand {loop.Repeats:0.#} times back to back: \"{(piece.Length > ShownOfLoop ? piece[..ShownOfLoop] + "…" : piece)}\"";
        }

        return string.IsNullOrWhiteSpace(answer) ? "the answer is empty"
            : word is not null && !ExpectedWord.IsIn(answer, word) ? $"the answer does not name \"{word}\": \"{answer.Trim()}\""
            : null;
    }
}
