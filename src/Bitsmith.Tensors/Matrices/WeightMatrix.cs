using Bitsmith.Tensors.Assembly;
using Bitsmith.Tensors.Elementwise;
using Bitsmith.Tensors.ElementTypes;
using Bitsmith.Tensors.Formats;
using Bitsmith.Tensors.Formats.Ggml;
using Bitsmith.Tensors.InstructionSets;
using Bitsmith.Tensors.Memory;
using Bitsmith.Tensors.Threading;

namespace Bitsmith.Tensors.Matrices;

/// <summary>A weight matrix [rows, columns] = [out features, in features] that stays in its stored form.</summary>
public abstract unsafe class WeightMatrix(int rows, int columns)
{
    /// <summary>Out features.</summary>
    public int Rows { get; } = rows;

    /// <summary>In features.</summary>
    public int Columns { get; } = columns;

    /// <summary>Bytes in its stored form, scales included.</summary>
    public abstract long Bytes { get; }

    /// <summary>What inputs are rounded to before products with this matrix: <c>f32</c> (not at all), <c>bf16</c>, or <c>int8 in blocks of 32</c> or <c>256</c>.</summary>
    public string InputPrecision(ComputeOptions compute)
    {
        ArgumentNullException.ThrowIfNull(compute);
        return compute.BFloat16Results ? "bf16" : RoundedInputs(compute) ?? "f32";
    }

    /// <summary>Columns after which sums begin anew where results are rounded to BF16, an even number.</summary>
    private protected int SumColumns { get; init; } = PairedProduct.SumColumns;

    /// <summary>A matrix of F32, F16 or BF16 elements, row-major.</summary>
    /// <param name="type">Of the elements.</param>
    /// <param name="rows">Out features.</param>
    /// <param name="columns">In features.</param>
    /// <param name="bytes">The elements.</param>
    /// <param name="isConvolution">The matrix is a convolution's kernel, whose sums oneDNN never begins anew.</param>
    /// <exception cref="ArgumentException">The bytes do not fit the shape.</exception>
    public static WeightMatrix Dense(ElementType type, int rows, int columns, TensorBytes bytes, bool isConvolution = false) => new DenseMatrix(type, rows, columns, bytes, isConvolution);

    /// <summary>A matrix of FP8 codes with a scale of type <paramref name="scaleType"/> for each block.</summary>
    /// <exception cref="ArgumentException">The bytes do not fit the shape.</exception>
    public static WeightMatrix Fp8(int rows, int columns, BlockShape block, TensorBytes codes, ElementType scaleType, TensorBytes scales) =>
        new Fp8Matrix(rows, columns, block, codes, scaleType, scales);

    /// <summary>
    /// A matrix of 4-bit integers with a scale of type <paramref name="scaleType"/> for each group, see <see cref="Int4Group"/>, and perhaps a zero point, see <see cref="Int4ZeroPointGroup"/>.
    /// </summary>
    /// <exception cref="ArgumentException">The bytes do not fit the shape, or the columns are no whole number of groups.</exception>
    public static WeightMatrix Int4(int rows, int columns, int groupSize, TensorBytes packed, ElementType scaleType, TensorBytes scales, TensorBytes? zeroPoints = null) =>
        new Int4Matrix(rows, columns, groupSize, packed, scaleType, scales, zeroPoints);

    /// <summary>A matrix of NVFP4 codes, scales and global scale; see <see cref="NvFp4Group"/>.</summary>
    /// <exception cref="ArgumentException">The bytes do not fit the shape, or the columns are no whole number of groups.</exception>
    public static WeightMatrix NvFp4(int rows, int columns, TensorBytes packed, TensorBytes scales, float globalScale) => new NvFp4Matrix(rows, columns, packed, scales, globalScale);

    /// <summary>A matrix of GGML blocks, row after row. F32, F16 and BF16 are <see cref="Dense"/> matrices.</summary>
    /// <exception cref="ArgumentException">The bytes do not fit the shape, or the columns are no whole number of blocks.</exception>
    public static WeightMatrix Ggml(GgmlType type, int rows, int columns, TensorBytes blocks) => type switch
    {
        GgmlType.F32 => Dense(ElementType.F32, rows, columns, blocks),
        GgmlType.F16 => Dense(ElementType.F16, rows, columns, blocks),
        GgmlType.BF16 => Dense(ElementType.BF16, rows, columns, blocks),
        _ => new GgmlMatrix(GgmlFormats.Of(type), rows, columns, blocks),
    };

    /// <summary>The matrix whose row i is row <paramref name="order"/>[i] of another.</summary>
    /// <exception cref="ArgumentException">The order is no permutation of the rows.</exception>
    public static WeightMatrix Reordered(WeightMatrix matrix, IReadOnlyList<int> order) => new ReorderedMatrix(matrix, order);

    /// <summary>Widens rows to binary32.</summary>
    /// <param name="first">First row.</param>
    /// <param name="count">Number of rows.</param>
    /// <param name="target">Receives count × columns values.</param>
    /// <param name="instructionSet">The kernels to use.</param>
    public abstract void Read(int first, int count, Span<float> target, InstructionSet instructionSet);

    /// <summary>Lets the system take the memory of mapped weights back; they are read from the file again when they are needed.</summary>
    public abstract void Release();

    /// <summary>
    /// outputs = inputs · Wᵀ (+ bias), accumulated in binary32. Each output's order of accumulation depends on the number of columns alone: it is the same for every
    /// batch size, chunking and thread count. With <see cref="ComputeOptions.BFloat16Results"/> weights and bias are rounded to BF16 (inputs must be), and so are the outputs.
    /// </summary>
    /// <param name="inputs">tokens × columns.</param>
    /// <param name="bias">rows values, or empty.</param>
    /// <param name="outputs">Receives tokens × rows.</param>
    /// <param name="compute">Threads and kernels.</param>
    /// <exception cref="ArgumentException">The sizes do not fit each other.</exception>
    public void Multiply(MatrixInput inputs, ReadOnlyMemory<float> bias, Memory<float> outputs, ComputeOptions compute)
    {
        ArgumentNullException.ThrowIfNull(inputs);
        ArgumentNullException.ThrowIfNull(compute);
        if (inputs.Columns != Columns || outputs.Length != (long)inputs.Tokens * Rows || (bias.Length != 0 && bias.Length != Rows))
        {
            throw new ArgumentException(
                $"[{Rows}, {Columns}] weights, {inputs.Tokens} tokens of {inputs.Columns} features, {bias.Length} biases and {outputs.Length} outputs do not fit each other.");
        }

        MultiplyAll(inputs, bias, outputs, compute);
    }

    /// <summary><see cref="Multiply"/> behind its checks. The default cuts the rows into panels for the threads.</summary>
    private protected virtual void MultiplyAll(MatrixInput inputs, ReadOnlyMemory<float> bias, Memory<float> outputs, ComputeOptions compute)
    {
        Prepare(inputs, compute);
        // A panel for each task, but no fewer tasks than threads.
        int share = (Rows + compute.Threads - 1) / compute.Threads, tiles = (share + TileKernels.MaxRows - 1) / TileKernels.MaxRows;
        int each = Math.Min(TileProduct.PanelRows(PanelRowBytes(compute)), tiles * TileKernels.MaxRows);
        compute.Run((Rows + each - 1) / each, new Panels(this, each, inputs, bias, outputs, compute));
    }

    /// <summary>What <see cref="MultiplyPanel"/> rounds inputs to, or null.</summary>
    private protected virtual string? RoundedInputs(ComputeOptions compute) => null;

    /// <summary>Bytes of a row in the form in which a panel of rows waits in the cache.</summary>
    private protected abstract long PanelRowBytes(ComputeOptions compute);

    /// <summary>Makes the forms of the inputs that <see cref="MultiplyPanel"/> reads.</summary>
    private protected virtual void Prepare(MatrixInput inputs, ComputeOptions compute)
    {
    }

    /// <summary>Multiplies a panel of rows. The default widens them and uses binary32 kernels.</summary>
    /// <param name="first">First row.</param>
    /// <param name="count">Number of rows.</param>
    /// <param name="inputs">Inputs.</param>
    /// <param name="bias">Bias of the first row, or null.</param>
    /// <param name="outputs">Output of the first row.</param>
    /// <param name="compute">Kernels.</param>
    private protected virtual void MultiplyPanel(int first, int count, MatrixInput inputs, float* bias, float* outputs, ComputeOptions compute)
    {
        Span<float> panel = ThreadScratch.Take<float>(checked(count * Columns));
        Read(first, count, panel, compute.InstructionSet);
        fixed (float* weights = panel)
        {
            MultiplySingles((byte*)weights, count, inputs, bias, outputs, compute);
        }
    }

    /// <summary>Multiplies rows of binary32 weights.</summary>
    private protected void MultiplySingles(byte* weights, int count, MatrixInput inputs, float* bias, float* outputs, ComputeOptions compute)
    {
        fixed (float* values = inputs.Values.Span)
        {
            TileProduct.RunSingles(compute.InstructionSet, (float*)weights, count, Columns, values, Columns, inputs.Tokens, bias, outputs, Rows);
        }
    }

    /// <summary>Multiplies rows with kernels that take binary32 inputs.</summary>
    private protected void MultiplyRows<TKernels>(TKernels kernels, int count, MatrixInput inputs, float* bias, float* outputs)
        where TKernels : struct, ITileKernels
    {
        fixed (float* values = inputs.Values.Span)
        {
            TileProduct.Run(kernels, count, Columns, (byte*)values, (nint)Columns * sizeof(float), inputs.Tokens, bias, outputs, Rows);
        }
    }

    /// <summary>Multiplies a panel of rows in the order of <see cref="PairedProduct"/>, and rounds the outputs.</summary>
    private void MultiplyPairs(int first, int count, MatrixInput inputs, float* bias, float* outputs, ComputeOptions compute)
    {
        const int Tokens = 16;
        int vectors = (count + LaneMath.Width - 1) / LaneMath.Width, width = vectors * LaneMath.Width;
        Span<float> memory = ThreadScratch.Take<float>(checked(((count + width) * Columns) + (Tokens * width)));
        Span<float> rows = memory[..(count * Columns)], panel = memory.Slice(rows.Length, width * Columns), sums = memory[(rows.Length + panel.Length)..];
        Read(first, count, rows, compute.InstructionSet);
        ElementwiseKernels.RoundToBFloat16(rows, compute.InstructionSet);
        panel.Clear();
        for (int row = 0; row < count; row++)
        {
            Span<float> lane = panel[((row / LaneMath.Width * Columns * LaneMath.Width) + (row % LaneMath.Width))..];
            for (int column = 0; column < Columns; column++)
            {
                lane[column * LaneMath.Width] = rows[(row * Columns) + column];
            }
        }

        for (int token = 0; token < inputs.Tokens; token += Tokens)
        {
            int tokens = Math.Min(Tokens, inputs.Tokens - token);
            ReadOnlySpan<float> values = inputs.Values.Span[(token * Columns)..];
            PairedProduct.Run(values, Columns, tokens, panel, LaneMath.Width, Columns * LaneMath.Width, vectors, Columns, SumColumns, sums, width, compute.InstructionSet);
            for (int i = 0; i < tokens; i++)
            {
                for (int row = 0; row < count; row++)
                {
                    float sum = sums[(i * width) + row];
                    outputs[((nint)(token + i) * Rows) + row] = BFloat16.Round(bias is null ? sum : sum + BFloat16.Round(bias[row]));
                }
            }
        }
    }

    private protected static void Require(TensorBytes bytes, long expected, string parameter)
    {
        if (bytes.Length != expected)
        {
            throw new ArgumentException($"{bytes.Length} bytes where the shape takes {expected}.", parameter);
        }
    }

    private readonly struct Panels(WeightMatrix matrix, int each, MatrixInput inputs, ReadOnlyMemory<float> bias, Memory<float> outputs, ComputeOptions compute) : IParallelWork
    {
        public void Run(int task)
        {
            int first = task * each;
            fixed (float* b = bias.Span)
            fixed (float* y = outputs.Span)
            {
                float* shift = b is null ? null : b + first;
                if (compute.BFloat16Results)
                {
                    matrix.MultiplyPairs(first, Math.Min(each, matrix.Rows - first), inputs, shift, y + first, compute);
                }
                else
                {
                    matrix.MultiplyPanel(first, Math.Min(each, matrix.Rows - first), inputs, shift, y + first, compute);
                }
            }
        }
    }
}
