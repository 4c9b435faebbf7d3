using Bitsmith.Tensors.Elementwise;
using Bitsmith.Tensors.ElementTypes;
using Bitsmith.Tensors.Formats;
using Bitsmith.Tensors.Matrices.Packed;
using Bitsmith.Tensors.Memory;
using Bitsmith.Tensors.Threading;

namespace Bitsmith.Tensors.Matrices;

/// <summary>
/// The inputs of matrix products [tokens × columns], and the forms that some products need, each made once for all products of the same inputs. Reused: <see cref="Set"/> begins anew.
/// </summary>
public sealed unsafe class MatrixInput : IDisposable
{
    private readonly AlignedMemory rounded = new();
    private readonly AlignedMemory[] packed = [new(), new(), new()]; // for each of InputBlocks
    private readonly bool[] isPacked = new bool[3];
    private bool isRounded;
    private MatrixInput? quantized;
    private float[] quantizedValues = [];
    private InputQuantization? quantizedBy;

    /// <summary>tokens × columns, row-major.</summary>
    public ReadOnlyMemory<float> Values { get; private set; }

    /// <summary>Number of tokens.</summary>
    public int Tokens { get; private set; }

    /// <summary>In features.</summary>
    public int Columns { get; private set; }

    /// <summary>Bytes from a token to the next in <see cref="BFloat16"/>: a line more than the columns need, so that the rows of a tile do not meet in one cache set.</summary>
    internal nint BFloat16Stride => (((nint)Columns * 2) + 127) / 64 * 64;

    /// <summary>Bytes from a token to the next in <see cref="Packed"/>: a line more than the steps need, as for <see cref="BFloat16Stride"/>.</summary>
    internal nint PackedStride => ((nint)PackedStep.Count(Columns) * PackedStep.InputBytes) + 64;

    /// <summary>Takes new inputs; they must not change until the products are made.</summary>
    /// <param name="values">tokens × columns.</param>
    /// <param name="tokens">Number of tokens, at least 1.</param>
    /// <exception cref="ArgumentException">The values do not divide into the tokens.</exception>
    public void Set(ReadOnlyMemory<float> values, int tokens)
    {
        if (tokens < 1 || values.Length % tokens != 0)
        {
            throw new ArgumentException($"{values.Length} values are no inputs of {tokens} tokens.", nameof(values));
        }

        (Values, Tokens, Columns) = (values, tokens, values.Length / tokens);
        (isRounded, quantizedBy) = (false, null);
        isPacked.AsSpan().Clear();
    }

    /// <summary>True where a scheme has quantized these inputs: their values are taken as they are, without further rounding to 8 bits.</summary>
    internal bool IsQuantized { get; private init; }

    /// <summary>These inputs, quantized as a scheme says and back.</summary>
    /// <param name="scheme">How.</param>
    /// <param name="compute">Threads and kernels.</param>
    public MatrixInput Quantized(InputQuantization scheme, ComputeOptions compute)
    {
        ArgumentNullException.ThrowIfNull(scheme);
        ArgumentNullException.ThrowIfNull(compute);
        quantized ??= new MatrixInput { IsQuantized = true };
        if (quantizedBy != scheme)
        {
            if (quantizedValues.Length < Values.Length)
            {
                quantizedValues = GC.AllocateUninitializedArray<float>(Values.Length);
            }

            compute.Run(Tokens, new Quantization(Values, quantizedValues, Columns, scheme, compute));
            quantized.Set(quantizedValues.AsMemory(0, Values.Length), Tokens);
            quantizedBy = scheme;
        }

        return quantized;
    }

    /// <inheritdoc/>
    public void Dispose()
    {
        rounded.Dispose();
        Array.ForEach(packed, memory => memory.Dispose());
        quantized?.Dispose();
    }

    /// <summary>The inputs as bfloat16, nearest even; rows are <see cref="BFloat16Stride"/> apart.</summary>
    internal byte* BFloat16(ComputeOptions compute)
    {
        if (!isRounded)
        {
            byte* target = rounded.Require(Tokens * BFloat16Stride);
            compute.Run(Tokens, new Rounding(Values, target, BFloat16Stride, Columns, compute));
            isRounded = true;
        }

        return rounded.Start;
    }

    /// <summary>The inputs rounded to 8-bit blocks, in steps; rows are <see cref="PackedStride"/> apart.</summary>
    internal byte* Packed(InputBlocks blocks, ComputeOptions compute)
    {
        AlignedMemory memory = packed[(int)blocks];
        if (!isPacked[(int)blocks])
        {
            byte* target = memory.Require(Tokens * PackedStride);
            compute.Run(Tokens, new Packing(Values, blocks, target, PackedStride, Columns, compute));
            isPacked[(int)blocks] = true;
        }

        return memory.Start;
    }

    private readonly struct Packing(ReadOnlyMemory<float> values, InputBlocks blocks, byte* target, nint stride, int columns, ComputeOptions compute) : IParallelWork
    {
        public void Run(int token) => InputRounding.Pack(blocks, values.Span.Slice(token * columns, columns), target + (token * stride), compute.InstructionSet);
    }

    private readonly struct Rounding(ReadOnlyMemory<float> values, byte* target, nint stride, int columns, ComputeOptions compute) : IParallelWork
    {
        public void Run(int token) => ElementConversion.FromSingle(
            ElementType.BF16, values.Span.Slice(token * columns, columns), new Span<byte>(target + (token * stride), columns * 2), compute.InstructionSet);
    }

    private readonly struct Quantization(ReadOnlyMemory<float> values, float[] target, int columns, InputQuantization scheme, ComputeOptions compute) : IParallelWork
    {
        public void Run(int token)
        {
            Span<float> row = target.AsSpan(token * columns, columns);
            scheme.RoundTrip(values.Span.Slice(token * columns, columns), row, compute.BFloat16Results, compute.InstructionSet);
            if (compute.BFloat16Results)
            {
                ElementwiseKernels.RoundToBFloat16(row, compute.InstructionSet);
            }
        }
    }
}
