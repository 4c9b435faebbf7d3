using Bitsmith.Tensors.InstructionSets;
using Bitsmith.Tensors.Matrices;

namespace Bitsmith.Models.Tests;

/// <summary>Every kind of kernel that this machine runs.</summary>
internal static class Kernels
{
    /// <summary>Each instruction set with exact inputs, and the BF16 dot product where the CPU has it.</summary>
    public static IEnumerable<ComputeOptions> All => Cpu.Available.Select(set => new ComputeOptions(2, set))
        .Concat(ComputeOptions.HasBFloat16Dot ? [new ComputeOptions(2, InstructionSet.Avx512, BFloat16Inputs: true)] : []);
}
