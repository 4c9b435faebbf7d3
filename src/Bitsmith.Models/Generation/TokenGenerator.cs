namespace Bitsmith.Models.Generation;

/// <summary>Generates once; see <see cref="GenerationSession"/> for what goes on.</summary>
public static class TokenGenerator
{
    /// <summary>Generates in a session of its own; stop tokens end the sequence and are not part of it.</summary>
    /// <param name="model">The model.</param>
    /// <param name="prompt">The prompt.</param>
    /// <param name="settings">How tokens are chosen.</param>
    /// <param name="context">Most tokens of prompt and answer together.</param>
    /// <param name="cancellationToken">Stops between tokens.</param>
    /// <exception cref="PromptTooLongException">The prompt leaves no room for a token.</exception>
    public static IEnumerable<int> Run(
        LanguageModel model, PreparedPrompt prompt, SamplingSettings settings, int context, CancellationToken cancellationToken)
    {
        using GenerationSession session = new(model, context);
        foreach (int token in session.Generate(prompt, settings, cancellationToken))
        {
            yield return token;
        }
    }
}
