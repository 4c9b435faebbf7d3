using Bitsmith.Checkpoints;
using Bitsmith.Models;
using Bitsmith.Models.Architectures;
using Bitsmith.Models.Layers;
using Bitsmith.Quantization.Calibration.Data;
using Bitsmith.Quantization.Jobs;
using Bitsmith.Tensors.Matrices;

namespace Bitsmith.Quantization.Calibration;

/// <summary>
/// Goes through a model layer by layer with all samples: memory holds the weights of one layer, and the hidden states of the samples as far as it may. After each layer its results and the hidden states
/// behind it are on disk, from which a job that was stopped goes on to the same results. Results do not depend on threads, on memory or on how many tokens run at once.
/// </summary>
public sealed class CalibrationPipeline : IDisposable
{
    private readonly CalibrationData data;
    private readonly ILayerCalibration calibration;
    private readonly PipelineOptions options;
    private readonly CalibrationFolder folder;
    private readonly HiddenStates states;
    private readonly ForwardPass pass;
    private readonly string fingerprint;
    private readonly float[] hidden;
    private readonly int longest;
    private readonly double[] costs;
    private Action<int>? report;

    private CalibrationPipeline(LanguageModel model, CalibrationData data, ILayerCalibration calibration, ComputeOptions compute, PipelineOptions options)
    {
        (Model, this.data, this.calibration, Compute, this.options) = (model, data, calibration, compute, options);
        int[] lengths = [.. data.Samples.Select(sample => sample.Tokens.Length)];
        longest = lengths.Max();
        Needs = CalibrationNeeds.Of(model, data, calibration, options);
        costs = [.. model.Layers.Select(layer => Cost(layer, model.Config.Moe, calibration.AllExperts))];
        fingerprint = FingerprintOf(model, data, calibration, compute, options.Propagation);
        folder = CalibrationFolder.Open(options.WorkFolder, fingerprint, options.Resume, options.Force);
        states = new HiddenStates(folder.Path, lengths, model.Config.HiddenSize, Needs.InMemory, compute.InstructionSet);
        hidden = GC.AllocateUninitializedArray<float>(Needs.TokensAtOnce * model.Config.HiddenSize);
        pass = model.NewPass();
        Restored = folder.Layers;
    }

    /// <summary>The model.</summary>
    public LanguageModel Model { get; }

    /// <summary>Threads and kernels.</summary>
    public ComputeOptions Compute { get; }

    /// <summary>Layers that an interrupted job has done.</summary>
    public int Restored { get; }

    /// <summary>What it takes.</summary>
    public CalibrationNeeds Needs { get; }

    /// <summary>The files with the results of the layers that are done.</summary>
    public IReadOnlyList<string> Results => folder.Results;

    /// <summary>The samples at work, for messages.</summary>
    internal string AtWork { get; private set; } = string.Empty;

    /// <summary>Checks what is asked for and makes the work folder, or takes up that of an interrupted job.</summary>
    /// <param name="model">The model, over open weights.</param>
    /// <param name="data">The samples.</param>
    /// <param name="calibration">What is done with each layer.</param>
    /// <param name="compute">Threads and kernels; those of the model.</param>
    /// <param name="options">How.</param>
    /// <exception cref="RequestException">The memory is too small, or an interrupted job is in the way or was another one.</exception>
    /// <exception cref="CheckpointException">What an interrupted job left is damaged.</exception>
    /// <exception cref="JobException">Another process works there, or the system refused.</exception>
    public static CalibrationPipeline Prepare(LanguageModel model, CalibrationData data, ILayerCalibration calibration, ComputeOptions compute, PipelineOptions options)
    {
        ArgumentNullException.ThrowIfNull(model);
        ArgumentNullException.ThrowIfNull(data);
        ArgumentNullException.ThrowIfNull(calibration);
        ArgumentNullException.ThrowIfNull(compute);
        ArgumentNullException.ThrowIfNull(options);
        return new CalibrationPipeline(model, data, calibration, compute, options);
    }

    /// <summary>Tells calibrations apart whose results would differ.</summary>
    internal static string FingerprintOf(LanguageModel model, CalibrationData data, ILayerCalibration calibration, ComputeOptions compute, Propagation propagation)
    {
        string settings = string.Join('\n', data.Digest, calibration.Settings, calibration.AllExperts, calibration.ReplacesWeights, propagation, compute.InstructionSet, compute.BFloat16Inputs, compute.BlockInputs, compute.BFloat16Results, QuantizationJob.Version);
        return ModelFingerprint.Of(settings, model, compute);
    }

    /// <summary>Runs all layers. The work folder stays until <see cref="Complete"/>.</summary>
    /// <param name="progress">Told after each batch of samples.</param>
    /// <param name="cancellationToken">Stops between batches; layers that were done stay done.</param>
    /// <exception cref="CheckpointException">The model computes what is no finite number, or what an interrupted job left is damaged.</exception>
    /// <exception cref="JobException">The system refused to write.</exception>
    /// <exception cref="OperationCanceledException">Cancelled.</exception>
    public void Run(IProgress<CalibrationProgress>? progress, CancellationToken cancellationToken)
    {
        for (int layer = 0; layer < Restored; layer++)
        {
            folder.Read(layer, stream => calibration.Read(layer, stream));
        }

        if (!folder.IsBegun)
        {
            Embed(cancellationToken);
        }
        else if (folder.Layers < Model.Layers.Count)
        {
            states.Open(folder.Layers);
        }

        long start = options.Time.GetTimestamp();
        double all = costs.Sum(), before = costs.Take(folder.Layers).Sum();
        for (int index = folder.Layers; index < Model.Layers.Count; index++)
        {
            int layer = index, runs = 0, last = 0;
            double behind = costs.Take(layer).Sum(), planned = RunsAgain(layer) ? 2 : 1;
            report = samples =>
            {
                runs += samples <= last ? 1 : 0;
                last = samples;
                double part = Math.Min(1, (runs + ((double)samples / data.Samples.Count)) / planned), done = behind + (costs[layer] * part);
                TimeSpan? left = done > before ? options.Time.GetElapsedTime(start) * ((all - done) / (done - before)) : null;
                progress?.Report(new CalibrationProgress(layer, Model.Layers.Count, samples, data.Samples.Count, done / all, left));
            };
            Calibrate(layer, cancellationToken);
        }

        report = null;
    }

    /// <summary>Removes the work folder: the results stand where they belong.</summary>
    public void Complete()
    {
        states.Dispose();
        folder.Delete();
    }

    /// <inheritdoc/>
    public void Dispose()
    {
        states.Dispose();
        folder.Dispose();
        pass.Dispose();
    }

    /// <summary>Runs all samples through a layer.</summary>
    /// <param name="layer">The layer.</param>
    /// <param name="observer">Sees the inputs of Linears, or null.</param>
    /// <param name="allExperts">Every expert sees every token.</param>
    /// <param name="weights">Weights in the place of the layer's own, or null.</param>
    /// <param name="keep">The outputs are the next layer's inputs.</param>
    /// <param name="cancellationToken">Stops between batches.</param>
    internal void RunLayer(int layer, IForwardObserver? observer, bool allExperts, LayerWeights? weights, bool keep, CancellationToken cancellationToken)
    {
        int width = Model.Config.HiddenSize;
        List<KvCache> caches = [];
        List<SequenceRun> runs = [];
        Replace(weights, isDone: false);
        (pass.Observer, pass.AllExperts) = (observer, allExperts);
        if (keep)
        {
            states.Begin(layer + 1);
        }

        try
        {
            for (int first = 0, count; first < data.Samples.Count; first += count)
            {
                cancellationToken.ThrowIfCancellationRequested();
                runs.Clear();
                int tokens = 0;
                for (count = 0; first + count < data.Samples.Count && (tokens + LengthOf(first + count)) * (long)width <= hidden.Length; count++)
                {
                    int sample = first + count, length = LengthOf(sample);
                    states.Read(sample, hidden.AsSpan(tokens * width, length * width));
                    if (caches.Count == count)
                    {
                        caches.Add(Model.NewLayerCache(layer, longest));
                    }

                    runs.Add(new SequenceRun(caches[count], length));
                    tokens += length;
                }

                AtWork = $"samples {first + 1} to {first + count} of {data.Samples.Count}";
                Model.Begin(pass, [.. runs]);
                Model.RunLayers(hidden.AsMemory(0, tokens * width), pass, layer, 1);
                for (int i = 0, at = 0; keep && i < count; at += LengthOf(first + i++) * width)
                {
                    states.Write(first + i, hidden.AsSpan(at, LengthOf(first + i) * width));
                }

                report?.Invoke(first + count);
            }
        }
        finally
        {
            caches.ForEach(cache => cache.Dispose());
            Replace(weights, isDone: true);
            pass.Observer = null;
        }
    }

    /// <summary>Multiplications for a token: of experts those that it is routed to, or all.</summary>
    private static double Cost(IDecoderLayer layer, MoeConfig? moe, bool allExperts)
    {
        double share = moe is null || allExperts ? 1 : (double)moe.NumExpertsPerTok / moe.NRoutedExperts;
        return layer.Linears.Sum(linear => (double)linear.Weight.Rows * linear.Weight.Columns * (LinearName.ExpertOf(linear.Name) is null ? 1 : share));
    }

    /// <summary>Puts weights into the place of the model's own, or these back.</summary>
    private void Replace(LayerWeights? weights, bool isDone)
    {
        foreach ((Linear linear, WeightMatrix weight) in (weights ?? LayerWeights.None).Linears)
        {
            pass.Replace(linear, isDone ? null : weight);
        }

        foreach ((LayerVector vector, float[] values) in (weights ?? LayerWeights.None).Vectors)
        {
            pass.Replace(vector, isDone ? null : values);
        }
    }

    private int LengthOf(int sample) => data.Samples[sample].Tokens.Length;

    private bool RunsAgain(int layer) => calibration.ReplacesWeights && options.Propagation == Propagation.Quantized && layer < Model.Layers.Count - 1;

    private void Embed(CancellationToken cancellationToken)
    {
        states.Begin(0);
        for (int sample = 0; sample < data.Samples.Count; sample++)
        {
            cancellationToken.ThrowIfCancellationRequested();
            Span<float> rows = hidden.AsSpan(0, LengthOf(sample) * Model.Config.HiddenSize);
            Model.Embed(data.Samples[sample].Tokens, rows);
            states.Write(sample, rows);
        }

        states.Finish();
        Model.ReleaseEmbedding();
        folder.Save(fingerprint, 0);
    }

    private void Calibrate(int index, CancellationToken cancellationToken)
    {
        bool again = RunsAgain(index), isLast = index == Model.Layers.Count - 1;
        CalibrationLayer layer = new(this, index, cancellationToken);
        RunLayer(index, calibration.Begin(layer), calibration.AllExperts, null, keep: !again && !isLast, cancellationToken);
        LayerWeights weights = calibration.Finish(layer);
        if (again)
        {
            RunLayer(index, null, allExperts: false, weights, keep: true, cancellationToken);
        }

        if (!isLast)
        {
            states.Finish();
        }

        Model.ReleaseLayer(index);
        folder.Write(index, stream => calibration.Write(index, stream));
        folder.Save(fingerprint, index + 1);
        states.Delete(index);
    }
}
