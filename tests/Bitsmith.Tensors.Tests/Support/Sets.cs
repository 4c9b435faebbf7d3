using Bitsmith.Tensors.InstructionSets;

namespace Bitsmith.Tensors.Tests.Support;

/// <summary>The instruction sets that this machine can run, as test data.</summary>
internal static class Sets
{
    public static IReadOnlyList<InstructionSet> All => Cpu.Available;

    public static TheoryData<InstructionSet> Data => [.. All];
}
