using Bitsmith.Checkpoints.Gguf;
using Bitsmith.Quantization.Jobs;
using Bitsmith.Tensors.Formats.Ggml;
using static Bitsmith.Tensors.Formats.Ggml.GgmlType;

namespace Bitsmith.Quantization.Mixes;

/// <summary>Decides the type of every tensor of a GGUF file as llama-quantize 0.7.0 does, and says by which rule.</summary>
public static class MixPlanner
{
    // The type that takes the place of one whose blocks do not divide a row.
    private static readonly Dictionary<GgmlType, GgmlType> Substitutes = new()
    {
        [IQ1_S] = IQ4_NL, [IQ1_M] = IQ4_NL, [IQ2_XXS] = IQ4_NL, [IQ2_XS] = IQ4_NL, [IQ2_S] = IQ4_NL, [IQ3_XXS] = IQ4_NL, [IQ3_S] = IQ4_NL, [IQ4_XS] = IQ4_NL,
        [Q2_K] = Q4_0, [Q3_K] = Q4_0, [TQ1_0] = Q4_0, [TQ2_0] = Q4_0, [Q2_0] = Q4_0, [Q4_K] = Q5_0, [Q5_K] = Q5_1, [Q6_K] = Q8_0,
    };

    /// <summary>Decides for all tensors.</summary>
    /// <param name="mix">The mix.</param>
    /// <param name="options">What the user wants otherwise.</param>
    /// <param name="model">The model's numbers.</param>
    /// <param name="tensors">The tensors, in any order.</param>
    /// <param name="hasImportance">An importance matrix is used: some rules then give smaller types.</param>
    /// <returns>A decision for each tensor, in the order in which llama-quantize writes them.</returns>
    /// <exception cref="RequestException">The rows of a tensor suit neither the type nor a substitute, or an override matches nothing.</exception>
    public static IReadOnlyList<MixDecision> Decide(GgufMix mix, MixOptions options, MixModel model, IEnumerable<GgufTensorInfo> tensors, bool hasImportance)
    {
        ArgumentNullException.ThrowIfNull(mix);
        ArgumentNullException.ThrowIfNull(options);
        ArgumentNullException.ThrowIfNull(model);
        GgufTensorInfo[] ordered = [.. TensorRoles.InOrder(tensors, tensor => tensor.Name)];
        Decider decider = new(mix, options, model, ordered, hasImportance);
        MixDecision[] decisions = [.. ordered.Select(decider.Decide)];
        return !options.AllowUnmatched && options.Overrides.FirstOrDefault(entry => !decider.Used.Contains(entry)) is { } unused
            ? throw new RequestException(
                $"--tensor-type '{unused.Text}' decides for no tensor: none that is quantized has such a name, or an earlier option decides for them. Correct it, or permit it with --allow-unmatched.")
            : decisions;
    }

    /// <summary>True where llama-quantize refuses to encode the tensor without an importance matrix.</summary>
    public static bool NeedsImportance(GgufMix mix, MixDecision decision)
    {
        ArgumentNullException.ThrowIfNull(mix);
        ArgumentNullException.ThrowIfNull(decision);
        return TensorRoles.Of(decision.Tensor.Name).Role is not (TensorRole.Embedding or TensorRole.Output)
            && decision.Type is IQ1_S or IQ1_M or IQ2_XXS or IQ2_XS or IQ2_S or IQ3_XXS or Q2_K && (decision.Type != Q2_K || mix.Name == "Q2_K_S");
    }

    private sealed class Decider(GgufMix mix, MixOptions options, MixModel model, GgufTensorInfo[] tensors, bool hasImportance)
    {
        private readonly int values = tensors.Count(tensor => TensorRoles.Of(tensor.Name).Role == TensorRole.Value);
        private readonly bool isTied = !tensors.Any(tensor => TensorRoles.Of(tensor.Name).Role == TensorRole.Output);
        private readonly Dictionary<TensorRole, int> seen = [];

        public HashSet<TensorTypeOverride> Used { get; } = [];

        public MixDecision Decide(GgufTensorInfo tensor)
        {
            if (TensorRoles.WhyUntouched(tensor) is { } reason)
            {
                return new MixDecision(tensor, null, $"kept: {reason}");
            }

            (GgmlType type, string rule) = Wanted(tensor);
            long columns = tensor.Shape[^1];
            if (columns % GgmlFormats.Of(type).BlockValues == 0)
            {
                return new MixDecision(tensor, type, rule);
            }

            GgmlType substitute = Substitutes.TryGetValue(type, out GgmlType other)
                ? columns % GgmlFormats.Of(other).BlockValues == 0 ? other : F16
                : throw new RequestException(
                    $"tensor '{tensor.Name}' has {columns} columns, which {type} cannot hold (its blocks have {GgmlFormats.Of(type).BlockValues}) and which no other type stands in for. Give it a type, for example --tensor-type '{tensor.Name}=f16'.");
            return new MixDecision(tensor, substitute, $"{rule}; {columns} columns are no multiple of {GgmlFormats.Of(type).BlockValues}: {substitute} in place of {type}");
        }

        private (GgmlType Type, string Rule) Wanted(GgufTensorInfo tensor)
        {
            (TensorRole role, string word) = TensorRoles.Of(tensor.Name);
            if (role == TensorRole.Embedding && options.EmbeddingType is { } embedding)
            {
                return (embedding, "--token-embedding-type");
            }

            if (role == TensorRole.Output && options.OutputType is { } output)
            {
                return (output, "--output-tensor-type");
            }

            if (options.Overrides.FirstOrDefault(entry => entry.Matches(tensor.Name)) is { } found)
            {
                Used.Add(found);
                return (found.Type, found.Rule);
            }

            return options.Pure || mix.IsFloat ? (mix.Base, options.Pure ? $"--pure: {mix.Base}" : mix.Name) : ByRules(tensor, role, word);
        }

        private (GgmlType Type, string Rule) ByRules(GgufTensorInfo tensor, TensorRole role, string word)
        {
            if (role == TensorRole.Output || (role == TensorRole.Embedding && isTied))
            {
                return options.OutputType is { } type ? (type, "--output-tensor-type, the embedding being the head")
                    : mix.ExpertsOnly is null && tensor.Shape[^1] % GgmlFormats.Of(mix.Base).BlockValues != 0 ? (Q8_0, $"{mix.Name}: output, {tensor.Shape[^1]} columns being no multiple of {GgmlFormats.Of(mix.Base).BlockValues}")
                    : (mix.Output, $"{mix.Name}: {(role == TensorRole.Output ? word : "token_embd, which is the head")}");
            }

            if (mix.ExpertsOnly is { } plain)
            {
                return tensor.Shape is [> 1, _, _] ? (mix.Base, $"{mix.Name}: experts") : (plain, $"{mix.Name}: not experts");
            }

            MixPlace place = PlaceOf(tensor, role);
            MixRule? rule = mix.RulesFor(role).FirstOrDefault(rule => rule.Condition.Holds(place));
            return rule is null
                ? (mix.Base, $"{mix.Name}: base type")
                : (rule.Type, $"{mix.Name}: {word}{(rule.Condition.Words.Length > 0 ? $", {rule.Condition.Words}" : string.Empty)}");
        }

        private MixPlace PlaceOf(GgufTensorInfo tensor, TensorRole role)
        {
            int before = seen.GetValueOrDefault(role);
            seen[role] = before + 1;
            bool byLayer = model.Experts > 1 && role != TensorRole.Value && !mix.IsLow;
            return new MixPlace(byLayer ? TensorRoles.LayerOf(tensor.Name) : before, role == TensorRole.Value ? values : model.Layers, model.HeadsPerKeyValue, model.Experts, hasImportance);
        }
    }
}
