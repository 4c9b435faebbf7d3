using System.Runtime.CompilerServices;
using System.Runtime.Intrinsics;
using System.Runtime.Intrinsics.Arm;
using System.Runtime.Intrinsics.X86;
using Bitsmith.Tensors.InstructionSets;

namespace Bitsmith.Tensors.Measurement;

/// <summary>A multiply-and-add instruction of this CPU and the loop that repeats it.</summary>
/// <param name="Kind">What is multiplied: <c>f32_fma</c>, <c>bf16_dot</c> or <c>int8_dot</c>.</param>
/// <param name="Instruction">The instruction and its width, for example <c>vfmadd231ps, 512 bits</c>.</param>
/// <param name="Run">Does a number of steps, in each of which the instruction adds products of 1 and 1 to every one of several independent sums, and returns all sums added up: half the operations done.</param>
/// <param name="StepOperations">Multiplications and additions of a step.</param>
internal sealed record PeakLoop(string Kind, string Instruction, Func<long, double> Run, int StepOperations);

/// <summary>The most multiplications and additions per second that a loop without any memory access reaches.</summary>
/// <param name="Kind"><c>f32_fma</c>, <c>bf16_dot</c> or <c>int8_dot</c>.</param>
/// <param name="Instruction">The instruction and its width.</param>
/// <param name="Rate">Operations per second; a product and its addition are two.</param>
public sealed record Peak(string Kind, string Instruction, Rate Rate);

/// <summary>Measures the peak of arithmetic, the limit of processing prompts.</summary>
public static class PeakCompute
{
    // Sums at work at once: more than latency times instructions per cycle on any CPU so far.
    private const int Sums = 12;

    private const long StepsPerPass = 3_000_000;

    /// <summary>What this machine can do of each kind, in the widest form that an instruction set allows.</summary>
    internal static IReadOnlyList<PeakLoop> Loops(InstructionSet instructionSet) =>
    [
        instructionSet switch
        {
            InstructionSet.Avx512 => Loop<Vector512<float>, Fma512>("f32_fma", "vfmadd231ps, 512 bits"),
            InstructionSet.Avx2 => Loop<Vector256<float>, Fma256>("f32_fma", "vfmadd231ps, 256 bits"),
            InstructionSet.Vector128 => Loop<Vector128<float>, Fma128>("f32_fma", AdvSimd.Arm64.IsSupported ? "fmla, 128 bits" : "vfmadd231ps, 128 bits"),
            _ => Loop<float, FmaScalar>("f32_fma", AdvSimd.Arm64.IsSupported ? "fmadd" : "vfmadd231ss"),
        },
        .. instructionSet == InstructionSet.Avx512 ? AssembledPeaks.Loops : [],
        .. HasWideByteDot(instructionSet) ? []
            : instructionSet >= InstructionSet.Avx2 && AvxVnni.IsSupported ? [Loop<Vector256<int>, ByteDotAvxVnni>("int8_dot", "vpdpbusd, 256 bits")]
            : instructionSet == InstructionSet.Vector128 && Dp.IsSupported ? [Loop<Vector128<int>, ByteDotArm>("int8_dot", "sdot, 128 bits")]
            : (ReadOnlySpan<PeakLoop>)[],
    ];

    /// <summary>Measures each kind of arithmetic that there is.</summary>
    /// <param name="threads">Threads, each with sums of its own.</param>
    /// <param name="passes">Timed passes, behind one that is not.</param>
    /// <param name="instructionSet">Widest vectors.</param>
    /// <param name="clock">Tells the time.</param>
    /// <param name="cancellationToken">Stops between passes.</param>
    public static IReadOnlyList<Peak> Measure(int threads, int passes, InstructionSet instructionSet, TimeProvider clock, CancellationToken cancellationToken)
    {
        ArgumentNullException.ThrowIfNull(clock);
        ArgumentOutOfRangeException.ThrowIfLessThan(threads, 1);
        ArgumentOutOfRangeException.ThrowIfLessThan(passes, 1);
        return [.. Loops(instructionSet).Select(loop => new Peak(
            loop.Kind,
            loop.Instruction,
            Rate.Of(
                threads,
                (double)StepsPerPass * loop.StepOperations * threads,
                TimedTeam.Run(threads, passes, _ => loop.Run(StepsPerPass), clock, cancellationToken))))];
    }

    private static bool HasWideByteDot(InstructionSet instructionSet) => instructionSet == InstructionSet.Avx512 && AssembledPeaks.Loops.Any(loop => loop.Kind == "int8_dot");

    private static PeakLoop Loop<TVector, TOperation>(string kind, string instruction)
        where TOperation : struct, IPeakOperation<TVector> => new(kind, instruction, Repeat<TVector, TOperation>, Sums * TOperation.Operations);

    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    private static double Repeat<TVector, TOperation>(long steps)
        where TOperation : struct, IPeakOperation<TVector>
    {
        TVector x = TOperation.One, y = TOperation.One;
        TVector a = TOperation.Zero, b = a, c = a, d = a, e = a, f = a, g = a, h = a, i = a, j = a, k = a, l = a;
        for (long step = 0; step < steps; step++)
        {
            a = TOperation.Step(a, x, y);
            b = TOperation.Step(b, x, y);
            c = TOperation.Step(c, x, y);
            d = TOperation.Step(d, x, y);
            e = TOperation.Step(e, x, y);
            f = TOperation.Step(f, x, y);
            g = TOperation.Step(g, x, y);
            h = TOperation.Step(h, x, y);
            i = TOperation.Step(i, x, y);
            j = TOperation.Step(j, x, y);
            k = TOperation.Step(k, x, y);
            l = TOperation.Step(l, x, y);
        }

        return TOperation.Total(a) + TOperation.Total(b) + TOperation.Total(c) + TOperation.Total(d) + TOperation.Total(e) + TOperation.Total(f)
            + TOperation.Total(g) + TOperation.Total(h) + TOperation.Total(i) + TOperation.Total(j) + TOperation.Total(k) + TOperation.Total(l);
    }
}
