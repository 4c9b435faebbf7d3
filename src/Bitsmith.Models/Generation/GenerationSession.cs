using Bitsmith.Models.Layers;
using Bitsmith.Tensors.ElementTypes;

namespace Bitsmith.Models.Generation;

/// <summary>
/// One sequence that is prompted again and again, as in a conversation: keys and values of what a prompt has in common with the sequence so far are kept, only the rest is run. What is common is
/// decided by ids, positions and the content of pictures, so the tokens are those of a fresh session. Usable after a stop at any place. One thread at a time, one answer at a time.
/// </summary>
public sealed class GenerationSession : IDisposable
{
    /// <summary>Prompts run in passes of this many tokens: bounded memory, and a stop request is heard between them.</summary>
    public const int PassTokens = 512;

    private readonly LanguageModel model;
    private readonly KvCache cache;
    private readonly ForwardPass pass;
    private readonly float[] logits;
    private readonly List<Held> held = [];
    private IReadOnlyList<VisionRun> vision = [];
    private float[] hidden = [];
    private int answers;

    /// <summary>Starts an empty sequence.</summary>
    /// <param name="model">The model.</param>
    /// <param name="context">Most tokens of prompt and answer together.</param>
    /// <param name="cacheType">What keys and values are stored as: F32, BF16, F16 or F8_E4M3.</param>
    /// <exception cref="ArgumentException">The type is none of the four.</exception>
    public GenerationSession(LanguageModel model, int context, ElementType cacheType = ElementType.F32)
    {
        ArgumentNullException.ThrowIfNull(model);
        this.model = model;
        cache = model.NewCache(context, cacheType);
        pass = model.NewPass();
        logits = new float[model.Config.VocabSize];
    }

    /// <summary>Tokens whose keys and values are held.</summary>
    public int Length => held.Count;

    /// <summary>Tokens of the last prompt that were held already; the others were run.</summary>
    public int KeptTokens { get; private set; }

    /// <summary>Runs a prompt, as far as it is not held, and draws tokens until a stop token, the limit or the context's end. Stop tokens are not part of the answer.</summary>
    /// <param name="prompt">The whole prompt, what came before included.</param>
    /// <param name="settings">How tokens are chosen.</param>
    /// <param name="cancellationToken">Stops between passes and tokens.</param>
    /// <exception cref="PromptTooLongException">The prompt leaves no room for a token.</exception>
    public IEnumerable<int> Generate(PreparedPrompt prompt, SamplingSettings settings, CancellationToken cancellationToken)
    {
        ArgumentNullException.ThrowIfNull(prompt);
        ArgumentNullException.ThrowIfNull(settings);
        return prompt.Ids.Count < cache.Capacity ? Tokens(prompt, settings, cancellationToken) : throw new PromptTooLongException(prompt.Ids.Count, cache.Capacity);
    }

    /// <inheritdoc/>
    public void Dispose()
    {
        cache.Dispose();
        pass.Dispose();
    }

    private IEnumerable<int> Tokens(PreparedPrompt prompt, SamplingSettings settings, CancellationToken cancellationToken)
    {
        int answer = ++answers, count = prompt.Ids.Count;
        Keep(prompt);
        while (held.Count < count)
        {
            cancellationToken.ThrowIfCancellationRequested();
            int start = held.Count, tokens = Math.Min(PassTokens, count - start);
            prompt.Embed(model, start, tokens, Room(tokens).Span);
            Run(new SequenceRun(cache, tokens, prompt.Positions, prompt.Positions is null ? 0 : start));
            held.AddRange(Enumerable.Range(start, tokens).Select(index => Held.Of(prompt, index)));
        }

        Sampler sampler = new(settings, [.. prompt.Ids], model.Config.VocabSize);
        int most = Math.Min(settings.MaxTokens ?? int.MaxValue, cache.Capacity - count);
        for (int made = 0; made < most; made++)
        {
            cancellationToken.ThrowIfCancellationRequested();
            model.Logits(hidden.AsMemory((pass.Tokens - 1) * model.Config.HiddenSize, model.Config.HiddenSize), logits, pass);
            int token = sampler.Next(logits);
            if (settings.StopTokens.Contains(token))
            {
                yield break;
            }

            yield return token;
            if (answer != answers)
            {
                throw new InvalidOperationException("Another answer has begun on these keys and values; this one cannot go on.");
            }

            if (made + 1 < most)
            {
                int position = held.Count + prompt.RopeDelta;
                model.Embed([token], Room(1).Span);
                Run(new SequenceRun(cache, 1, null, prompt.RopeDelta));
                held.Add(new Held(token, position, position, position));
            }
        }
    }

    /// <summary>Forgets all behind what the prompt and the sequence have in common. The last token is run in any case: its logits are needed.</summary>
    private void Keep(PreparedPrompt prompt)
    {
        int common = 0, most = Math.Min(held.Count, prompt.Ids.Count - 1);
        while (common < most && held[common] == Held.Of(prompt, common))
        {
            common++;
        }

        // Equal placeholders may stand for other pictures.
        for (int i = 0; ; i++)
        {
            VisionRun? before = i < vision.Count && vision[i].Start < common ? vision[i] : null, now = i < prompt.Vision.Count && prompt.Vision[i].Start < common ? prompt.Vision[i] : null;
            if (before is null && now is null)
            {
                break;
            }

            if (before is null || now is null || before.Start != now.Start || before.Part.Grid != now.Part.Grid || before.Part.Identity != now.Part.Identity)
            {
                common = Math.Min(before?.Start ?? common, now?.Start ?? common);
                break;
            }
        }

        cache.Truncate(common);
        held.RemoveRange(common, held.Count - common);
        vision = prompt.Vision;
        KeptTokens = common;
    }

    private void Run(SequenceRun run)
    {
        model.Begin(pass, run);
        model.Forward(hidden.AsMemory(0, run.Tokens * model.Config.HiddenSize), pass);
    }

    private Memory<float> Room(int tokens)
    {
        int needed = tokens * model.Config.HiddenSize;
        if (hidden.Length < needed)
        {
            hidden = new float[needed];
        }

        return hidden.AsMemory(0, needed);
    }

    /// <summary>A token with its position on each axis.</summary>
    private readonly record struct Held(int Id, int Time, int Height, int Width)
    {
        public static Held Of(PreparedPrompt prompt, int index) => prompt.Positions switch
        {
            null => new Held(prompt.Ids[index], index, index, index),
            [int[] only] => new Held(prompt.Ids[index], only[index], only[index], only[index]),
            var axes => new Held(prompt.Ids[index], axes[0][index], axes[1][index], axes[2][index]),
        };
    }
}
