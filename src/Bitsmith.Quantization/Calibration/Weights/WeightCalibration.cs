using Bitsmith.Checkpoints.Safetensors;
using Bitsmith.Models.Layers;
using Bitsmith.Quantization.Calibration.Statistics;
using Bitsmith.Quantization.Formats;
using Bitsmith.Quantization.Planning;
using Bitsmith.Tensors.ElementTypes;
using Bitsmith.Tensors.Formats;
using Bitsmith.Tensors.Formats.Ggml;
using Bitsmith.Tensors.Gptq;
using Bitsmith.Tensors.Matrices;

namespace Bitsmith.Quantization.Calibration.Weights;

/// <summary>Encodes the Linears of a plan layer by layer, with regard to what flows into them.</summary>
/// <param name="plan">Which Linears, and in what formats.</param>
/// <param name="options">How.</param>
public sealed class WeightCalibration(QuantizationPlan plan, WeightCalibrationOptions options) : ILayerCalibration, IDisposable
{
    private readonly Dictionary<string, PlanRow> rows = plan.Rows.Where(row => row.IsEncoded).ToDictionary(row => row.Module.Name, StringComparer.Ordinal);
    private readonly List<(TensorInfo Tensor, ReadOnlyMemory<byte> Content)> tensors = [];
    private readonly Dictionary<string, OutputLoss> losses = new(StringComparer.Ordinal);
    private ExpertTokens? experts;
    private LayerStatistics? inputs;

    /// <inheritdoc/>
    public string Settings => string.Join('\n', (string[])[options.ToString(), .. rows.Values.Select(row => $"{row.Source.Name} {row.Group!.Storage} {row.Fusion}")]);

    /// <inheritdoc/>
    public bool AllExperts => options.AllExperts;

    /// <inheritdoc/>
    public bool ReplacesWeights => true;

    /// <inheritdoc/>
    public long MemoryBytes(IDecoderLayer layer)
    {
        ArgumentNullException.ThrowIfNull(layer);
        bool alike = options.Statistics is { AllExperts: true, Weighting: TokenWeighting.Alike };
        Linear[] encoded = [.. layer.Linears.Where(linear => rows.ContainsKey(linear.Name))], moments = [.. encoded.Where(UsesMoments)];
        long kept = moments.GroupBy(linear => LinearName.SharedInput(linear.Name, alike)).Sum(shared => SecondMoments.BytesOf(shared.First().Weight.Columns));
        long working = encoded.Select(linear => ((long)linear.Weight.Rows * linear.Weight.Columns * sizeof(float)) + (UsesMoments(linear) ? MomentFactor.BytesOf(linear.Weight.Columns) : 0)).DefaultIfEmpty().Max();
        return kept + working + encoded.Sum(linear => rows[linear.Name].BytesAfter);
    }

    /// <inheritdoc/>
    public IForwardObserver Begin(CalibrationLayer layer)
    {
        inputs?.Dispose();
        tensors.Clear();
        losses.Clear();
        return inputs = new LayerStatistics(layer, options.Statistics, UsesMoments, linear => rows.ContainsKey(linear.Name));
    }

    /// <inheritdoc/>
    public LayerWeights Finish(CalibrationLayer layer)
    {
        ArgumentNullException.ThrowIfNull(layer);
        experts = inputs!.Complete();
        Linear[] linears = [.. layer.Layer.Linears.Where(linear => rows.ContainsKey(linear.Name))];
        Dictionary<string, float> ranges = Ranges(linears, layer.Compute);
        Dictionary<Linear, WeightMatrix> replaced = new(ReferenceEqualityComparer.Instance);
        foreach (IGrouping<SecondMoments?, Linear> group in linears.GroupBy(linear => UsesMoments(linear) ? inputs.MomentsOf(linear) : null))
        {
            using MomentFactor? factor = group.Key is null ? null : new MomentFactor(group.Key, [], options.Damping, layer.Compute);
            foreach (Linear linear in group)
            {
                PlanRow row = rows[linear.Name];
                GlobalScales global = new(
                    row.Fusion is null ? 1 : NvFp4Group.LibraryGlobalScale(row.Source.Type, ranges[row.Fusion]),
                    row.Group!.Storage.HasInputGlobalScale ? NvFp4Group.LibraryGlobalScale(row.Source.Type, inputs.Of(linear).AbsMax) : 1);
                replaced.Add(linear, Encode(linear, row, global, factor, layer.Compute));
            }
        }

        inputs.Dispose();
        return new LayerWeights(replaced);
    }

    /// <inheritdoc/>
    public void Write(int layer, Stream target) => CalibratedWeights.Write(target, tensors, losses, experts);

    /// <inheritdoc/>
    public void Read(int layer, Stream source)
    {
        // The files themselves are the result; CalibratedWeights checks and reads them.
    }

    /// <inheritdoc/>
    public void Dispose() => inputs?.Dispose();

    private bool UsesMoments(Linear linear) => options.HasGptq && rows.TryGetValue(linear.Name, out PlanRow? row) && row.Group!.Storage.HasGptq;

    /// <summary>The largest magnitude of the weights that share a global scale.</summary>
    private Dictionary<string, float> Ranges(Linear[] linears, ComputeOptions compute)
    {
        Dictionary<string, float> ranges = new(StringComparer.Ordinal);
        foreach (Linear linear in linears)
        {
            if (rows[linear.Name].Fusion is { } fusion)
            {
                float largest = 0;
                foreach (float weight in Read(linear, compute))
                {
                    largest = Math.Max(largest, Math.Abs(weight));
                }

                ranges[fusion] = Math.Max(largest, ranges.GetValueOrDefault(fusion));
            }
        }

        return ranges;
    }

    private static float[] Read(Linear linear, ComputeOptions compute)
    {
        float[] weights = GC.AllocateUninitializedArray<float>(checked(linear.Weight.Rows * linear.Weight.Columns));
        compute.For(linear.Weight.Rows, row => linear.Weight.Read(row, 1, weights.AsSpan(row * linear.Weight.Columns, linear.Weight.Columns), compute.InstructionSet));
        return weights;
    }

    /// <summary>Encodes a Linear and notes its tensors.</summary>
    private WeightMatrix Encode(Linear linear, PlanRow row, GlobalScales global, MomentFactor? factor, ComputeOptions compute)
    {
        StorageFormat format = row.Group!.Storage;
        byte[] codes = new byte[row.Outputs[0].Bytes], scales = new byte[row.Outputs[1].Bytes];
        float[] weights = Read(linear, compute);
        if (factor is null)
        {
            Search(options.Method == CalibrationMethod.Rtn ? WeightEncoder.Library : WeightEncoder.Best, format, row.Source, weights, global.Weight, inputs!.Of(linear), codes, scales, compute);
        }
        else
        {
            GptqLoss loss = format.EncodeGptq(row.Source.Type, weights, global.Weight, factor, options.Rounding, codes, scales, compute);
            losses[row.Source.Name] = new OutputLoss(loss.Error, loss.LibraryError, loss.Signal);
        }

        tensors.Add((row.Outputs[0], codes));
        tensors.Add((row.Outputs[1], scales));
        ReadOnlyMemory<byte> constants = format.Constants(row.Source, global);
        foreach (TensorInfo output in row.Outputs.Skip(2))
        {
            tensors.Add((output, constants[..(int)output.Bytes]));
            constants = constants[(int)output.Bytes..];
        }

        return format.Matrix(row.Source, TensorBytes.FromArray(codes), TensorBytes.FromArray(scales), global.Weight);
    }

    /// <summary>Scales by search, columns counting as their inputs' mean squares.</summary>
    private static void Search(WeightEncoder encoder, StorageFormat format, TensorInfo source, float[] weights, float global, InputSums sums, byte[] codes, byte[] scales, ComputeOptions compute)
    {
        int columns = (int)source.Shape[1], height = format.Block.Rows * Math.Max(1, 64 / format.Block.Rows), count = (int)source.Shape[0];
        float[] squares = new float[columns];
        for (int i = 0; i < columns; i++)
        {
            squares[i] = (float)(sums.Squares[i] / Math.Max(sums.Weight, double.Epsilon));
        }

        ColumnWeights importance = ColumnWeights.Of(squares, columns);
        int gridRows = format.Block.GridOf(count, 1).Rows, codeBytes = codes.Length / count, scaleBytes = scales.Length / gridRows;
        compute.For((count + height - 1) / height, task =>
        {
            int first = task * height, rows = Math.Min(height, count - first), grid = format.Block.GridOf(rows, 1).Rows, firstGrid = first / format.Block.Rows;
            byte[] part = new byte[rows * columns * source.Type.Bytes()];
            ElementConversion.FromSingle(source.Type, weights.AsSpan(first * columns, rows * columns), part, compute.InstructionSet);
            format.Encode(
                encoder, source.Type, part, rows, importance, global,
                codes.AsSpan(first * codeBytes, rows * codeBytes), scales.AsSpan(firstGrid * scaleBytes, grid * scaleBytes), new QuantizationError[grid], new QuantizationError[encoder == WeightEncoder.Best ? grid : 0]);
        });
    }
}
