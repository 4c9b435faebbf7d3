using Bitsmith.Models.Layers;

namespace Bitsmith.Models.Generation;

/// <summary>Runs a prompt and draws tokens until a stop token, the limit or the context's end.</summary>
public static class TokenGenerator
{
    /// <summary>Prompts run in passes of this many tokens: bounded memory, and a stop request is heard between them.</summary>
    public const int PassTokens = 256;

    /// <summary>Generates; stop tokens end the sequence and are not part of it.</summary>
    /// <param name="model">The model.</param>
    /// <param name="prompt">The prompt.</param>
    /// <param name="settings">How tokens are chosen.</param>
    /// <param name="context">Most tokens of prompt and answer together.</param>
    /// <param name="cancellationToken">Stops between tokens.</param>
    /// <exception cref="PromptTooLongException">The prompt leaves no room for a token.</exception>
    public static IEnumerable<int> Run(
        LanguageModel model, PreparedPrompt prompt, SamplingSettings settings, int context, CancellationToken cancellationToken)
    {
        ArgumentNullException.ThrowIfNull(model);
        ArgumentNullException.ThrowIfNull(prompt);
        ArgumentNullException.ThrowIfNull(settings);
        return prompt.Ids.Count < context
            ? Tokens(model, prompt, settings, context, cancellationToken)
            : throw new PromptTooLongException(prompt.Ids.Count, context);
    }

    private static IEnumerable<int> Tokens(
        LanguageModel model, PreparedPrompt prompt, SamplingSettings settings, int context, CancellationToken cancellationToken)
    {
        int count = prompt.Ids.Count, width = model.Config.HiddenSize, axes = model.Config.MropeSection is null ? 1 : 3;
        using KvCache cache = model.NewCache(context);
        Sampler sampler = new(settings, [.. prompt.Ids], model.Config.VocabSize);
        float[] hidden = [];
        for (int start = 0; start < count; start += PassTokens)
        {
            cancellationToken.ThrowIfCancellationRequested();
            int tokens = Math.Min(PassTokens, count - start);
            hidden = new float[tokens * width];
            prompt.Embed(model, start, tokens, hidden);
            model.Forward(hidden, cache, prompt.Positions is null ? null : [.. prompt.Positions.Select(axis => axis[start..(start + tokens)])]);
        }

        int most = Math.Min(settings.MaxTokens ?? int.MaxValue, context - count);
        for (int made = 0; made < most; made++)
        {
            cancellationToken.ThrowIfCancellationRequested();
            int token = sampler.Next(model.Logits(hidden.AsMemory(hidden.Length - width)));
            if (settings.StopTokens.Contains(token))
            {
                yield break;
            }

            yield return token;
            if (made + 1 < most)
            {
                hidden = model.Embed([token]);
                int[] position = [cache.Length + prompt.RopeDelta];
                model.Forward(hidden, cache, [.. Enumerable.Repeat(position, axes)]);
            }
        }
    }
}
