using Bitsmith.Tensors.InstructionSets;
using Bitsmith.Tensors.Matrices;

namespace Bitsmith.Tensors.Tests.Support;

/// <summary>The instruction sets that this machine can run, as test data.</summary>
internal static class Sets
{
    public static IReadOnlyList<InstructionSet> All => Cpu.Available;

    public static TheoryData<InstructionSet> Data => [.. All];

    /// <summary>All on one thread, and BF16 dot products where this machine has them.</summary>
    public static IReadOnlyList<ComputeOptions> Kernels =>
        [.. All.Select(set => new ComputeOptions(1, set)), .. ComputeOptions.HasBFloat16Dot ? [new ComputeOptions(1, InstructionSet.Avx512, BFloat16Inputs: true)] : (ComputeOptions[])[]];
}
