using System.Runtime.Intrinsics.X86;
using Bitsmith.Tensors.InstructionSets;
using Iced.Intel;
using static Iced.Intel.AssemblerRegisters;

namespace Bitsmith.Tensors.Assembly;

/// <summary>How a tile kernel reads weights and multiplies them.</summary>
internal enum TileWeights
{
    /// <summary>binary32.</summary>
    Single,

    /// <summary>binary16, widened to binary32.</summary>
    Half,

    /// <summary>bfloat16, widened to binary32.</summary>
    BFloat16,

    /// <summary>bfloat16 times bfloat16 inputs: <c>vdpbf16ps</c>.</summary>
    BFloat16Dot,

    /// <summary>FP8 E4M3 codes, none of them NaN, with a factor for each block of columns, widened to binary32.</summary>
    Fp8,

    /// <summary>As <see cref="Fp8"/>, and the weight (code times scale) is rounded to bfloat16; the scale has 8 significant bits.</summary>
    Fp8BFloat16,
}

/// <summary>
/// Kernels for tiles of a matrix product, assembled for AVX-512 when they are first needed: rows × tokens inner products at once, with their 16 partial sums each in a register. An inner
/// product's order is that of <see cref="Matrices.DotProduct"/>: column c belongs to sum c mod 16 (for <see cref="TileWeights.BFloat16Dot"/>, the pair of columns 2p, 2p + 1 to sum
/// p mod 16), in ascending order; so it is the same in every shape of tile.
/// </summary>
internal static unsafe class TileKernels
{
    /// <summary>Most weight rows of a tile.</summary>
    public const int MaxRows = 4;

    /// <summary>Most tokens of a tile: 24 sums, 4 rows, 3 inputs and a scale are all 32 registers.</summary>
    public const int MaxTokens = 6;

    private static readonly nint[] Kernels = new nint[(int)(TileWeights.Fp8BFloat16 + 1) * MaxRows * MaxTokens];
    private static readonly Lock Assembling = new();

    /// <summary>True where this CPU and system run assembled AVX-512 kernels.</summary>
    public static bool IsAvailable { get; } = Cpu.Available.Contains(InstructionSet.Avx512) && ExecutableMemory.IsAvailable;

    /// <summary>True where <see cref="TileWeights.BFloat16Dot"/> can be used as well.</summary>
    public static bool HasBFloat16Dot { get; } = IsAvailable && X86Base.CpuId(0, 0).Eax >= 7 && (X86Base.CpuId(7, 1).Eax & (1 << 5)) != 0;

    /// <summary>Columns that a step of the kernel takes.</summary>
    public static int StepColumns(TileWeights weights) => weights == TileWeights.BFloat16Dot ? 32 : 16;

    /// <summary>The kernel of a shape. It writes the sums [rows][tokens][16], or adds to them.</summary>
    /// <param name="weights">Kind.</param>
    /// <param name="rows">1 to <see cref="MaxRows"/>.</param>
    /// <param name="tokens">1 to <see cref="MaxTokens"/>.</param>
    public static delegate* unmanaged<TileArguments*, void> Get(TileWeights weights, int rows, int tokens)
    {
        ref nint kernel = ref Kernels[((((int)weights * MaxRows) + rows - 1) * MaxTokens) + tokens - 1];
        return (delegate* unmanaged<TileArguments*, void>)(kernel == 0 ? Assemble(ref kernel, weights, rows, tokens) : kernel);
    }

    // Apart from its only caller, which would otherwise allocate the lambda's captures each time.
    private static nint Assemble(ref nint kernel, TileWeights weights, int rows, int tokens)
    {
        lock (Assembling)
        {
            if (kernel == 0)
            {
                Volatile.Write(ref kernel, ExecutableMemory.Store(code => Write(code, weights, rows, tokens)));
            }

            return kernel;
        }
    }

    private static void Write(Assembler code, TileWeights kind, int rows, int tokens)
    {
        AssemblerRegisterZMM[] z =
        [
            zmm0, zmm1, zmm2, zmm3, zmm4, zmm5, zmm6, zmm7, zmm8, zmm9, zmm10, zmm11, zmm12, zmm13, zmm14, zmm15,
            zmm16, zmm17, zmm18, zmm19, zmm20, zmm21, zmm22, zmm23, zmm24, zmm25, zmm26, zmm27, zmm28, zmm29, zmm30, zmm31,
        ];
        const int FirstRow = MaxRows * MaxTokens, Input = FirstRow + MaxRows;
        AssemblerRegisterZMM scale = zmm31;
        int weightStep = kind switch { TileWeights.Single or TileWeights.BFloat16Dot => 64, TileWeights.Fp8 or TileWeights.Fp8BFloat16 => 16, _ => 32 };
        Label block = code.CreateLabel(), loop = code.CreateLabel(), tail = code.CreateLabel(), done = code.CreateLabel();

        code.mov(rax, __[rdi + TileArguments.WeightsAt]);
        code.mov(rdx, __[rdi + TileArguments.WeightStrideAt]);
        code.lea(r8, __[rdx + (rdx * 2)]);
        code.mov(r9, __[rdi + TileArguments.InputsAt]);
        code.mov(r10, __[rdi + TileArguments.InputStrideAt]);
        code.lea(r11, __[r10 + (r10 * 2)]);
        code.lea(rcx, __[r10 + (r10 * 4)]);
        // A zeroing mask of all ones or none: loads that begin at zero read nothing.
        code.xor(esi, esi);
        code.cmp(rsi, __[rdi + TileArguments.AddsAt]);
        code.sbb(esi, esi);
        code.kmovw(k1, esi);
        code.mov(rsi, __[rdi + TileArguments.SumsAt]);
        for (int i = 0; i < rows * tokens; i++)
        {
            code.vmovups(z[i].k1.z, __[rsi + (64 * i)]);
        }

        code.mov(rsi, __[rdi + TileArguments.StepsAt]);
        code.test(rsi, rsi);
        code.jz(tail);
        if (kind >= TileWeights.Fp8)
        {
            BeginBlock();
        }

        code.Label(ref loop);
        Step(masked: false);
        code.add(rax, weightStep);
        code.add(r9, 64);
        code.dec(rsi);
        code.jnz(loop);
        if (kind >= TileWeights.Fp8)
        {
            code.cmp(__qword_ptr[rdi + TileArguments.StepsAt], 0);
            code.jnz(block);
        }

        code.Label(ref tail);
        code.mov(rsi, __[rdi + TileArguments.TailMaskAt]);
        code.test(rsi, rsi);
        code.jz(done);
        if (kind == TileWeights.BFloat16Dot)
        {
            code.kmovd(k1, esi); // a bit for each of 32 columns
        }
        else
        {
            code.kmovw(k1, esi);
        }

        if (kind >= TileWeights.Fp8)
        {
            code.vbroadcastss(scale, __dword_ptr[rdi + TileArguments.TailScaleAt]);
        }

        Step(masked: true);
        code.Label(ref done);
        code.mov(rsi, __[rdi + TileArguments.SumsAt]);
        for (int i = 0; i < rows * tokens; i++)
        {
            code.vmovups(__[rsi + (64 * i)], z[i]);
        }

        code.vzeroupper();
        code.ret();

        // Takes the factor of the next block of columns and the steps that are left of it; what the arguments count is used up.
        void BeginBlock()
        {
            Label whole = code.CreateLabel();
            code.Label(ref block);
            code.mov(rsi, __[rdi + TileArguments.ScalesAt]);
            code.vbroadcastss(scale, __dword_ptr[rsi]);
            code.add(rsi, sizeof(float));
            code.mov(__[rdi + TileArguments.ScalesAt], rsi);
            code.mov(rsi, __[rdi + TileArguments.StepsAt]);
            code.cmp(rsi, __[rdi + TileArguments.BlockStepsAt]);
            code.jbe(whole);
            code.mov(rsi, __[rdi + TileArguments.BlockStepsAt]);
            code.Label(ref whole);
            code.sub(__[rdi + TileArguments.StepsAt], rsi);
        }

        void Step(bool masked)
        {
            for (int row = 0; row < rows; row++)
            {
                LoadWeights(z[FirstRow + row], row, masked);
            }

            for (int token = 0; token < tokens; token++)
            {
                AssemblerRegisterZMM input = z[Input + (token % 3)];
                AssemblerMemoryOperand place = token switch { 0 => __[r9], 1 => __[r9 + r10], 2 => __[r9 + (r10 * 2)], 3 => __[r9 + r11], 4 => __[r9 + (r10 * 4)], _ => __[r9 + rcx] };
                if (masked && kind == TileWeights.BFloat16Dot)
                {
                    code.vmovdqu16(input.k1.z, place);
                }
                else
                {
                    code.vmovups(masked ? input.k1.z : input, place);
                }

                for (int row = 0; row < rows; row++)
                {
                    if (kind == TileWeights.BFloat16Dot)
                    {
                        code.vdpbf16ps(z[(row * tokens) + token], z[FirstRow + row], input);
                    }
                    else
                    {
                        code.vfmadd231ps(z[(row * tokens) + token], z[FirstRow + row], input);
                    }
                }
            }
        }

        void LoadWeights(AssemblerRegisterZMM target, int row, bool masked)
        {
            AssemblerRegisterZMM masking = masked ? target.k1.z : target;
            AssemblerMemoryOperand place = row switch { 0 => __[rax], 1 => __[rax + rdx], 2 => __[rax + (rdx * 2)], _ => __[rax + r8] };
            switch (kind)
            {
                case TileWeights.Single:
                    code.vmovups(masking, place);
                    break;
                case TileWeights.Half:
                    code.vcvtph2ps(masking, place);
                    break;
                case TileWeights.BFloat16:
                    code.vpmovzxwd(masking, place);
                    code.vpslld(target, target, 16);
                    break;
                case TileWeights.Fp8 or TileWeights.Fp8BFloat16:
                    LoadFp8(target, masked, place);
                    break;
                default:
                    if (masked)
                    {
                        code.vmovdqu16(masking, place);
                    }
                    else
                    {
                        code.vmovups(target, place);
                    }

                    break;
            }
        }

        // Sign extension puts the sign into bits 15 to 7 of a word and the code's other bits below; 7 places up, with bit 14 cleared, that is binary16 of 1/256 the value, subnormals
        // included. NaN, 0x7F, would become 480: callers look for it first.
        void LoadFp8(AssemblerRegisterZMM target, bool masked, AssemblerMemoryOperand place)
        {
            AssemblerRegisterYMM words = new((Register)((int)Register.YMM0 + Array.IndexOf(z, target)));
            code.vpmovsxbw(masked ? words.k1.z : words, place);
            code.vpsllw(words, words, 7);
            code.vpandd(words, words, __dword_bcst[rdi + TileArguments.SignAndCodeAt]);
            code.vcvtph2ps(target, words);
            code.vmulps(target, target, scale);
            if (kind == TileWeights.Fp8BFloat16)
            {
                // Veltkamp's split, c - (c - w) with c = 65537 w, keeps the upper 8 bits. It rounds to nearest; that ties go to even holds for all products of 4 and 8 bits.
                AssemblerRegisterZMM shifted = z[Input];
                code.vmulps(shifted, target, __dword_bcst[rdi + TileArguments.SplitterAt]);
                code.vsubps(target, shifted, target);
                code.vsubps(target, shifted, target);
            }
        }
    }
}
