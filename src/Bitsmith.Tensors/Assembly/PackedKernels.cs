using System.Runtime.Intrinsics.X86;
using Bitsmith.Tensors.Matrices.Packed;
using Iced.Intel;
using static Iced.Intel.AssemblerRegisters;

namespace Bitsmith.Tensors.Assembly;

/// <summary>Kernels for integer products, see <see cref="PackedTiles"/>, assembled for AVX-512 with VNNI when they are first needed.</summary>
internal static unsafe class PackedKernels
{
    /// <summary>Most weight rows of a tile.</summary>
    public const int MaxRows = 2;

    /// <summary>Most tokens of a tile.</summary>
    public const int MaxTokens = 4;

    private static readonly nint[] Kernels = new nint[2 * MaxRows * MaxTokens];
    private static readonly Lock Assembling = new();

    /// <summary>True where this CPU and system run them.</summary>
    public static bool IsAvailable { get; } = TileKernels.IsAvailable && X86Base.CpuId(0, 0).Eax >= 7 && (X86Base.CpuId(7, 0).Ecx & (1 << 11)) != 0;

    /// <summary>The kernel of a shape.</summary>
    /// <param name="hasMinima">Whether weights have offsets.</param>
    /// <param name="rows">1 to <see cref="MaxRows"/>.</param>
    /// <param name="tokens">1 to <see cref="MaxTokens"/>.</param>
    public static delegate* unmanaged<PackedArguments*, void> Get(bool hasMinima, int rows, int tokens)
    {
        ref nint kernel = ref Kernels[((((hasMinima ? 1 : 0) * MaxRows) + rows - 1) * MaxTokens) + tokens - 1];
        return (delegate* unmanaged<PackedArguments*, void>)(kernel == 0 ? Assemble(ref kernel, hasMinima, rows, tokens) : kernel);
    }

    // Apart from its only caller, which would otherwise allocate the lambda's captures each time.
    private static nint Assemble(ref nint kernel, bool hasMinima, int rows, int tokens)
    {
        lock (Assembling)
        {
            if (kernel == 0)
            {
                Volatile.Write(ref kernel, ExecutableMemory.Store(code => Write(code, hasMinima, rows, tokens)));
            }

            return kernel;
        }
    }

    private static void Write(Assembler code, bool hasMinima, int rows, int tokens)
    {
        AssemblerRegisterZMM[] z =
        [
            zmm0, zmm1, zmm2, zmm3, zmm4, zmm5, zmm6, zmm7, zmm8, zmm9, zmm10, zmm11, zmm12, zmm13, zmm14, zmm15,
            zmm16, zmm17, zmm18, zmm19, zmm20, zmm21, zmm22, zmm23, zmm24, zmm25, zmm26, zmm27, zmm28, zmm29, zmm30, zmm31,
        ];
        const int Integers = MaxRows * MaxTokens, Weight = 2 * Integers, Scratch = Weight + 8;
        Label loop = code.CreateLabel();
        code.mov(rax, __[rdi + PackedArguments.WeightsAt]);
        code.mov(rdx, __[rdi + PackedArguments.WeightStrideAt]);
        code.mov(r9, __[rdi + PackedArguments.InputsAt]);
        code.mov(r10, __[rdi + PackedArguments.InputStrideAt]);
        code.lea(r11, __[r10 + (r10 * 2)]);
        code.mov(rcx, __[rdi + PackedArguments.StepsAt]);
        for (int i = 0; i < rows * tokens; i++)
        {
            code.vpxord(z[i], z[i], z[i]);
        }

        code.Label(ref loop);
        for (int token = 0; token < tokens; token++)
        {
            for (int row = 0; row < rows; row++)
            {
                code.vmovdqu32(z[Integers + (row * tokens) + token], Input(token, PackedStep.CorrectionsAt));
            }
        }

        for (int quarter = 0; quarter < PackedStep.Codes; quarter += PackedStep.LaneBytes)
        {
            for (int row = 0; row < rows; row++)
            {
                code.vmovdqu32(z[Weight + row], Row(row, quarter));
            }

            for (int token = 0; token < tokens; token++)
            {
                AssemblerRegisterZMM input = z[Weight + MaxRows + token];
                code.vmovdqu32(input, Input(token, quarter));
                for (int row = 0; row < rows; row++)
                {
                    code.vpdpbusd(z[Integers + (row * tokens) + token], z[Weight + row], input);
                }
            }
        }

        for (int row = 0; row < rows; row++)
        {
            AssemblerRegisterZMM scale = z[Weight], minimum = z[Weight + 1], product = z[Scratch];
            code.vmovups(scale, Row(row, PackedStep.WeightScalesAt));
            if (hasMinima)
            {
                code.vmovups(minimum, Row(row, PackedStep.WeightMinimaAt));
            }

            for (int token = 0; token < tokens; token++)
            {
                AssemblerRegisterZMM term = z[Integers + (row * tokens) + token], total = z[(row * tokens) + token];
                code.vcvtdq2ps(term, term);
                code.vmulps(term, term, scale);
                if (hasMinima)
                {
                    code.vmulps(product, minimum, Input(token, PackedStep.SumsAt));
                    code.vsubps(term, term, product);
                }

                code.vmulps(term, term, Input(token, PackedStep.InputScalesAt));
                code.vaddps(total, total, term);
            }
        }

        code.add(rax, PackedStep.WeightBytes(hasMinima));
        code.add(r9, PackedStep.InputBytes);
        code.dec(rcx);
        code.jnz(loop);
        code.mov(rsi, __[rdi + PackedArguments.SumsAt]);
        for (int i = 0; i < rows * tokens; i++)
        {
            code.vmovups(__[rsi + (64 * i)], z[i]);
        }

        code.vzeroupper();
        code.ret();

        AssemblerMemoryOperand Row(int row, int place) => row == 0 ? __zmmword_ptr[rax + place] : __zmmword_ptr[rax + rdx + place];

        AssemblerMemoryOperand Input(int token, int place) => token switch
        {
            0 => __zmmword_ptr[r9 + place],
            1 => __zmmword_ptr[r9 + r10 + place],
            2 => __zmmword_ptr[r9 + (r10 * 2) + place],
            _ => __zmmword_ptr[r9 + r11 + place],
        };
    }
}
