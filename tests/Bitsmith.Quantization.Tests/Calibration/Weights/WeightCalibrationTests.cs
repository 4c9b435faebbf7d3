using Bitsmith.Checkpoints.HuggingFace;
using Bitsmith.Models;
using Bitsmith.Models.Layers;
using Bitsmith.Models.Weights;
using Bitsmith.Quantization.Calibration;
using Bitsmith.Quantization.Calibration.Data;
using Bitsmith.Quantization.Calibration.Statistics;
using Bitsmith.Quantization.Calibration.Weights;
using Bitsmith.Quantization.Modules;
using Bitsmith.Quantization.Planning;
using Bitsmith.Quantization.Recipes;
using Bitsmith.Tensors.Formats;
using Bitsmith.Tensors.Matrices;

namespace Bitsmith.Quantization.Tests.Calibration.Weights;

public sealed class WeightCalibrationTests : IDisposable
{
    private readonly DirectoryInfo root = Directory.CreateTempSubdirectory("bitsmith-weights-");

    public void Dispose() => root.Delete(recursive: true);

    [Theory]
    [InlineData("tiny-glm4", "w4a16")]
    [InlineData("tiny-glm4", "w4a16-asym")]
    [InlineData("tiny-glm4-moe", "w4a16")]
    [InlineData("tiny-glm4", "nvfp4a16")]
    [InlineData("tiny-glm4-moe", "nvfp4")]
    public void Each_method_brings_the_layers_outputs_closer_to_the_originals_than_rounding_to_nearest(string model, string scheme)
    {
        Dictionary<CalibrationMethod, double> errors = CalibrationMethods.All.ToDictionary(known => known.Method, known => ErrorOf(model, scheme, new WeightCalibrationOptions { Method = known.Method }));
        Assert.True(errors[CalibrationMethod.Search] < errors[CalibrationMethod.Rtn], $"search {errors[CalibrationMethod.Search]}, nearest {errors[CalibrationMethod.Rtn]}");
        Assert.True(errors[CalibrationMethod.Awq] < errors[CalibrationMethod.Rtn], $"AWQ {errors[CalibrationMethod.Awq]}, nearest {errors[CalibrationMethod.Rtn]}");
        Assert.True(errors[CalibrationMethod.Gptq] < 0.7 * errors[CalibrationMethod.Rtn], $"GPTQ {errors[CalibrationMethod.Gptq]}, nearest {errors[CalibrationMethod.Rtn]}");
        Assert.True(errors[CalibrationMethod.AwqGptq] < 0.7 * errors[CalibrationMethod.Rtn], $"both {errors[CalibrationMethod.AwqGptq]}, nearest {errors[CalibrationMethod.Rtn]}");
    }

    [Theory]
    [InlineData("tiny-glm4")]
    [InlineData("tiny-glm4-moe")]
    public void Limits_to_weights_bring_the_outputs_of_min_max_scales_closer(string model)
    {
        WeightCalibrationOptions awq = new() { Method = CalibrationMethod.Awq, Encoder = WeightEncoder.Library };
        double without = ErrorOf(model, "w4a16", awq), with = ErrorOf(model, "w4a16", awq with { Clip = true }), searched = ErrorOf(model, "w4a16", awq with { Encoder = WeightEncoder.Best });
        Assert.True(with < without, $"with limits {with}, without {without}");
        Assert.True(searched < without, $"searched scales {searched}, min-max {without}");
    }

    [Fact]
    public void Experts_weighed_by_the_router_lose_less_in_the_layers_outputs()
    {
        WeightCalibrationOptions alike = new() { Method = CalibrationMethod.Gptq };
        double before = ErrorOf("tiny-glm4-moe", "w4a16", alike), after = ErrorOf("tiny-glm4-moe", "w4a16", alike with { Weighting = TokenWeighting.Router });
        Assert.True(after < before, $"weighed {after}, alike {before}");
    }

    /// <summary>Squared error of the outputs of all layers over their squares, each layer seeing what the original ones compute.</summary>
    private double ErrorOf(string name, string scheme, WeightCalibrationOptions options)
    {
        string folder = Path.Combine(AppContext.BaseDirectory, "models", name);
        using CheckpointFolder source = CheckpointFolder.Open(folder);
        Recipe recipe = Presets.Get(scheme);
        QuantizationPlan plan = Planner.Create(
            ModuleTree.Build(source.Config, source.Tensors, folder), source.Tensors, scheme.StartsWith("w4a16", StringComparison.Ordinal) ? Presets.WithGroupSize(recipe, 32) : recipe, new PlanOptions(AllowUnmatched: true, KeepUnreadable: true), folder);
        Random random = new(11);
        CalibrationData data = CalibrationData.OfTokens([.. Enumerable.Range(0, 20).Select(_ => Enumerable.Range(0, 50).Select(_ => random.Next(256)).ToArray())]);
        using ModelWeights weights = ModelWeights.Open(folder);
        using Probe probe = new(new WeightCalibration([plan], options));
        using CalibrationPipeline pipeline = CalibrationPipeline.Prepare(
            LanguageModel.Create(weights, ComputeOptions.Default), data, probe, ComputeOptions.Default, new PipelineOptions { WorkFolder = Path.Combine(root.FullName, "work"), Propagation = Propagation.Original });
        pipeline.Run(null, TestContext.Current.CancellationToken);
        pipeline.Complete();
        return probe.Error / probe.Signal;
    }

    /// <summary>Runs every layer with its own and with its new weights.</summary>
    private sealed class Probe(WeightCalibration inner) : ILayerCalibration, IDisposable
    {
        public double Error { get; private set; }

        public double Signal { get; private set; }

        public string Settings => inner.Settings;

        public bool AllExperts => inner.AllExperts;

        public bool ReplacesWeights => inner.ReplacesWeights;

        public long MemoryBytes(IDecoderLayer layer) => inner.MemoryBytes(layer);

        public IForwardObserver Begin(CalibrationLayer layer) => inner.Begin(layer);

        public LayerWeights Finish(CalibrationLayer layer)
        {
            LayerWeights result = inner.Finish(layer);
            Outputs before = new(), after = new();
            layer.Run(before);
            layer.Run(after, weights: result);
            for (int i = 0; i < before.Values.Count; i++)
            {
                double difference = (double)after.Values[i] - before.Values[i];
                Error += difference * difference;
                Signal += (double)before.Values[i] * before.Values[i];
            }

            return result;
        }

        public void Write(int layer, Stream target) => inner.Write(layer, target);

        public void Read(int layer, Stream source) => inner.Read(layer, source);

        public void Dispose() => inner.Dispose();
    }

    private sealed class Outputs : IForwardObserver
    {
        public List<float> Values { get; } = [];

        public void OnLinearInput(Linear linear, ReadOnlyMemory<float> input, int tokens)
        {
        }

        public void OnLayerOutput(int layer, ReadOnlyMemory<float> hidden) => Values.AddRange(hidden.Span);

        public void OnRouted(int layer, int token, ReadOnlySpan<int> experts, ReadOnlySpan<float> weights)
        {
        }
    }
}
