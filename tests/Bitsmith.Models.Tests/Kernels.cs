using Bitsmith.Tensors.InstructionSets;
using Bitsmith.Tensors.Matrices;

namespace Bitsmith.Models.Tests;

/// <summary>Every way of computing products that this machine has: the instruction sets with exact inputs, and AVX-512 with inputs rounded to BF16.</summary>
internal static class Kernels
{
    /// <summary>The fastest kernels, every result rounded to BF16 as PyTorch rounds it.</summary>
    public const string BFloat16Results = "BF16 results";

    private const string BFloat16 = "Avx512 BF16";

    public static IReadOnlyList<string> All { get; } =
        [.. Cpu.Available.Select(set => set.ToString()), .. ComputeOptions.HasBFloat16Dot ? [BFloat16] : Array.Empty<string>()];

    public static ComputeOptions Options(string name, int threads) => name switch
    {
        BFloat16 => new ComputeOptions(threads, InstructionSet.Avx512, BFloat16Inputs: true),
        BFloat16Results => ComputeOptions.Default with { Threads = threads, BFloat16Results = true },
        _ => new ComputeOptions(threads, Enum.Parse<InstructionSet>(name)),
    };
}
