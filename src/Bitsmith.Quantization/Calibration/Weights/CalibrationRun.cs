using Bitsmith.Models;
using Bitsmith.Quantization.Calibration.Data;
using Bitsmith.Quantization.Jobs;
using Bitsmith.Quantization.Manifests;
using Bitsmith.Quantization.Planning;
using Bitsmith.Tensors.Matrices;

namespace Bitsmith.Quantization.Calibration.Weights;

/// <summary>The calibration of a quantization job, or of several that share a pass over the samples: the source as a running model, the samples, and what is done with each layer.</summary>
internal sealed class CalibrationRun : IDisposable
{
    private readonly QuantizationCalibration options;
    private readonly IReadOnlyList<QuantizationPlan> plans;
    private readonly GlmModel model;
    private readonly ComputeOptions compute;
    private readonly ILayerCalibration method;
    private readonly PipelineOptions pipeline;

    private CalibrationRun(QuantizationCalibration options, GlmModel model, ComputeOptions compute, IReadOnlyList<QuantizationPlan> plans, CalibrationData data, long? maxMemoryBytes)
    {
        (this.options, this.plans, this.model, this.compute, Data) = (options, plans, model, compute, data);
        method = new WeightCalibration(plans, options.Method);
        pipeline = new PipelineOptions { WorkFolder = string.Empty, Propagation = options.Propagation, MaxMemoryBytes = maxMemoryBytes, Resume = true };
        Needs = CalibrationNeeds.Of(model.Language, data, method, pipeline);
        Fingerprint = CalibrationPipeline.FingerprintOf(model.Language, data, method, compute, options.Propagation);
    }

    /// <summary>The samples.</summary>
    public CalibrationData Data { get; }

    /// <summary>What it takes.</summary>
    public CalibrationNeeds Needs { get; }

    /// <summary>Tells calibrations apart whose results would differ.</summary>
    public string Fingerprint { get; }

    /// <summary>Opens the model and reads the samples.</summary>
    /// <param name="folder">The model.</param>
    /// <param name="plans">What becomes of its tensors; several results from one pass.</param>
    /// <param name="options">How it is calibrated.</param>
    /// <param name="threads">Threads.</param>
    /// <param name="maxMemoryBytes">Most memory, or null.</param>
    /// <param name="cancellationToken">Stops between rows of the samples.</param>
    /// <exception cref="RequestException">The samples are too few or others than expected, the memory is too small, or the model cannot be calibrated so.</exception>
    /// <exception cref="Checkpoints.CheckpointException">Model or samples are broken.</exception>
    public static CalibrationRun Open(string folder, IReadOnlyList<QuantizationPlan> plans, QuantizationCalibration options, int threads, long? maxMemoryBytes, CancellationToken cancellationToken)
    {
        ComputeOptions compute = ComputeOptions.On(threads, exactInputs: false);
        GlmModel model = GlmModel.Open(folder, compute);
        try
        {
            CalibrationData data = CalibrationData.Load(options.Data, model, compute, cancellationToken);
            return options.ExpectedDigest is null || options.ExpectedDigest == data.Digest
                ? new CalibrationRun(options, model, compute, plans, data, maxMemoryBytes)
                : throw new RequestException($"the calibration samples are not those of the result that is to be made again: their digest is {data.Digest}, expected {options.ExpectedDigest}. Give the same data, number, length and seed.");
        }
        catch
        {
            model.Dispose();
            throw;
        }
    }

    /// <summary>Goes through the layers that are not done yet.</summary>
    /// <param name="workFolder">Where it works. Its files stay.</param>
    /// <param name="plan">The plan whose results are wanted.</param>
    /// <param name="progress">Told after each batch of samples.</param>
    /// <param name="cancellationToken">Stops it; layers that were done stay done.</param>
    /// <exception cref="Checkpoints.CheckpointException">The model computes what is no finite number, or what an interrupted job left is damaged.</exception>
    /// <exception cref="JobException">The system refused to write.</exception>
    /// <exception cref="OperationCanceledException">Cancelled.</exception>
    public CalibratedWeights Run(string workFolder, QuantizationPlan plan, IProgress<CalibrationProgress>? progress, CancellationToken cancellationToken)
    {
        IReadOnlyList<string> files;
        using (CalibrationPipeline run = CalibrationPipeline.Prepare(model.Language, Data, method, compute, pipeline with { WorkFolder = workFolder }))
        {
            run.Run(progress, cancellationToken);
            files = run.Results;
        }

        CalibratedWeights weights = CalibratedWeights.Open(files, plans.Index().First(pair => ReferenceEquals(pair.Item, plan)).Index, plans.Count, cancellationToken);
        try
        {
            weights.Check(plan);
            return weights;
        }
        catch
        {
            weights.Dispose();
            throw;
        }
    }

    /// <summary>What the manifest of a plan's result says of it.</summary>
    public ManifestCalibration Describe(QuantizationPlan plan, CalibratedWeights weights)
    {
        double[] gains = [.. plan.Rows.Select(row => weights.LossOf(row.Source.Name)?.GainDb).OfType<double>()];
        return new ManifestCalibration
        {
            Sources = [.. options.Data.Sources.Select(source => source with { Location = NameOf(source.Location) })],
            Samples = options.Data.Samples,
            MaxLength = options.Data.MaxLength,
            Lengths = options.Data.Lengths,
            Seed = options.Data.Seed,
            Field = options.Data.Field,
            Tokens = Data.Tokens,
            Digest = Data.Digest,
            Method = options.Method,
            Propagation = options.Propagation,
            Arithmetic = $"{compute.InstructionSet}, {(compute.BFloat16Inputs ? "BF16" : "F32")} products",
            OutputGainDb = gains.Length > 0 ? gains.Average() : null,
            Changed = [.. plan.Rows.Where(row => !row.IsEncoded && weights.Holds(row)).Select(row => row.Source.Name)],
            Experts = weights.Experts,
        };

        // Paths are no part of a result.
        static string NameOf(string location) => Path.Exists(location) ? Path.GetFileName(Path.TrimEndingDirectorySeparator(Path.GetFullPath(location))) : location;
    }

    /// <inheritdoc/>
    public void Dispose()
    {
        (method as IDisposable)?.Dispose();
        model.Dispose();
    }
}
