using Bitsmith.Quantization.Calibration;
using Bitsmith.Quantization.Jobs;

namespace Bitsmith.Quantization.Planning;

/// <summary>What a job will need; the job holds to it.</summary>
/// <param name="PeakMemoryBytes">Most resident memory.</param>
/// <param name="DiskBytes">Free space needed where the result is written.</param>
/// <param name="ReadBytes">Bytes read from the source.</param>
/// <param name="Shards">Weight files written.</param>
/// <param name="Seconds">About how long it will take, by what a few rows took; null where that was not measured.</param>
public sealed record ResourceEstimate(long PeakMemoryBytes, long DiskBytes, long ReadBytes, int Shards, double? Seconds = null)
{
    // Measured: the runtime, the command line and the JIT, before any tensor.
    private const long RuntimeBytes = 120L << 20;

    // Measured: the same of a running model, with its tokenizer and what the garbage collector leaves. Of the tokenizer: the file, its text and its tokens as objects.
    private const long ModelBytes = 64L << 20;
    private const int CopiesOfTokenizer = 8;

    // Names, shapes, rows and JSON of one tensor, in the source and in the result.
    private const long BytesPerTensor = 6 << 10;

    // Of a GGUF file: its bytes, and its texts as objects, read from a tokenizer's JSON that is no smaller. Of an importance matrix: the file, its sums, and the factors of one tensor.
    private const int CopiesOfHeader = 12, CopiesOfImatrix = 3;

    // Config, index, manifest and journal of one tensor.
    private const long TextBytesPerTensor = 1 << 10;

    /// <summary>Refuses a limit below what the job needs.</summary>
    /// <exception cref="RequestException">It is below.</exception>
    internal void CheckMemory(long? limit, int threads)
    {
        if (limit < PeakMemoryBytes)
        {
            throw new RequestException($"the job needs {PeakMemoryBytes >> 20} MiB of memory with {threads} thread(s); --max-memory gives {limit >> 20} MiB. Use fewer --threads or a higher limit.");
        }
    }

    /// <summary>Predicts from the plan of a GGUF result.</summary>
    /// <param name="steps">What will be done.</param>
    /// <param name="imatrixBytes">Length of the importance matrix.</param>
    /// <param name="threads">Encoding threads.</param>
    internal static ResourceEstimate Predict(GgufSteps steps, long imatrixBytes, int threads)
    {
        long pool = GgufPipeline.BytesFor(threads, GgufSteps.MostValues(steps.Plan));
        long header = steps.Layouts.Sum(layout => (long)layout.HeaderBytes.Length), text = steps.Plan.Rows.Count * TextBytesPerTensor;
        return new ResourceEstimate(
            RuntimeBytes + pool + GgufSteps.MappedBytes + (CopiesOfHeader * header) + (CopiesOfImatrix * imatrixBytes) + (steps.Plan.Rows.Count * BytesPerTensor),
            steps.Layouts.Sum(layout => layout.Length) + text + (1 << 20),
            steps.Source.Files.Sum(file => file.Length),
            steps.Layouts.Count);
    }

    /// <summary>Memory that a job takes whatever it does.</summary>
    private static long FixedBytes(QuantizationPlan plan) => RuntimeBytes + (plan.Rows.Count * BytesPerTensor);

    /// <summary>Memory that calibration takes whatever the samples are.</summary>
    internal static long CalibrationBytes(IReadOnlyList<QuantizationPlan> plans, string model)
    {
        FileInfo tokenizer = new(Path.Combine(model, "tokenizer.json"));
        return RuntimeBytes + plans.Sum(plan => plan.Rows.Count * BytesPerTensor) + ModelBytes + (tokenizer.Exists ? CopiesOfTokenizer * tokenizer.Length : 0);
    }

    /// <summary>Adds what calibration takes, which comes first: it leaves a copy of what it makes beside the result.</summary>
    internal ResourceEstimate With(CalibrationNeeds needs, IReadOnlyList<QuantizationPlan> plans, long calibrationBytes)
    {
        long made = plans.Sum(plan => plan.Rows.Where(row => row.IsEncoded).Sum(row => row.BytesAfter));
        return this with
        {
            PeakMemoryBytes = Math.Max(PeakMemoryBytes, calibrationBytes + needs.PeakBytes),
            DiskBytes = made + Math.Max(DiskBytes, 2 * needs.HiddenStateBytes),
            ReadBytes = ReadBytes + plans[0].BytesBefore,
        };
    }

    /// <summary>Predicts from the plan.</summary>
    /// <param name="plan">The plan.</param>
    /// <param name="sideFileBytes">Bytes of the side files that are copied.</param>
    /// <param name="maxShardBytes">Shard limit.</param>
    /// <param name="threads">Encoding threads.</param>
    public static ResourceEstimate Predict(QuantizationPlan plan, long sideFileBytes, long maxShardBytes, int threads)
    {
        ArgumentNullException.ThrowIfNull(plan);
        (long chunk, long scales) = (0, 0);
        foreach (PlanRow row in plan.Rows)
        {
            chunk = Math.Max(chunk, ChunkPlan.Of(row).BytesPerChunk);
            scales = Math.Max(scales, row.IsEncoded ? row.Outputs.Take(row.Group!.Storage.RowOutputs).Skip(1).Sum(output => output.Bytes) : 0);
        }

        long pool = ChunkPlan.PoolSize(threads) * (chunk + (chunk / 2));
        long text = plan.Rows.Count * TextBytesPerTensor;
        return new ResourceEstimate(
            FixedBytes(plan) + pool + (2 * scales),
            plan.BytesAfter + sideFileBytes + text + (1 << 20),
            plan.BytesBefore + plan.Rows.Where(row => row.Fusion is not null).Sum(row => row.Source.Bytes) + sideFileBytes,
            plan.Shards(maxShardBytes).Count);
    }
}
