using Bitsmith.Models.Architectures;

namespace Bitsmith.Models.Layers;

/// <summary>y = Σ over the chosen experts of weight · expert(x), in ascending order of experts, + shared(x).</summary>
internal sealed class MixtureOfExperts(int layer, Router router, IReadOnlyList<GatedMlp> experts, GatedMlp shared, MoeConfig config) : IMlp
{
    public void Forward(ReadOnlyMemory<float> input, int tokens, Memory<float> output, ForwardPass pass)
    {
        int width = input.Length / tokens, each = config.NumExpertsPerTok;
        int[] chosen = new int[tokens * each];
        float[] weights = new float[chosen.Length];
        for (int token = 0; token < tokens; token++)
        {
            Range range = (token * each)..((token + 1) * each);
            router.Choose(input.Span.Slice(token * width, width), chosen.AsSpan(range), weights.AsSpan(range), pass.Compute.InstructionSet);
            pass.Observer?.OnRouted(layer, token, chosen.AsSpan(range), weights.AsSpan(range));
        }

        Span<float> sums = output.Span;
        sums.Clear();
        for (int expert = 0; expert < experts.Count; expert++)
        {
            int[] places = [.. Enumerable.Range(0, chosen.Length).Where(place => chosen[place] == expert)];
            if (places.Length == 0)
            {
                continue;
            }

            float[] gathered = new float[places.Length * width], result = new float[gathered.Length];
            for (int i = 0; i < places.Length; i++)
            {
                input.Span.Slice(places[i] / each * width, width).CopyTo(gathered.AsSpan(i * width));
            }

            experts[expert].Forward(gathered, places.Length, result, pass);
            for (int i = 0; i < places.Length; i++)
            {
                Span<float> sum = sums.Slice(places[i] / each * width, width);
                ReadOnlySpan<float> part = result.AsSpan(i * width, width);
                for (int j = 0; j < width; j++)
                {
                    sum[j] += weights[places[i]] * part[j];
                }
            }
        }

        float[] common = new float[output.Length];
        shared.Forward(input, tokens, common, pass);
        for (int i = 0; i < common.Length; i++)
        {
            output.Span[i] += common[i];
        }
    }
}
