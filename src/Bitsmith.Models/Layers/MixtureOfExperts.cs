using Bitsmith.Models.Architectures;
using Bitsmith.Tensors.Elementwise;

namespace Bitsmith.Models.Layers;

/// <summary>y = Σ over the chosen experts of weight · expert(x), in ascending order of experts, + shared(x).</summary>
internal sealed class MixtureOfExperts(int layer, Router router, IReadOnlyList<GatedMlp> experts, GatedMlp shared, MoeConfig config) : IMlp
{
    public IEnumerable<Linear> Linears => experts.Append(shared).SelectMany(expert => expert.Linears);

    public IEnumerable<LayerVector> Vectors => [router.Gate, .. Linears.SelectMany(linear => linear.Vectors)];

    public void Forward(ReadOnlyMemory<float> input, int tokens, Memory<float> output, ForwardPass pass)
    {
        int width = input.Length / tokens, each = config.NumExpertsPerTok;
        Span<int> integers = pass.Integers(2 * tokens * each);
        Span<int> chosen = integers[..(tokens * each)], places = integers[(tokens * each)..];
        Span<float> weights = pass.Buffer(PassBuffer.Routing, tokens * each).Span;
        float[] gate = pass.ValuesOf(router.Gate);
        for (int token = 0; token < tokens; token++)
        {
            Range range = (token * each)..((token + 1) * each);
            router.Choose(gate, input.Span.Slice(token * width, width), chosen[range], weights[range], pass.Compute.InstructionSet);
            pass.Observer?.OnRouted(layer, token, chosen[range], weights[range]);
        }

        output.Span.Clear();
        for (int expert = 0; expert < experts.Count; expert++)
        {
            int count = PlacesOf(expert, chosen, places);
            if (pass.AllExperts)
            {
                Memory<float> all = pass.Buffer(PassBuffer.ExpertOutputs, output.Length);
                experts[expert].Forward(input, tokens, all, pass);
                AddChosen(all.Span, places[..count], each, weights, output.Span, width, pass);
            }
            else if (count > 0)
            {
                Add(experts[expert], places[..count], each, input.Span, weights, output.Span, width, pass);
            }
        }

        Memory<float> common = pass.Buffer(PassBuffer.ExpertOutputs, output.Length);
        shared.Forward(input, tokens, common, pass);
        RowWork.Add(output, common, width, pass.Compute);
    }

    /// <summary>Runs the tokens that chose an expert and adds its results, weighted, to theirs.</summary>
    private static void Add(
        GatedMlp expert, ReadOnlySpan<int> places, int each, ReadOnlySpan<float> input, ReadOnlySpan<float> weights, Span<float> sums, int width, ForwardPass pass)
    {
        Memory<float> gathered = pass.Buffer(PassBuffer.ExpertInputs, places.Length * width), result = pass.Buffer(PassBuffer.ExpertOutputs, places.Length * width);
        for (int i = 0; i < places.Length; i++)
        {
            input.Slice(places[i] / each * width, width).CopyTo(gathered.Span[(i * width)..]);
        }

        expert.Forward(gathered, places.Length, result, pass);
        for (int i = 0; i < places.Length; i++)
        {
            AddScaled(sums.Slice(places[i] / each * width, width), result.Span.Slice(i * width, width), weights[places[i]], pass);
        }
    }

    /// <summary>Adds the results of those tokens that chose an expert, of results for all tokens.</summary>
    private static void AddChosen(ReadOnlySpan<float> results, ReadOnlySpan<int> places, int each, ReadOnlySpan<float> weights, Span<float> sums, int width, ForwardPass pass)
    {
        foreach (int place in places)
        {
            Range row = (place / each * width)..((place / each * width) + width);
            AddScaled(sums[row], results[row], weights[place], pass);
        }
    }

    private static void AddScaled(Span<float> sum, ReadOnlySpan<float> values, float weight, ForwardPass pass)
    {
        if (pass.Compute.BFloat16Results)
        {
            ElementwiseKernels.AddScaledBFloat16(sum, values, weight, pass.Compute.InstructionSet);
        }
        else
        {
            ElementwiseKernels.AddScaled(sum, values, weight, pass.Compute.InstructionSet);
        }
    }

    private static int PlacesOf(int expert, ReadOnlySpan<int> chosen, Span<int> places)
    {
        int count = 0;
        for (int place = 0; place < chosen.Length; place++)
        {
            if (chosen[place] == expert)
            {
                places[count++] = place;
            }
        }

        return count;
    }
}
