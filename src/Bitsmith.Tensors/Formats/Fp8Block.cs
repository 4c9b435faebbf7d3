using System.Buffers;
using System.Runtime.InteropServices;
using Bitsmith.Tensors.ElementTypes;
using Bitsmith.Tensors.InstructionSets;

namespace Bitsmith.Tensors.Formats;

/// <summary>
/// FP8 blocks as compressed-tensors' <c>float-quantized</c> format stores them: one e4m3fn code for each weight, one
/// scale in the weight's own type T (BF16, F16 or F32) for each block; value = code * scale.
/// </summary>
/// <remarks>
/// <para>The library's encoder, with T(x) = x computed in binary32 and rounded to T, nearest even:</para>
/// <list type="number">
/// <item>scale = T(max|w| / 448) over the block, where weights outside the matrix count as zero;</item>
/// <item>a scale of zero becomes the machine epsilon of T;</item>
/// <item>y = T(w / scale), clamped to [-448, 448];</item>
/// <item>code = e4m3fn(y), nearest even. A negative y that rounds to zero, and -0 itself, give 0x80.</item>
/// </list>
/// <para>Source: compressed-tensors 0.17.1, data-free flow; the golden files of the tests hold its output.</para>
/// </remarks>
public static partial class Fp8Block
{
    /// <summary>Encodes whole block rows of a matrix.</summary>
    /// <param name="encoder">How scales and codes are chosen.</param>
    /// <param name="type">T: BF16, F16 or F32.</param>
    /// <param name="weights">rows × columns elements of T, row-major.</param>
    /// <param name="rows">Rows; a multiple of the block height, except at the matrix's end.</param>
    /// <param name="columns">Columns.</param>
    /// <param name="block">The block.</param>
    /// <param name="codes">Receives rows × columns codes.</param>
    /// <param name="scales">Receives ceil(rows / block rows) × ceil(columns / block columns) scales of T.</param>
    /// <param name="errors">Receives the loss of each block row.</param>
    /// <param name="libraryErrors">
    /// With <see cref="WeightEncoder.Best"/>: receives what the library's encoder would have lost, for each block row. Otherwise empty.
    /// </param>
    /// <param name="instructionSet">The kernels to use; null for <see cref="Cpu.Default"/>.</param>
    /// <exception cref="ArgumentException">A span's length does not fit, or T is no weight type.</exception>
    /// <exception cref="NonFiniteWeightException">A weight is NaN or infinite.</exception>
    public static void Encode(
        WeightEncoder encoder,
        ElementType type,
        ReadOnlySpan<byte> weights,
        int rows,
        int columns,
        BlockShape block,
        Span<byte> codes,
        Span<byte> scales,
        Span<QuantizationError> errors,
        Span<QuantizationError> libraryErrors,
        InstructionSet? instructionSet = null)
    {
        (int blockRows, int blockColumns) = CheckShape(type, rows, columns, block, codes.Length, scales.Length);
        Require(weights.Length == (long)rows * columns * type.Bytes(), nameof(weights));
        Require(errors.Length == blockRows, nameof(errors));
        Require(libraryErrors.Length == (encoder == WeightEncoder.Best ? blockRows : 0), nameof(libraryErrors));
        InstructionSet set = instructionSet ?? Cpu.Default;

        for (int blockRow = 0; blockRow < blockRows; blockRow++)
        {
            int firstRow = blockRow * block.Rows;
            int height = Math.Min(block.Rows, rows - firstRow);
            QuantizationError error = default, libraryError = default;
            for (int blockColumn = 0; blockColumn < blockColumns; blockColumn++)
            {
                int firstColumn = blockColumn * block.Columns;
                int width = Math.Min(block.Columns, columns - firstColumn);
                Area area = new(firstRow, firstColumn, height, width, columns, (blockRow * blockColumns) + blockColumn);
                error += type switch
                {
                    ElementType.BF16 => EncodeBlock<ushort, BFloat16Weights>(encoder, weights, area, codes, scales, ref libraryError, set),
                    ElementType.F16 => EncodeBlock<ushort, HalfWeights>(encoder, weights, area, codes, scales, ref libraryError, set),
                    _ => EncodeBlock<float, SingleWeights>(encoder, weights, area, codes, scales, ref libraryError, set),
                };
            }

            errors[blockRow] = error;
            if (encoder == WeightEncoder.Best)
            {
                libraryErrors[blockRow] = libraryError;
            }
        }
    }

    /// <summary>
    /// Decodes whole block rows: T(code * scale), where the product is formed in binary32 and rounded to the scale's type T.
    /// </summary>
    /// <param name="type">T, the type of the scales and of the result: BF16, F16 or F32.</param>
    /// <param name="codes">rows × columns codes.</param>
    /// <param name="scales">ceil(rows / block rows) × ceil(columns / block columns) scales of T.</param>
    /// <param name="rows">Rows.</param>
    /// <param name="columns">Columns.</param>
    /// <param name="block">The block.</param>
    /// <param name="weights">Receives rows × columns values of T, widened to binary32.</param>
    /// <param name="instructionSet">The kernels to use; null for <see cref="Cpu.Default"/>.</param>
    /// <exception cref="ArgumentException">A span's length does not fit, or T is no weight type.</exception>
    public static void Decode(
        ElementType type,
        ReadOnlySpan<byte> codes,
        ReadOnlySpan<byte> scales,
        int rows,
        int columns,
        BlockShape block,
        Span<float> weights,
        InstructionSet? instructionSet = null)
    {
        (_, int blockColumns) = CheckShape(type, rows, columns, block, codes.Length, scales.Length);
        Require(weights.Length == (long)rows * columns, nameof(weights));
        ElementConversion.ToSingle(ElementType.F8E4M3, codes, weights, instructionSet);

        // One multiplication and one rounding for each element; both run at memory speed through the conversions.
        Span<float> scaleRow = blockColumns <= 1024 ? stackalloc float[blockColumns] : new float[blockColumns];
        byte[]? rounded = type == ElementType.F32 ? null : ArrayPool<byte>.Shared.Rent(columns * type.Bytes());
        for (int row = 0; row < rows; row++)
        {
            int scaleRowBytes = blockColumns * type.Bytes();
            ElementConversion.ToSingle(type, scales.Slice(row / block.Rows * scaleRowBytes, scaleRowBytes), scaleRow, instructionSet);
            Span<float> values = weights.Slice(row * columns, columns);
            for (int column = 0; column < columns; column++)
            {
                values[column] *= scaleRow[column / block.Columns];
            }

            if (rounded is not null)
            {
                Span<byte> narrow = rounded.AsSpan(0, columns * type.Bytes());
                ElementConversion.FromSingle(type, values, narrow, instructionSet);
                ElementConversion.ToSingle(type, narrow, values, instructionSet);
            }
        }

        if (rounded is not null)
        {
            ArrayPool<byte>.Shared.Return(rounded);
        }
    }

    /// <summary>
    /// The largest |w - code * scale| that either encoder can leave for a weight w, given the scale that was stored: half the spacing of
    /// e4m3fn at |w| / scale plus the rounding of the quotient to T, plus the clamp at 448 when the scale was rounded down.
    /// </summary>
    /// <param name="type">T.</param>
    /// <param name="weight">|w|.</param>
    /// <param name="scale">The block's scale.</param>
    public static float ErrorBound(ElementType type, float weight, float scale)
    {
        float quotient = Math.Abs(weight) / scale;
        float half = quotient < Float8E4M3.MinNormal
            ? Float8E4M3.MinPositive / 2
            : MathF.ScaleB(1f / 16, MathF.ILogB(Math.Min(quotient, Float8E4M3.MaxValue)));
        float rounding = Epsilon(type) * Math.Min(quotient, Float8E4M3.MaxValue);
        float clamp = Math.Max(0, quotient - Float8E4M3.MaxValue);
        return (half + rounding + clamp) * scale;
    }

    private static float Epsilon(ElementType type) => type switch
    {
        ElementType.BF16 => BFloat16Weights.Epsilon,
        ElementType.F16 => HalfWeights.Epsilon,
        _ => SingleWeights.Epsilon,
    };

    private static QuantizationError EncodeBlock<T, TWeights>(
        WeightEncoder encoder,
        ReadOnlySpan<byte> weights,
        Area area,
        Span<byte> codes,
        Span<byte> scales,
        ref QuantizationError libraryError,
        InstructionSet set)
        where T : unmanaged
        where TWeights : struct, IWeights<T>
    {
        ReadOnlySpan<T> matrix = MemoryMarshal.Cast<byte, T>(weights);
        float largest = Dispatch.Largest<T, TWeights>(matrix, area, set);
        if (!float.IsFinite(largest))
        {
            ThrowNonFinite<T, TWeights>(matrix, area);
        }

        float scale = TWeights.Round(largest / Float8E4M3.MaxValue);
        scale = scale == 0 ? TWeights.Epsilon : scale;
        if (encoder == WeightEncoder.Best)
        {
            libraryError += Dispatch.Encode<T, TWeights>(matrix, area, new BlockScale(scale, largest, roundQuotient: true), codes, set);
            scale = FindBestScale<T, TWeights>(matrix, area, scale, largest, codes, set);
        }

        MemoryMarshal.Cast<byte, T>(scales)[area.Block] = TWeights.FromSingle(scale);
        return Dispatch.Encode<T, TWeights>(matrix, area, new BlockScale(scale, largest, encoder == WeightEncoder.Library), codes, set);
    }

    /// <summary>
    /// Coarse to fine over the scales of type T between 7/8 and 2 times the library's. A float format's error is almost the
    /// same at twice the scale, so one octave holds every distinct choice; scales below the library's clip the largest weights.
    /// </summary>
    private static float FindBestScale<T, TWeights>(
        ReadOnlySpan<T> matrix, Area area, float libraryScale, float largest, Span<byte> codes, InstructionSet set)
        where T : unmanaged
        where TWeights : struct, IWeights<T>
    {
        const int Coarse = 16, Fine = 6;
        float best = libraryScale;
        double least = Loss(libraryScale, matrix, codes);
        for (int i = -2; i < Coarse; i++)
        {
            Try(libraryScale * (1 + ((float)i / Coarse)), ref least, ref best, matrix, codes);
        }

        float center = best;
        for (int i = -Fine; i <= Fine; i++)
        {
            Try(center * (1 + ((float)i / (Coarse * (Fine + 1)))), ref least, ref best, matrix, codes);
        }

        return best;

        void Try(float candidate, ref double least, ref float best, ReadOnlySpan<T> matrix, Span<byte> codes)
        {
            float scale = TWeights.Round(candidate);
            if (scale <= 0 || !float.IsFinite(scale) || scale == best)
            {
                return;
            }

            double error = Loss(scale, matrix, codes);
            if (error < least)
            {
                (least, best) = (error, scale);
            }
        }

        double Loss(float scale, ReadOnlySpan<T> matrix, Span<byte> codes) =>
            Dispatch.Encode<T, TWeights>(matrix, area, new BlockScale(scale, largest, roundQuotient: false), codes, set).SquaredError;
    }

    private static void ThrowNonFinite<T, TWeights>(ReadOnlySpan<T> matrix, Area area)
        where T : unmanaged
        where TWeights : struct, IWeights<T>
    {
        for (int row = area.Row; row < area.Row + area.Height; row++)
        {
            for (int column = area.Column; column < area.Column + area.Width; column++)
            {
                float value = TWeights.ToSingle(matrix[(row * area.Stride) + column]);
                if (!float.IsFinite(value))
                {
                    throw new NonFiniteWeightException(row, column, value);
                }
            }
        }
    }

    private static (int Rows, int Columns) CheckShape(
        ElementType type, int rows, int columns, BlockShape block, int codeBytes, int scaleBytes)
    {
        if (!type.IsWeightFloat())
        {
            throw new ArgumentException($"FP8 blocks have scales of F32, F16 or BF16, not {type.SafetensorsName()}.", nameof(type));
        }

        Require(rows > 0 && columns > 0 && block.Rows > 0 && block.Columns > 0, nameof(block));
        (int blockRows, int blockColumns) = block.GridOf(rows, columns);
        Require(codeBytes == (long)rows * columns, "codes");
        Require(scaleBytes == (long)blockRows * blockColumns * type.Bytes(), "scales");
        return (blockRows, blockColumns);
    }

    private static void Require(bool condition, string parameter)
    {
        if (!condition)
        {
            throw new ArgumentException("The length does not fit the shape.", parameter);
        }
    }

    /// <summary>One block inside a row-major matrix of <paramref name="Stride"/> columns.</summary>
    private readonly record struct Area(int Row, int Column, int Height, int Width, int Stride, int Block)
    {
        public long Count => (long)Height * Width;
    }
}
