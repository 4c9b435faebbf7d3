using Bitsmith.Checkpoints.Safetensors;
using Bitsmith.Models.Layers;
using Bitsmith.Quantization.Calibration.Awq;
using Bitsmith.Quantization.Calibration.Statistics;
using Bitsmith.Quantization.Formats;
using Bitsmith.Quantization.Planning;
using Bitsmith.Tensors.ElementTypes;
using Bitsmith.Tensors.Formats;
using Bitsmith.Tensors.Formats.Ggml;
using Bitsmith.Tensors.Gptq;
using Bitsmith.Tensors.Matrices;

namespace Bitsmith.Quantization.Calibration.Weights;

/// <summary>What becomes of the Linears of a plan, layer by layer, from the statistics that a <see cref="WeightCalibration"/> takes.</summary>
/// <param name="plan">Which Linears, and in what formats.</param>
/// <param name="options">How.</param>
internal sealed class PlanCalibration(QuantizationPlan plan, WeightCalibrationOptions options)
{
    // What limits to weights are tried on at once.
    private const int ClippedBytes = 1 << 20;

    // Factors are weighed with the encoder that the weights get without GPTQ.
    private readonly AwqOptions scaling = new() { Encoder = options.Encoder };

    private readonly Dictionary<string, PlanRow> rows = plan.Rows.Where(row => row.IsEncoded).ToDictionary(row => row.Module.Name, StringComparer.Ordinal);
    private readonly Dictionary<string, TensorInfo> sources = plan.Rows.ToDictionary(row => row.Source.Name, row => row.Source, StringComparer.Ordinal);
    private readonly List<(TensorInfo Tensor, ReadOnlyMemory<byte> Content)> tensors = [];
    private readonly Dictionary<string, OutputLoss> losses = new(StringComparer.Ordinal);

    /// <summary>What the result depends on.</summary>
    public string Settings => string.Join('\n', rows.Values.Select(row => $"{row.Source.Name} {row.Group!.Storage} {row.Fusion}"));

    /// <summary>What the last layer became.</summary>
    public LayerResults Results => new(tensors, losses);

    /// <summary>Whether a Linear is encoded.</summary>
    public bool Encodes(Linear linear) => rows.ContainsKey(linear.Name);

    /// <summary>Whether the second moments of a Linear's input are needed.</summary>
    public bool UsesMoments(Linear linear) => HasGptq(linear) || (options.HasAwq && Encodes(linear));

    /// <summary>Memory while a layer is at work, beside its statistics, in bytes: what is kept of it, and the most that is at work at a time.</summary>
    public (long Kept, long Working) MemoryBytes(IDecoderLayer layer)
    {
        Linear[] encoded = [.. layer.Linears.Where(Encodes)];
        long working = encoded.Select(linear => ((long)linear.Weight.Rows * linear.Weight.Columns * sizeof(float)) + (HasGptq(linear) ? MomentFactor.BytesOf(linear.Weight.Columns) : 0)).DefaultIfEmpty().Max();
        return (encoded.Sum(linear => rows[linear.Name].BytesAfter), Math.Max(working + (options.Clip ? AwqClip.Copies * ClippedBytes : 0), options.HasAwq ? AwqSearch.MemoryBytes(layer, FormatOf) : 0));
    }

    /// <summary>Encodes a layer's weights.</summary>
    /// <param name="layer">The layer.</param>
    /// <param name="inputs">What flowed into its Linears; complete.</param>
    /// <returns>What the layer runs with from here on.</returns>
    public LayerWeights Encode(CalibrationLayer layer, LayerStatistics inputs)
    {
        tensors.Clear();
        losses.Clear();
        AwqResult? scaled = options.HasAwq ? AwqSearch.Find(layer, inputs, FormatOf, name => sources[name].Type, scaling) : null;
        Linear[] linears = [.. layer.Layer.Linears.Where(Encodes)];
        Dictionary<string, float> ranges = Ranges(linears, scaled, layer.Compute);
        Dictionary<Linear, WeightMatrix> replaced = new(ReferenceEqualityComparer.Instance);
        foreach (var group in linears.GroupBy(linear => (Moments: HasGptq(linear) ? inputs.MomentsOf(linear) : null, Factors: scaled?.FactorsOf(linear))))
        {
            using MomentFactor? factor = group.Key.Moments is null ? null : new MomentFactor(group.Key.Moments, group.Key.Factors, options.Damping, layer.Compute);
            foreach (Linear linear in group)
            {
                layer.CancellationToken.ThrowIfCancellationRequested();
                PlanRow row = rows[linear.Name];
                float global = row.Fusion is null ? 1 : NvFp4Group.LibraryGlobalScale(row.Source.Type, ranges[row.Fusion]);
                replaced.Add(linear, Encode(linear, row, global, inputs, scaled, factor, layer.Compute));
            }
        }

        LayerWeights weights = Fold(layer, scaled, replaced);
        NoteConstants(layer, linears, inputs, ranges, scaled is null ? null : weights);
        return weights;
    }

    private StorageFormat? FormatOf(Linear linear) => rows.GetValueOrDefault(linear.Name)?.Group!.Storage;

    private bool HasGptq(Linear linear) => options.HasGptq && FormatOf(linear)?.HasGptq == true;

    /// <summary>The largest magnitude of the weights that share a global scale.</summary>
    private Dictionary<string, float> Ranges(Linear[] linears, AwqResult? scaled, ComputeOptions compute)
    {
        Dictionary<string, float> ranges = new(StringComparer.Ordinal);
        foreach (Linear linear in linears)
        {
            if (rows[linear.Name].Fusion is { } fusion)
            {
                float largest = 0;
                foreach (float weight in Read(linear, scaled, compute))
                {
                    largest = Math.Max(largest, Math.Abs(weight));
                }

                ranges[fusion] = Math.Max(largest, ranges.GetValueOrDefault(fusion));
            }
        }

        return ranges;
    }

    /// <summary>A weight as it is to be encoded.</summary>
    private static float[] Read(Linear linear, AwqResult? scaled, ComputeOptions compute)
    {
        int columns = linear.Weight.Columns;
        float[] weights = GC.AllocateUninitializedArray<float>(checked(linear.Weight.Rows * columns));
        compute.For(linear.Weight.Rows, row =>
        {
            Span<float> values = weights.AsSpan(row * columns, columns);
            linear.Weight.Read(row, 1, values, compute.InstructionSet);
            scaled?.Apply(linear, row, values);
        });
        return weights;
    }

    /// <summary>Encodes a Linear and notes codes, scales and zero points.</summary>
    private WeightMatrix Encode(Linear linear, PlanRow row, float global, LayerStatistics inputs, AwqResult? scaled, MomentFactor? factor, ComputeOptions compute)
    {
        StorageFormat format = row.Group!.Storage;
        byte[][] parts = format.Allocate(row.Outputs, linear.Weight.Rows);
        EncodedRows encoded = EncodedRows.Of(parts);
        float[] weights = Read(linear, scaled, compute);
        if (factor is null)
        {
            float[]? factors = scaled?.FactorsOf(linear);
            if (options.Clip && format.Block.Rows == 1)
            {
                Clip(weights, factors, inputs.MomentsOf(linear), format, row.Source.Type, global, compute);
            }

            Search(options.Encoder, format, row.Source, weights, global, inputs.Of(linear), factors, encoded, compute);
        }
        else
        {
            GptqLoss loss = format.EncodeGptq(row.Source.Type, weights, global, factor, options.Rounding, encoded, compute);
            losses[row.Source.Name] = new OutputLoss(loss.Error, loss.LibraryError, loss.Signal);
        }

        tensors.AddRange(parts.Select((part, i) => (row.Outputs[i], (ReadOnlyMemory<byte>)part)));
        TensorBytes[] bytes = [.. parts.Select(TensorBytes.FromArray)];
        return format.Matrix(row.Source, bytes[0], bytes[1], bytes.ElementAtOrDefault(2), global);
    }

    /// <summary>Notes what AWQ changes besides the weights that are encoded, and tells what the layer runs with.</summary>
    private LayerWeights Fold(CalibrationLayer layer, AwqResult? scaled, Dictionary<Linear, WeightMatrix> replaced)
    {
        if (scaled is null)
        {
            return new LayerWeights(replaced);
        }

        foreach (Linear linear in layer.Layer.Linears.Where(linear => scaled.Changes(linear) && !rows.ContainsKey(linear.Name)))
        {
            TensorInfo source = sources[linear.Name + ".weight"];
            byte[] bytes = Note(source, Read(linear, scaled, layer.Compute));
            replaced.Add(linear, WeightMatrix.Dense(source.Type, linear.Weight.Rows, linear.Weight.Columns, TensorBytes.FromArray(bytes)));
        }

        foreach ((LayerVector vector, float[] values) in scaled.Vectors)
        {
            Note(sources[vector.Name], values);
        }

        return new LayerWeights(replaced, scaled.Vectors);

        byte[] Note(TensorInfo source, float[] values)
        {
            byte[] bytes = new byte[source.Bytes];
            ElementConversion.FromSingle(source.Type, values, bytes);
            tensors.Add((source, bytes));
            return bytes;
        }
    }

    /// <summary>Notes what is small. Where AWQ has scaled the inputs, the layer runs again for their ranges.</summary>
    private void NoteConstants(CalibrationLayer layer, Linear[] linears, LayerStatistics inputs, Dictionary<string, float> ranges, LayerWeights? scaled)
    {
        using LayerStatistics? after = scaled is not null && linears.Any(linear => FormatOf(linear)!.HasInputGlobalScale) ? new LayerStatistics(layer, options.Statistics) : null;
        if (after is not null)
        {
            layer.Run(after, options.AllExperts, scaled);
            after.Complete(scaled);
        }

        foreach (Linear linear in linears)
        {
            PlanRow row = rows[linear.Name];
            StorageFormat format = row.Group!.Storage;
            GlobalScales global = new(
                row.Fusion is null ? 1 : NvFp4Group.LibraryGlobalScale(row.Source.Type, ranges[row.Fusion]),
                format.HasInputGlobalScale ? NvFp4Group.LibraryGlobalScale(row.Source.Type, (after ?? inputs).Of(linear).AbsMax) : 1);
            ReadOnlyMemory<byte> constants = format.Constants(row.Source, global);
            foreach (TensorInfo output in row.Outputs.Skip(format.RowOutputs))
            {
                tensors.Add((output, constants[..(int)output.Bytes]));
                constants = constants[(int)output.Bytes..];
            }
        }
    }

    /// <summary>Limits weights as AWQ does, some rows at a time: ten copies of them are tried.</summary>
    private static void Clip(float[] weights, float[]? factors, SecondMoments moments, StorageFormat format, ElementType type, float global, ComputeOptions compute)
    {
        int part = Math.Max(1, ClippedBytes / sizeof(float) / moments.Columns) * moments.Columns;
        for (int first = 0; first < weights.Length; first += part)
        {
            AwqClip.Limit(weights.AsMemory(first, Math.Min(part, weights.Length - first)), factors, moments, format, type, global, compute);
        }
    }

    /// <summary>Scales by search, columns counting as their inputs' mean squares.</summary>
    private static void Search(WeightEncoder encoder, StorageFormat format, TensorInfo source, float[] weights, float global, InputSums sums, float[]? factors, EncodedRows encoded, ComputeOptions compute)
    {
        int columns = (int)source.Shape[1], height = format.RowsTogether * Math.Max(1, 64 / format.RowsTogether), count = (int)source.Shape[0];
        float[] squares = new float[columns];
        for (int i = 0; i < columns; i++)
        {
            double factor = factors?[i] ?? 1;
            squares[i] = (float)(sums.Squares[i] / Math.Max(sums.Weight, double.Epsilon) / (factor * factor));
        }

        ColumnWeights importance = ColumnWeights.Of(squares, columns);
        compute.For((count + height - 1) / height, task =>
        {
            int first = task * height, rows = Math.Min(height, count - first), grid = format.RowsOf(1, rows);
            byte[] part = new byte[rows * columns * source.Type.Bytes()];
            ElementConversion.FromSingle(source.Type, weights.AsSpan(first * columns, rows * columns), part, compute.InstructionSet);
            format.Encode(
                encoder, source.Type, part, rows, importance, global,
                format.Slice(encoded, count, first, rows), new QuantizationError[grid], new QuantizationError[encoder == WeightEncoder.Best ? grid : 0]);
        });
    }
}
