using System.Runtime.InteropServices;
using System.Text.Json.Nodes;
using Bitsmith.Models;
using Bitsmith.Models.Generation;

namespace Bitsmith.Interop.Tests;

/// <summary>What llama.cpp expects to follow a prompt, and how far our expectation lies from it.</summary>
internal static class NextTokens
{
    /// <summary>llama.cpp's log-probabilities of the next token [prompts × vocabulary], in binary32, for each job of <c>check_gguf.py probabilities</c>.</summary>
    public static float[][] Of(Peers peers, JsonArray jobs, int seed)
    {
        File.WriteAllText(peers.Here("jobs.json"), jobs.ToJsonString());
        (int code, string output) = peers.Run("check_gguf.py", "probabilities", "@jobs.json", "@out", "--seed", $"{seed}");
        Assert.True(code == 0, output);
        ReadOnlySpan<float> all = MemoryMarshal.Cast<byte, float>(File.ReadAllBytes(peers.Here("out")));
        List<float[]> answers = [];
        foreach (JsonNode? job in jobs)
        {
            int values = (int)job!["vocabulary"]! * job["prompts"]!.AsArray().Count;
            answers.Add(all[..values].ToArray());
            all = all[values..];
        }

        Assert.True(all.IsEmpty);
        return [.. answers];
    }

    /// <summary>The Kullback-Leibler divergence of ours from llama.cpp's next token, for each prompt.</summary>
    public static double[] Divergences(LanguageModel model, IReadOnlyList<PreparedPrompt> prompts, float[] expected)
    {
        int vocabulary = model.Config.VocabSize, width = model.Config.HiddenSize;
        return [.. prompts.Select((prompt, p) =>
        {
            float[] hidden = new float[prompt.Ids.Count * width];
            prompt.Embed(model, 0, prompt.Ids.Count, hidden);
            using var cache = model.NewCache(prompt.Ids.Count);
            model.Forward(hidden, cache, prompt.Positions);
            return Divergence(expected.AsSpan(p * vocabulary, vocabulary), model.Logits(hidden.AsMemory(hidden.Length - width)));
        })];
    }

    /// <summary>The divergence of logits from log-probabilities.</summary>
    public static double Divergence(ReadOnlySpan<float> expected, ReadOnlySpan<float> logits)
    {
        double largest = float.NegativeInfinity, sum = 0, divergence = 0;
        foreach (float logit in logits)
        {
            largest = Math.Max(largest, logit);
        }

        foreach (float logit in logits)
        {
            sum += Math.Exp(logit - largest);
        }

        for (int i = 0; i < logits.Length; i++)
        {
            divergence += float.IsNegativeInfinity(expected[i]) ? 0 : Math.Exp(expected[i]) * (expected[i] - (logits[i] - largest - Math.Log(sum)));
        }

        return double.IsNaN(divergence) ? double.PositiveInfinity : divergence;
    }
}
