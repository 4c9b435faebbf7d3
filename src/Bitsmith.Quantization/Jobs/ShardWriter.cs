using System.Collections.Concurrent;
using Bitsmith.Checkpoints.Safetensors;
using Bitsmith.Quantization.Calibration.Weights;
using Bitsmith.Quantization.Formats;
using Bitsmith.Quantization.Planning;
using Bitsmith.Tensors.Formats;
using Microsoft.Win32.SafeHandles;

namespace Bitsmith.Quantization.Jobs;

/// <summary>Writes one weight file front to back and passes what it wrote on to be hashed.</summary>
internal sealed class ShardWriter : IDisposable
{
    // transformers looks for this.
    private static readonly Dictionary<string, string> Metadata = new() { ["format"] = "pt" };

    private readonly string path;
    private readonly SafetensorsLayout layout;
    private readonly WeightRanges ranges;
    private readonly CalibratedWeights? calibrated;
    private readonly BlockingCollection<Written> written;
    private readonly SafeFileHandle handle;
    private readonly List<TensorLoss> losses = [];
    private byte[] scales = [], zeroPoints = [];
    private int scaleBytes, zeroPointBytes;
    private QuantizationError error, libraryError;
    private long position;
    private bool handedOver;

    public ShardWriter(string folder, Shard<PlanRow> shard, WeightRanges ranges, CalibratedWeights? calibrated, BlockingCollection<Written> written)
    {
        path = Path.Combine(folder, shard.FileName);
        layout = Layout(shard);
        this.ranges = ranges;
        this.calibrated = calibrated;
        this.written = written;

        // Reserving the length makes a full disk show before the work, not after it.
        handle = DurableFile.Attempt(path, () => File.OpenHandle(path, FileMode.Create, FileAccess.ReadWrite, FileShare.Read, FileOptions.None, layout.Length));
        Append(layout.HeaderBytes);
        written.Add(new Written(layout.HeaderBytes, null, null));
    }

    public static SafetensorsLayout Layout(Shard<PlanRow> shard) =>
        SafetensorsLayout.Create([.. shard.Units.SelectMany(row => row.Outputs)], Metadata);

    public void Write(Chunk chunk)
    {
        PlanRow row = chunk.Step.Row!;
        ReadOnlyMemory<byte> data = chunk.Result;
        Append(data);
        if (row.IsEncoded)
        {
            Collect(chunk, row);
        }

        // From here on the chunk belongs to the hashing stage.
        bool endsWeight = row.IsEncoded && chunk.Step.EndsTensor;
        written.Add(new Written(data, chunk, null));
        if (endsWeight)
        {
            byte[] constants = calibrated?.Holds(row) == true ? calibrated.Constants(row) : row.Group!.Storage.Constants(row.Source, new GlobalScales(ranges.Of(row), 1));
            foreach (ReadOnlyMemory<byte> rest in (ReadOnlyMemory<byte>[])[scales.AsMemory(0, scaleBytes), zeroPoints.AsMemory(0, zeroPointBytes), constants])
            {
                Append(rest);
                written.Add(new Written(rest, null, null));
            }

            losses.Add(new TensorLoss(row.Source.Name, error, libraryError.Count > 0 ? libraryError : null));
            (scales, scaleBytes, zeroPoints, zeroPointBytes, error, libraryError) = ([], 0, [], 0, default, default);
        }
    }

    public void Complete(int index)
    {
        if (position != layout.Length)
        {
            throw new InvalidOperationException($"{path}: wrote {position} of {layout.Length} bytes");
        }

        handedOver = true;
        written.Add(new Written(default, null, new ShardEnd(index, path, handle, layout.Length, losses)));
    }

    public void Dispose()
    {
        if (!handedOver)
        {
            handle.Dispose();
        }
    }

    private void Collect(Chunk chunk, PlanRow row)
    {
        if (scales.Length == 0)
        {
            scales = new byte[row.Outputs[1].Bytes];
            zeroPoints = row.Group!.Storage.HasZeroPoints ? new byte[row.Outputs[2].Bytes] : [];
        }

        chunk.Rows.Scales.Span.CopyTo(scales.AsSpan(scaleBytes));
        scaleBytes += chunk.Rows.Scales.Length;
        chunk.Rows.ZeroPoints.Span.CopyTo(zeroPoints.AsSpan(zeroPointBytes));
        zeroPointBytes += chunk.Rows.ZeroPoints.Length;
        foreach (QuantizationError part in chunk.Errors.Span)
        {
            error += part;
        }

        foreach (QuantizationError part in chunk.LibraryErrors.Span)
        {
            libraryError += part;
        }
    }

    private void Append(ReadOnlyMemory<byte> data)
    {
        DurableFile.Attempt(path, () => RandomAccess.Write(handle, data.Span, position));
        position += data.Length;
    }
}
