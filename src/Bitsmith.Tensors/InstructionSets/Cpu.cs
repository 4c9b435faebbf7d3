using System.Runtime.Intrinsics;
using System.Runtime.Intrinsics.X86;

namespace Bitsmith.Tensors.InstructionSets;

/// <summary>Which kernels run on this machine; decided once.</summary>
public static class Cpu
{
    /// <summary>The environment variable that forces a family.</summary>
    public const string Variable = "BITSMITH_ISA";

    /// <summary>Every family that this CPU and runtime can execute, slowest first.</summary>
    public static IReadOnlyList<InstructionSet> Available { get; } =
        [.. Enum.GetValues<InstructionSet>().Where(IsSupported)];

    /// <summary>
    /// The family that is used when a caller names none: the fastest available one, or what <c>BITSMITH_ISA</c> says.
    /// </summary>
    /// <exception cref="ArgumentException">See <see cref="Choose"/>.</exception>
    public static InstructionSet Default => Chosen.Value;

    private static readonly Lazy<InstructionSet> Chosen = new(() => Choose(Environment.GetEnvironmentVariable(Variable)));

    /// <summary>Resolves a value of <c>BITSMITH_ISA</c>; null or empty means the fastest.</summary>
    /// <exception cref="ArgumentException">The name is unknown, or this machine lacks the instructions.</exception>
    public static InstructionSet Choose(string? name)
    {
        if (string.IsNullOrEmpty(name))
        {
            return Available[^1];
        }

        foreach (InstructionSet set in Available)
        {
            if (set.ToString().Equals(name, StringComparison.OrdinalIgnoreCase))
            {
                return set;
            }
        }

        throw new ArgumentException(
            $"{Variable}={name}: this machine runs {string.Join(", ", Available).ToLowerInvariant()}. Use one of these, or unset {Variable}.");
    }

    private static bool IsSupported(InstructionSet set) => set switch
    {
        InstructionSet.Scalar => true,
        InstructionSet.Vector128 => Vector128.IsHardwareAccelerated,
        InstructionSet.Avx2 => Avx2.IsSupported,
        InstructionSet.Avx512 => Avx512BW.VL.IsSupported && Avx512DQ.VL.IsSupported,
        _ => false,
    };
}
