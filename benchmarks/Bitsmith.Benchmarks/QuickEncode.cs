using System.Diagnostics;
using Bitsmith.Checkpoints.HuggingFace;
using Bitsmith.Checkpoints.Safetensors;
using Bitsmith.Quantization.Jobs;
using Bitsmith.Quantization.Planning;
using Bitsmith.Quantization.Recipes;
using Bitsmith.Tensors.ElementTypes;
using Bitsmith.Tensors.Formats;
using Bitsmith.Tensors.InstructionSets;

namespace Bitsmith.Benchmarks;

/// <summary>
/// The encoder on a real checkpoint's Linears, on one thread: each tensor is read into memory, then only <see cref="Fp8Block.Encode"/>
/// is timed. The counterpart of <c>proofs/peers/library_compress.py --time-only</c>.
/// </summary>
internal static class QuickEncode
{
    private static readonly TimeSpan WarmUp = TimeSpan.FromSeconds(1);

    /// <summary>Measures and prints tensors, bytes, seconds and GB/s.</summary>
    /// <param name="model">A model folder.</param>
    /// <param name="scheme">The preset that picks Linears and block.</param>
    /// <param name="limitBytes">Stops before the tensor that would exceed this many source bytes.</param>
    public static void Run(string model, string scheme, long limitBytes)
    {
        Dictionary<string, PlanRow> rows;
        using (QuantizationJob job = QuantizationJob.Prepare(new JobOptions { Model = model, Output = string.Empty, Recipe = Presets.Get(scheme) }))
        {
            rows = job.Plan.Rows.Where(row => row.IsEncoded).ToDictionary(row => row.Source.Name);
        }

        using CheckpointFolder folder = CheckpointFolder.Open(model);
        Stopwatch clock = new();
        (int count, long bytes) = (0, 0);
        foreach (SafetensorsFile file in folder.Files)
        {
            foreach (StoredTensor tensor in file.Header.Tensors.Where(tensor => rows.ContainsKey(tensor.Name)))
            {
                if (bytes + tensor.Bytes > limitBytes)
                {
                    continue;
                }

                byte[] weights = new byte[tensor.Bytes];
                file.Read(tensor.Offset, weights);
                Encode(tensor, weights, rows[tensor.Name].Group!.Block, clock, warmUp: count == 0);
                bytes += tensor.Bytes;
                count++;
            }
        }

        double seconds = clock.Elapsed.TotalSeconds;
        Console.WriteLine($"bitsmith {Cpu.Default.ToString().ToLowerInvariant()}, 1 thread: {count} Linears, {bytes} bytes, {seconds:0.000} s, {bytes / seconds / 1e9:0.000} GB/s");
    }

    private static void Encode(StoredTensor tensor, byte[] weights, BlockShape block, Stopwatch clock, bool warmUp)
    {
        (int rows, int columns) = (checked((int)tensor.Shape[0]), checked((int)tensor.Shape[1]));
        (int gridRows, int gridColumns) = block.GridOf(rows, columns);
        byte[] codes = new byte[tensor.Elements], scales = new byte[gridRows * gridColumns * tensor.Type.Bytes()];
        QuantizationError[] errors = new QuantizationError[gridRows];

        // Fresh pages would be faulted in while the clock runs.
        codes.AsSpan().Fill(1);
        for (Stopwatch warm = Stopwatch.StartNew(); warmUp && warm.Elapsed < WarmUp;)
        {
            Fp8Block.Encode(WeightEncoder.Library, tensor.Type, weights, rows, columns, block, codes, scales, errors, []);
        }

        clock.Start();
        Fp8Block.Encode(WeightEncoder.Library, tensor.Type, weights, rows, columns, block, codes, scales, errors, []);
        clock.Stop();
    }
}
