using System.Runtime.InteropServices;
using System.Runtime.Intrinsics.X86;
using Bitsmith.Tensors.Assembly;
using Iced.Intel;
using static Iced.Intel.AssemblerRegisters;

namespace Bitsmith.Tensors.Measurement;

/// <summary>Loops of instructions that .NET does not offer: 512-bit dot products of bfloat16 and of 8-bit integers.</summary>
internal static unsafe class AssembledPeaks
{
    private const int Sums = 24, Lanes = 16;

    /// <summary>Those that this CPU and system run.</summary>
    public static IReadOnlyList<PeakLoop> Loops { get; } = Create();

    private static List<PeakLoop> Create()
    {
        List<PeakLoop> loops = [];
        if (TileKernels.HasBFloat16Dot)
        {
            const int OneTwice = 0x3F80_3F80;
            nint kernel = Store((code, sum, ones) => code.vdpbf16ps(sum, ones, ones));
            loops.Add(new PeakLoop("bf16_dot", "vdpbf16ps, 512 bits", steps => Run(kernel, OneTwice, steps, lane => BitConverter.Int32BitsToSingle(lane)), Sums * Lanes * 4));
        }

        if (TileKernels.IsAvailable && X86Base.CpuId(0, 0).Eax >= 7 && (X86Base.CpuId(7, 0).Ecx & (1 << 11)) != 0)
        {
            const int OneFourTimes = 0x0101_0101;
            nint kernel = Store((code, sum, ones) => code.vpdpbusd(sum, ones, ones));
            loops.Add(new PeakLoop("int8_dot", "vpdpbusd, 512 bits", steps => Run(kernel, OneFourTimes, steps, lane => lane), Sums * Lanes * 8));
        }

        return loops;
    }

    private static nint Store(Action<Assembler, AssemblerRegisterZMM, AssemblerRegisterZMM> instruction) => ExecutableMemory.Store(code =>
    {
        AssemblerRegisterZMM[] sums =
        [
            zmm0, zmm1, zmm2, zmm3, zmm4, zmm5, zmm6, zmm7, zmm8, zmm9, zmm10, zmm11,
            zmm12, zmm13, zmm14, zmm15, zmm16, zmm17, zmm18, zmm19, zmm20, zmm21, zmm22, zmm23,
        ];
        Label loop = code.CreateLabel(), done = code.CreateLabel();
        code.vpbroadcastd(zmm24, __dword_ptr[rdi + Arguments.OnesAt]);
        code.mov(rax, __[rdi + Arguments.StepsAt]);
        foreach (AssemblerRegisterZMM sum in sums)
        {
            code.vpxord(sum, sum, sum);
        }

        code.test(rax, rax);
        code.jz(done);
        code.Label(ref loop);
        foreach (AssemblerRegisterZMM sum in sums)
        {
            instruction(code, sum, zmm24);
        }

        code.dec(rax);
        code.jnz(loop);
        code.Label(ref done);
        code.mov(rax, __[rdi + Arguments.SumsAt]);
        for (int i = 0; i < sums.Length; i++)
        {
            code.vmovdqu32(__zmmword_ptr[rax + (64 * i)], sums[i]);
        }

        code.vzeroupper();
        code.ret();
    });

    private static double Run(nint kernel, int ones, long steps, Func<int, double> read)
    {
        int* sums = stackalloc int[Sums * Lanes];
        Arguments arguments = new() { Steps = steps, Ones = ones, Sums = sums };
        ((delegate* unmanaged<Arguments*, void>)kernel)(&arguments);
        double total = 0;
        for (int i = 0; i < Sums * Lanes; i++)
        {
            total += read(sums[i]);
        }

        return total;
    }

    /// <summary>What a loop is told; the layout is known to the assembled code.</summary>
    [StructLayout(LayoutKind.Sequential)]
    private struct Arguments
    {
        public const int StepsAt = 0, SumsAt = 8, OnesAt = 16;

        public long Steps;
        public int* Sums;
        public int Ones;
    }
}
