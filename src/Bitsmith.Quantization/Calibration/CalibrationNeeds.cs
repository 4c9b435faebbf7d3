using Bitsmith.Models;
using Bitsmith.Models.Architectures;
using Bitsmith.Quantization.Calibration.Data;
using Bitsmith.Quantization.Jobs;

namespace Bitsmith.Quantization.Calibration;

/// <summary>What a <see cref="CalibrationPipeline"/> takes.</summary>
/// <param name="LayerBytes">Memory of the largest layer's weights, of what is done with them, and of the tokens at work.</param>
/// <param name="HiddenStateBytes">Bytes of the hidden states between two layers; two files of them are there while a layer runs.</param>
/// <param name="InMemory">Hidden states are in memory too.</param>
/// <param name="TokensAtOnce">Most tokens that run at once.</param>
public sealed record CalibrationNeeds(long LayerBytes, long HiddenStateBytes, bool InMemory, int TokensAtOnce)
{
    /// <summary>Most memory that is taken, in bytes.</summary>
    public long PeakBytes => LayerBytes + (InMemory ? 2 * HiddenStateBytes : 0);

    /// <summary>Predicts.</summary>
    /// <exception cref="RequestException">The memory that is allowed is too small.</exception>
    internal static CalibrationNeeds Of(LanguageModel model, CalibrationData data, ILayerCalibration calibration, PipelineOptions options)
    {
        int atOnce = (int)Math.Min(data.Tokens, Math.Max(options.BatchTokens, data.Samples.Max(sample => sample.Tokens.Length)));
        long largest = model.Layers.Max(layer => layer.Linears.Sum(linear => linear.Weight.Bytes) + calibration.MemoryBytes(layer)) + WorkingBytes(model.Config, atOnce);
        long states = data.Tokens * model.Config.HiddenSize * sizeof(ushort);
        if (options.MaxMemoryBytes < largest)
        {
            throw new RequestException($"{options.MaxMemoryBytes} bytes of memory are too few: the largest layer, its statistics and the tokens at work take {largest}. Allow that much, or shorter samples.");
        }

        return new CalibrationNeeds(largest, states, largest + (2 * states) <= (options.MaxMemoryBytes ?? GC.GetGCMemoryInfo().TotalAvailableMemoryBytes / 4 * 3), atOnce);
    }

    /// <summary>Bytes of a pass's working memory, keys and values included.</summary>
    private static long WorkingBytes(DecoderConfig config, int tokens)
    {
        long query = (long)config.NumAttentionHeads * config.HeadDim, keyValue = (long)config.NumKeyValueHeads * config.HeadDim;
        long widest = Math.Max(config.IntermediateSize, Math.Max(query, config.HiddenSize));
        return tokens * ((6L * config.HiddenSize) + (2 * query) + (4 * keyValue) + (3L * config.IntermediateSize) + widest) * sizeof(float);
    }
}
