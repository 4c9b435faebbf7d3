using Bitsmith.Checkpoints;
using Bitsmith.Models;
using Bitsmith.Models.Layers;

namespace Bitsmith.Evaluation.Comparison;

/// <summary>How far the hidden state [tokens × D] behind a decoder layer lies from the base model's: ‖x - y‖ / ‖y‖, y the base model's, over all tokens of a passage together.</summary>
/// <param name="Layer">The layer, from 0 on.</param>
/// <param name="Carried">Where the model has run all layers up to here: the error carried along and this layer's own.</param>
/// <param name="Own">Where the layer is given the base model's state: its own error alone.</param>
public sealed record LayerError(int Layer, double Carried, double Own);

/// <summary>Runs a model and a base model beside each other, layer by layer, over one passage.</summary>
internal static class LayerErrors
{
    /// <summary>Measures the layers. States are binary32, sums of squares binary64.</summary>
    /// <param name="model">The model.</param>
    /// <param name="baseModel">The base model.</param>
    /// <param name="tokens">The passage.</param>
    /// <param name="cancellationToken">Stops between layers.</param>
    /// <exception cref="CheckpointException">The models have other layers or widths.</exception>
    public static IReadOnlyList<LayerError> Measure(EvaluatedModel model, EvaluatedModel baseModel, ReadOnlySpan<int> tokens, CancellationToken cancellationToken)
    {
        (LanguageModel language, LanguageModel reference) = (model.Language, baseModel.Language);
        if ((language.Layers.Count, language.Config.HiddenSize) != (reference.Layers.Count, reference.Config.HiddenSize))
        {
            throw new CheckpointException(
                model.Conditions.Model,
                $"has {language.Layers.Count} layers of width {language.Config.HiddenSize}, {baseModel.Conditions.Model} has {reference.Layers.Count} of {reference.Config.HiddenSize}. Compare a model with the one it was made from.");
        }

        // Three runs in step: the base model, the model, and the model's layers on the base model's states.
        using Lane expected = new(baseModel, tokens), carried = new(model, tokens), own = new(model, tokens);
        List<LayerError> errors = [];
        for (int layer = 0; layer < language.Layers.Count; layer++)
        {
            cancellationToken.ThrowIfCancellationRequested();
            expected.State.CopyTo(own.State);
            expected.Run(layer);
            carried.Run(layer);
            own.Run(layer);
            errors.Add(new LayerError(layer, Distance(carried.State.Span, expected.State.Span), Distance(own.State.Span, expected.State.Span)));
        }

        return errors;
    }

    /// <summary>‖x - y‖ / ‖y‖; 0 where both are zero.</summary>
    internal static double Distance(ReadOnlySpan<float> x, ReadOnlySpan<float> y)
    {
        double difference = 0, length = 0;
        for (int i = 0; i < x.Length; i++)
        {
            double distance = (double)x[i] - y[i];
            (difference, length) = (difference + (distance * distance), length + ((double)y[i] * y[i]));
        }

        return difference == 0 ? 0 : Math.Sqrt(difference / length);
    }

    private sealed class Lane : IDisposable
    {
        private readonly LanguageModel language;
        private readonly KvCache cache;
        private readonly ForwardPass pass;

        public Lane(EvaluatedModel model, ReadOnlySpan<int> tokens)
        {
            language = model.Language;
            cache = language.NewCache(tokens.Length, model.Settings.CacheType);
            pass = language.NewPass();
            State = language.Embed(tokens);
            language.Begin(pass, new SequenceRun(cache, tokens.Length));
        }

        public Memory<float> State { get; }

        public void Run(int layer) => language.RunLayers(State, pass, layer, 1);

        public void Dispose()
        {
            pass.Dispose();
            cache.Dispose();
        }
    }
}
