using System.Globalization;
using Bitsmith.Checkpoints;
using Bitsmith.Checkpoints.Gguf;
using Bitsmith.Checkpoints.Imatrix;
using Bitsmith.Quantization.Conversion;
using Bitsmith.Quantization.Jobs;
using Bitsmith.Quantization.Manifests;
using Bitsmith.Quantization.Mixes;
using Bitsmith.Tensors.Formats.Ggml;
using Bitsmith.Tensors.Matrices;

namespace Bitsmith.Quantization.Allocation;

/// <summary>How types are allocated.</summary>
public sealed record AllocationOptions
{
    /// <summary>How large the result may be.</summary>
    public required AllocationTarget Target { get; init; }

    /// <summary>What counts as loss.</summary>
    public AllocationMethod Method { get; init; }

    /// <summary>The types to choose from; null for those of the method.</summary>
    public IReadOnlyList<GgmlType>? Types { get; init; }

    /// <summary>With <see cref="AllocationMethod.WeightError"/>: only the head counts ten times.</summary>
    public bool NoImportance { get; init; }
}

/// <summary>Chooses the type of every tensor of a GGUF file so that the file is as large as it may be and loses least.</summary>
public static class GgufAllocator
{
    private const double ImportantFactor = 10;

    /// <summary>Allocates.</summary>
    /// <param name="job">The job: source, importance matrix, types given by name, limits of files. Its mix does not count.</param>
    /// <param name="options">How.</param>
    /// <param name="progress">Told after each tensor, in bytes of the tensors that stand behind, or null.</param>
    /// <param name="cancellationToken">Stops between tensors.</param>
    /// <exception cref="CheckpointException">The source or the importance matrix is broken, or a weight is no number.</exception>
    /// <exception cref="RequestException">The target is below what the smallest types take.</exception>
    /// <exception cref="OperationCanceledException">Cancelled.</exception>
    public static AllocationPlan Allocate(GgufJobOptions job, AllocationOptions options, IProgress<JobProgress>? progress, CancellationToken cancellationToken)
    {
        ArgumentNullException.ThrowIfNull(job);
        ArgumentNullException.ThrowIfNull(options);
        using GgufSource source = GgufSource.Open(job.Model);
        ImportanceMatrix? imatrix = job.Imatrix is null ? null : ImportanceMatrix.Load(job.Imatrix);
        Dictionary<string, GgufOutput> outputs = source.Tensors.ToDictionary(output => output.Info.Name, StringComparer.Ordinal);
        GgufTensorInfo[] ordered = [.. TensorRoles.InOrder(outputs.Values.Select(output => output.Info), tensor => tensor.Name)];
        List<GgufTensorInfo> open = [.. ordered.Where(tensor => TensorRoles.WhyUntouched(tensor) is null && !job.MixOptions.Gives(tensor.Name))];
        long elements = ordered.Sum(tensor => tensor.Elements);
        AllocationUnit[] units = Units(open, outputs, imatrix, options, job, source.Path, progress, cancellationToken);

        // What is not chosen has the same bytes whatever is. Header, alignment and splits take what they take: as many bytes fewer are left for tensors as a first choice is too long.
        Dictionary<string, GgufTensorInfo> given = Given(ordered, open, job, source, imatrix is not null);
        long budget = options.Target.TensorBytes(elements) - given.Values.Sum(tensor => tensor.Bytes);
        while (true)
        {
            AllocationSolution solution = AllocationSolver.Solve(units, budget);
            AllocationPlan plan = Describe(solution, units, open, given, elements, job, options, source, imatrix);
            long over = options.Target.FileBytes is { } limit ? FileBytes(plan, job) - limit : 0;
            if (over <= 0)
            {
                return plan;
            }

            budget = Math.Min(budget, solution.Bytes) - over;
        }
    }

    /// <summary>The bytes of all files of a plan.</summary>
    internal static long FileBytes(AllocationPlan plan, GgufJobOptions job)
    {
        using GgufQuantizationJob planned = GgufQuantizationJob.Prepare(Apply(plan, job));
        return planned.FileBytes;
    }

    /// <summary>The job that a plan makes of another.</summary>
    public static GgufJobOptions Apply(AllocationPlan plan, GgufJobOptions job)
    {
        ArgumentNullException.ThrowIfNull(plan);
        ArgumentNullException.ThrowIfNull(job);
        return job with
        {
            Mix = GgufMix.TryParse(plan.Scheme, out GgufMix? mix) ? mix : throw new RequestException($"the allocation names the scheme '{plan.Scheme}', which there is not."),
            Allocation = plan,
            AllowNoImatrix = true, // types that need one were left out, or asked for by name
        };
    }

    /// <summary>The tensors that are not open, as they will be written.</summary>
    private static Dictionary<string, GgufTensorInfo> Given(GgufTensorInfo[] ordered, List<GgufTensorInfo> open, GgufJobOptions job, GgufSource source, bool hasImportance)
    {
        HashSet<string> names = [.. open.Select(tensor => tensor.Name)];
        return MixPlanner.Decide(job.Mix, job.MixOptions, MixModel.Read(source.Metadata), ordered, hasImportance).Where(decision => !names.Contains(decision.Tensor.Name))
            .Select(decision => decision.Type is { } type ? decision.Tensor with { Type = GgufTensorType.Find((int)type)! } : decision.Tensor)
            .ToDictionary(tensor => tensor.Name, StringComparer.Ordinal);
    }

    private static AllocationUnit[] Units(
        List<GgufTensorInfo> open, Dictionary<string, GgufOutput> outputs, ImportanceMatrix? imatrix, AllocationOptions options, GgufJobOptions job, string path, IProgress<JobProgress>? progress, CancellationToken cancellationToken)
    {
        bool isYardstick = options.Method == AllocationMethod.WeightError;
        CostTable table = new(isYardstick ? new WeightErrorCost() : new OutputErrorCost(), imatrix, ComputeOptions.On(job.Threads, exactInputs: true));
        IReadOnlyList<GgmlType> menu = options.Types ?? (isYardstick ? TypeMenu.WeightError : TypeMenu.All);
        List<AllocationUnit> units = [];
        long done = 0, all = open.Sum(tensor => tensor.Bytes);
        foreach (GgufTensorInfo tensor in open)
        {
            bool known = imatrix?.Entries.GetValueOrDefault(tensor.Name) is { } entry && entry.Unseen < entry.Counts.Length;
            GgmlType[] types = [.. TypeMenu.Of(menu, tensor.Shape[^1], known)];
            double[] costs;
            try
            {
                costs = table.Of(outputs[tensor.Name], types, isYardstick ? WeightErrorRows(known) : OutputErrorRows, cancellationToken);
            }
            catch (Tensors.Formats.NonFiniteWeightException problem)
            {
                throw new CheckpointException(path, $"tensor '{tensor.Name}' holds {problem.Value}, which no type of few bits can; the checkpoint is damaged.", problem);
            }

            double factor = isYardstick && IsImportant(tensor.Name, options.NoImportance) ? ImportantFactor : 1;
            units.Add(new AllocationUnit(tensor.Name,
            [
                // What does not fit a type costs infinitely much.
                .. types.Select((type, i) => new AllocationOption(type.ToString(), BytesOf(tensor, type), factor * costs[i])).Where(option => double.IsFinite(option.Cost)),
                new AllocationOption(tensor.Type.Name, tensor.Bytes, 0),
            ]));
            done += tensor.Bytes;
            progress?.Report(new JobProgress(done, all, tensor.Name));
        }

        return [.. units];
    }

    /// <summary>Half a million weights of a tensor, a million where inputs are known, and no fewer than 64 or 128 rows of a matrix.</summary>
    private static Func<int, int, int, int> WeightErrorRows(bool known) => (rows, columns, matrices) =>
    {
        int least = known ? 128 : 64;
        double budget = (known ? 1 << 20 : 1 << 19) * Math.Clamp(Math.Sqrt(rows / 4096.0), 0.5, 2);
        return rows <= 2 * least ? rows : Math.Min(Math.Max((int)Math.Round(budget / matrices / columns), least), Math.Min(rows, 4096));
    };

    private static int OutputErrorRows(int rows, int columns, int matrices) => Math.Clamp((1 << 20) / columns / matrices, Math.Min(rows, matrices > 1 ? 16 : 128), rows);

    private static bool IsImportant(string name, bool onlyHead) => TensorRoles.Of(name).Role switch
    {
        TensorRole.Output => true,
        TensorRole.Value or TensorRole.AttentionOutput or TensorRole.Down => !onlyHead,
        _ => false,
    };

    private static long BytesOf(GgufTensorInfo tensor, GgmlType type) => (tensor with { Type = GgufTensorType.Find((int)type)! }).Bytes;

    private static AllocationPlan Describe(
        AllocationSolution solution, AllocationUnit[] units, List<GgufTensorInfo> open, Dictionary<string, GgufTensorInfo> given, long elements, GgufJobOptions job, AllocationOptions options, GgufSource source, ImportanceMatrix? imatrix)
    {
        long bytes = solution.Bytes + given.Values.Sum(tensor => tensor.Bytes);
        return new AllocationPlan
        {
            Format = AllocationPlan.CurrentFormat,
            Version = QuantizationJob.Version,
            Target = options.Target,
            Method = options.Method,
            Scheme = NearestMix(bytes, source, [.. open, .. given.Values], imatrix is not null),
            Elements = elements,
            TensorBytes = bytes,
            BitsPerWeight = 8.0 * bytes / elements,
            Cost = solution.Cost,
            LowerBound = solution.LowerBound,
            Imatrix = job.Imatrix is null ? null : FileHash.Compute(job.Imatrix).Sha256,
            Tensors = [.. units.Select((unit, i) => Allocated(unit, solution.Chosen[i]))],
        };
    }

    private static AllocatedTensor Allocated(AllocationUnit unit, int chosen)
    {
        AllocationOption taken = unit.Options[chosen];
        AllocationOption? smaller = unit.Options.Where(option => option.Bytes < taken.Bytes).OrderBy(option => option.Cost).Cast<AllocationOption?>().FirstOrDefault();
        AllocationOption? larger = unit.Options.Where(option => option.Cost < taken.Cost).OrderBy(option => option.Bytes).Cast<AllocationOption?>().FirstOrDefault();
        string[] words =
        [
            smaller is { } down ? string.Create(CultureInfo.InvariantCulture, $"{down.Name} would save {taken.Bytes - down.Bytes} bytes and lose {down.Cost - taken.Cost:G3} more") : "the smallest there is",
            larger is { } up ? string.Create(CultureInfo.InvariantCulture, $"{up.Name} would take {up.Bytes - taken.Bytes} bytes more and lose {taken.Cost - up.Cost:G3} less") : "none loses less",
        ];
        return new AllocatedTensor(unit.Name, taken.Name, taken.Bytes, taken.Cost, string.Join("; ", words));
    }

    /// <summary>llama.cpp's file type whose stock tensors take about as many bytes.</summary>
    private static string NearestMix(long bytes, GgufSource source, GgufTensorInfo[] tensors, bool hasImportance)
    {
        MixModel model = MixModel.Read(source.Metadata);
        return GgufMix.All.Where(mix => mix.Base is not (GgmlType.TQ1_0 or GgmlType.TQ2_0 or GgmlType.MXFP4 or GgmlType.NVFP4 or GgmlType.Q1_0 or GgmlType.Q2_0)).MinBy(mix => Math.Abs(bytes - StockBytes(mix)))!.Name;

        long StockBytes(GgufMix mix) => MixPlanner.Decide(mix, MixOptions.None, model, tensors, hasImportance).Sum(decision => decision.Type is { } type ? BytesOf(decision.Tensor, type) : decision.Tensor.Bytes);
    }
}
