using Bitsmith.Checkpoints;
using Bitsmith.Quantization.Allocation;
using Bitsmith.Quantization.Jobs;
using Bitsmith.Quantization.Mixes;
using Bitsmith.Quantization.Tests.Conversion;
using Bitsmith.Tensors.Formats.Ggml;

namespace Bitsmith.Quantization.Tests.Allocation;

public sealed class GgufAllocatorTests : IDisposable
{
    private readonly DirectoryInfo root = Directory.CreateTempSubdirectory("bitsmith-allocation-");

    public GgufAllocatorTests() => TinyModel.Copy("models/tiny-glm4-moe", Model);

    private string Model => Path.Combine(root.FullName, "model");

    private GgufJobOptions Job => new() { Model = Model, Output = Path.Combine(root.FullName, "out.gguf"), Mix = Mix("Q4_K_M"), Threads = 2 };

    public void Dispose() => root.Delete(recursive: true);

    [Theory]
    [InlineData(AllocationMethod.OutputError)]
    [InlineData(AllocationMethod.WeightError)]
    public void The_result_has_the_bits_that_were_asked_for_and_more_bits_lose_less(AllocationMethod method)
    {
        double last = double.PositiveInfinity;
        foreach (double bits in (double[])[7, 8.5, 10, 12.5])
        {
            AllocationPlan plan = Allocate(new AllocationOptions { Target = AllocationTarget.Bits(bits), Method = method });
            Assert.InRange(plan.BitsPerWeight, bits - 0.35, bits);
            Assert.Equal(plan.Cost, plan.LowerBound);
            Assert.True(plan.Cost < last, $"{bits} bits: {plan.Cost}, fewer: {last}");
            last = plan.Cost;
            using GgufQuantizationJob job = GgufQuantizationJob.Prepare(GgufAllocator.Apply(plan, Job));
            Assert.Equal(plan.TensorBytes, job.Plan.BytesAfter);
            Assert.Equal(plan.BitsPerWeight, 8.0 * job.Plan.BytesAfter / plan.Elements, 12);
            Assert.All(job.Plan.Rows.Where(row => row.IsEncoded), row => Assert.Equal("allocation", row.Rule));
        }
    }

    [Fact]
    public void Files_are_never_longer_than_was_asked_for_and_hardly_shorter()
    {
        AllocationPlan most = Allocate(new AllocationOptions { Target = AllocationTarget.Bits(10) });
        long whole = LengthOf(most);
        foreach (long size in (long[])[whole, whole - 1, whole + 1, whole * 9 / 10])
        {
            AllocationPlan plan = Allocate(new AllocationOptions { Target = AllocationTarget.Bytes(size) });
            Assert.InRange(LengthOf(plan), size * 0.97, size);
        }

        Assert.Equal(most.Tensors.Select(tensor => tensor.Type), Allocate(new AllocationOptions { Target = AllocationTarget.Bytes(whole) }).Tensors.Select(tensor => tensor.Type));

        long LengthOf(AllocationPlan plan)
        {
            using GgufQuantizationJob job = GgufQuantizationJob.Prepare(GgufAllocator.Apply(plan, Job) with { Force = true });
            job.Run(null, TestContext.Current.CancellationToken);
            return new FileInfo(Job.Output).Length;
        }
    }

    [Fact]
    public void Types_that_were_given_stay_and_those_to_choose_from_are_the_only_ones()
    {
        GgufJobOptions job = Job with { MixOptions = new MixOptions([new TensorTypeOverride("ffn_down=q5_1")], OutputType: GgmlType.Q8_0) };
        AllocationPlan plan = GgufAllocator.Allocate(job, new AllocationOptions { Target = AllocationTarget.Bits(9), Types = [GgmlType.Q4_0, GgmlType.Q8_0] }, null, TestContext.Current.CancellationToken);
        Assert.DoesNotContain(plan.Tensors, tensor => tensor.Name.Contains("ffn_down", StringComparison.Ordinal) || tensor.Name == "output.weight");
        Assert.Subset(new HashSet<string> { "Q4_0", "Q8_0", "BF16" }, plan.Tensors.Select(tensor => tensor.Type).ToHashSet());
        using GgufQuantizationJob planned = GgufQuantizationJob.Prepare(GgufAllocator.Apply(plan, job));
        Assert.Equal(plan.TensorBytes, planned.Plan.BytesAfter);
        Assert.All(planned.Plan.Rows.Where(row => row.Output.Name.Contains("ffn_down", StringComparison.Ordinal) && row.Output.Name.EndsWith(".weight", StringComparison.Ordinal)), row => Assert.Equal("Q5_1", row.Output.Type.Name));
    }

    [Fact]
    public void Threads_leave_no_trace_and_a_plan_that_was_changed_by_hand_is_what_is_written()
    {
        AllocationOptions options = new() { Target = AllocationTarget.Bits(9) };
        AllocationPlan plan = Allocate(options);
        Assert.Equal(plan.ToJson(), GgufAllocator.Allocate(Job with { Threads = 5 }, options, null, TestContext.Current.CancellationToken).ToJson());
        string path = Path.Combine(root.FullName, "allocation.json");
        plan.Save(path);
        Assert.Equal(plan.ToJson(), AllocationPlan.Load(path).ToJson());

        AllocatedTensor first = plan.Tensors[0];
        File.WriteAllText(path, (plan with { Tensors = [first with { Type = "Q5_0" }, .. plan.Tensors.Skip(1)] }).ToJson());
        using GgufQuantizationJob job = GgufQuantizationJob.Prepare(GgufAllocator.Apply(AllocationPlan.Load(path), Job));
        Assert.Equal("Q5_0", job.Plan.Rows.Single(row => row.Output.Name == first.Name).Output.Type.Name);

        File.WriteAllText(path, plan.ToJson().Replace($"\"{first.Type}\"", "\"Q9_K\"", StringComparison.Ordinal));
        Assert.Contains("Q9_K", Assert.Throws<RequestException>(() => AllocationPlan.Load(path)).Message, StringComparison.Ordinal);
        File.WriteAllText(path, "{}");
        Assert.Contains("no allocation", Assert.Throws<CheckpointException>(() => AllocationPlan.Load(path)).Message, StringComparison.Ordinal);
        File.WriteAllText(path, (plan with { Tensors = [first, first] }).ToJson());
        Assert.Contains("twice", Assert.Throws<CheckpointException>(() => AllocationPlan.Load(path)).Message, StringComparison.Ordinal);
    }

    [Fact]
    public void A_target_below_the_smallest_types_is_refused() =>
        Assert.Contains("more than", Assert.Throws<RequestException>(() => Allocate(new AllocationOptions { Target = AllocationTarget.Bits(1) })).Message, StringComparison.Ordinal);

    private AllocationPlan Allocate(AllocationOptions options) => GgufAllocator.Allocate(Job, options, null, TestContext.Current.CancellationToken);

    private static GgufMix Mix(string name) => GgufMix.TryParse(name, out GgufMix? mix) ? mix : throw new ArgumentException(name);
}
