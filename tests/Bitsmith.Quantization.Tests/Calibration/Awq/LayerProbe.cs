using Bitsmith.Models;
using Bitsmith.Models.Layers;
using Bitsmith.Models.Weights;
using Bitsmith.Quantization.Calibration;
using Bitsmith.Quantization.Calibration.Data;
using Bitsmith.Quantization.Calibration.Statistics;
using Bitsmith.Tensors.Matrices;

namespace Bitsmith.Quantization.Tests.Calibration.Awq;

/// <summary>Hands each layer of a model, with the statistics of its inputs, to a test.</summary>
internal sealed class LayerProbe(StatisticsOptions options, Action<CalibrationLayer, LayerStatistics> finish) : ILayerCalibration, IDisposable
{
    private LayerStatistics? statistics;

    public static string Fixture(string name) => Path.Combine(AppContext.BaseDirectory, "models", name);

    public string Settings => string.Empty;

    public bool AllExperts => options.AllExperts;

    public bool ReplacesWeights => false;

    /// <summary>Runs a model over random tokens.</summary>
    public static void Run(string folder, StatisticsOptions options, Action<CalibrationLayer, LayerStatistics> finish, int threads = 2, int[]? lengths = null)
    {
        DirectoryInfo work = Directory.CreateTempSubdirectory("bitsmith-awq-");
        using ModelWeights weights = ModelWeights.Open(folder);
        ComputeOptions compute = ComputeOptions.Default with { Threads = threads };
        Random random = new(5);
        CalibrationData data = CalibrationData.OfTokens([.. (lengths ?? [40, 30, 64]).Select(length => Enumerable.Range(0, length).Select(_ => random.Next(256)).ToArray())]);
        using (LayerProbe probe = new(options, finish))
        using (CalibrationPipeline pipeline = CalibrationPipeline.Prepare(
            LanguageModel.Create(weights, compute), data, probe, compute, new PipelineOptions { WorkFolder = Path.Combine(work.FullName, "work") }))
        {
            pipeline.Run(null, TestContext.Current.CancellationToken);
        }

        work.Delete(recursive: true);
    }

    public long MemoryBytes(IDecoderLayer layer) => 0;

    public IForwardObserver Begin(CalibrationLayer layer) => statistics = new LayerStatistics(layer, options, _ => true);

    public LayerWeights Finish(CalibrationLayer layer)
    {
        statistics!.CompleteMoments();
        finish(layer, statistics);
        statistics.Dispose();
        return LayerWeights.None;
    }

    public void Dispose() => statistics?.Dispose();

    public void Write(int layer, Stream target)
    {
    }

    public void Read(int layer, Stream source)
    {
    }
}

/// <summary>Keeps what flows through a layer.</summary>
internal sealed class Recorder : IForwardObserver
{
    public Dictionary<string, List<float>> Inputs { get; } = [];

    public List<float> Outputs { get; } = [];

    public List<int> Routes { get; } = [];

    public void OnLinearInput(Linear linear, ReadOnlyMemory<float> input, int tokens)
    {
        if (!Inputs.TryGetValue(linear.Name, out List<float>? list))
        {
            Inputs[linear.Name] = list = [];
        }

        list.AddRange(input.Span);
    }

    public void OnLayerOutput(int layer, ReadOnlyMemory<float> hidden) => Outputs.AddRange(hidden.Span);

    public void OnRouted(int layer, int token, ReadOnlySpan<int> experts, ReadOnlySpan<float> weights) => Routes.AddRange(experts);
}
