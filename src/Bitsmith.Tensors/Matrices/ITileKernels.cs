using System.Runtime.CompilerServices;
using Bitsmith.Tensors.Assembly;
using Bitsmith.Tensors.Formats;
using Bitsmith.Tensors.InstructionSets;

namespace Bitsmith.Tensors.Matrices;

/// <summary>Products of tiles: weight rows × tokens, sixteen partial sums each. See <see cref="TileArguments"/>.</summary>
internal unsafe interface ITileKernels
{
    /// <summary>Rows and tokens that use the registers best.</summary>
    int Rows { get; }

    /// <inheritdoc cref="Rows"/>
    int Tokens { get; }

    /// <summary>Bytes of an input.</summary>
    int InputBytes { get; }

    /// <summary>Columns of a step.</summary>
    int StepColumns { get; }

    /// <summary>Sets where the weights of a row are, from a column on.</summary>
    /// <param name="row">A row of the panel; a multiple of <see cref="Rows"/>.</param>
    /// <param name="column">A column; a multiple of <see cref="TileProduct.BlockBytes"/> / <see cref="InputBytes"/>.</param>
    /// <param name="arguments">Receives the place.</param>
    void Place(int row, int column, TileArguments* arguments);

    /// <summary>Makes the products of up to <see cref="Rows"/> × <see cref="Tokens"/>.</summary>
    void Run(int rows, int tokens, TileArguments* arguments);
}

/// <summary>Kernels assembled for AVX-512.</summary>
internal readonly unsafe struct AssembledTiles(TileWeights kind, byte* weights, int columns) : ITileKernels
{
    public int Rows => TileKernels.MaxRows;

    public int Tokens => TileKernels.MaxTokens;

    public int InputBytes => kind == TileWeights.BFloat16Dot ? sizeof(ushort) : sizeof(float);

    public int StepColumns => TileKernels.StepColumns(kind);

    public void Place(int row, int column, TileArguments* arguments) =>
        arguments->SetWeights(weights, kind == TileWeights.Single ? sizeof(float) : sizeof(ushort), columns, row, column);

    public void Run(int rows, int tokens, TileArguments* arguments) => TileKernels.Get(kind, rows, tokens)(arguments);
}

/// <summary>The assembled kernel for FP8 codes. Rows of a tile share their scales.</summary>
/// <param name="kind"><see cref="TileWeights.Fp8"/> or <see cref="TileWeights.Fp8BFloat16"/>.</param>
/// <param name="codes">First code of the panel.</param>
/// <param name="columns">Columns.</param>
/// <param name="factors">256 times the scales: [block rows][block columns].</param>
/// <param name="firstRow">The panel's first row inside its block row.</param>
/// <param name="block">Shape of a block: a multiple of 4 × 16.</param>
internal readonly unsafe struct AssembledFp8Tiles(TileWeights kind, byte* codes, int columns, float* factors, int firstRow, BlockShape block) : ITileKernels
{
    public int Rows => TileKernels.MaxRows;

    public int Tokens => TileKernels.MaxTokens;

    public int InputBytes => sizeof(float);

    public int StepColumns => LaneMath.Width;

    public void Place(int row, int column, TileArguments* arguments)
    {
        int gridColumns = (columns + block.Columns - 1) / block.Columns, blockRow = (firstRow + row) / block.Rows, steps = block.Columns / LaneMath.Width;
        arguments->SetWeights(codes, sizeof(byte), columns, row, column);
        arguments->Scales = factors + (blockRow * gridColumns) + (column / block.Columns);
        arguments->BlockSteps = steps;
        arguments->TailScale = factors[((blockRow + 1) * gridColumns) - 1];
    }

    public void Run(int rows, int tokens, TileArguments* arguments)
    {
        TileArguments used = *arguments; // the kernel counts in them
        TileKernels.Get(kind, rows, tokens)(&used);
    }
}

/// <summary>binary32 kernels on any vectors: two rows × two tokens at a time.</summary>
internal readonly unsafe struct LaneTiles<TLanes>(byte* weights, int columns) : ITileKernels
    where TLanes : struct, ILanes16<TLanes>
{
    public int Rows => 2;

    public int Tokens => 2;

    public int InputBytes => sizeof(float);

    public int StepColumns => LaneMath.Width;

    public void Place(int row, int column, TileArguments* arguments) => arguments->SetWeights(weights, sizeof(float), columns, row, column);

    public void Run(int rows, int tokens, TileArguments* arguments)
    {
        if (rows == 2 && tokens == 2)
        {
            Tile2x2(arguments);
            return;
        }

        float* sums = arguments->Sums;
        for (int row = 0; row < rows; row++)
        {
            for (int token = 0; token < tokens; token++, sums += LaneMath.Width)
            {
                TLanes sum = arguments->Adds == 0 ? TLanes.Broadcast(0) : TLanes.Load32(in *sums);
                TLanes.Store32(DotProduct.AddLanes(arguments->InputRow(token), arguments->WeightRow(row), sum), ref *sums);
            }
        }
    }

    private static void Tile2x2(TileArguments* arguments)
    {
        float* sums = arguments->Sums;
        TLanes a0 = TLanes.Broadcast(0), a1 = a0, b0 = a0, b1 = a0;
        if (arguments->Adds != 0)
        {
            (a0, a1, b0, b1) = (TLanes.Load32(in sums[0]), TLanes.Load32(in sums[16]), TLanes.Load32(in sums[32]), TLanes.Load32(in sums[48]));
        }

        ref float x = ref Unsafe.AsRef<float>(arguments->Inputs);
        ref float y = ref Unsafe.AsRef<float>(arguments->Weights);
        nint inputStride = arguments->InputStride / sizeof(float), weightStride = arguments->WeightStride / sizeof(float);
        for (nint i = 0; i < arguments->Steps * LaneMath.Width; i += LaneMath.Width)
        {
            TLanes first = TLanes.Load32(in Unsafe.Add(ref x, i)), second = TLanes.Load32(in Unsafe.Add(ref x, inputStride + i)), weights = TLanes.Load32(in Unsafe.Add(ref y, i));
            a0 = TLanes.MultiplyAddF(first, weights, a0);
            a1 = TLanes.MultiplyAddF(second, weights, a1);
            weights = TLanes.Load32(in Unsafe.Add(ref y, weightStride + i));
            b0 = TLanes.MultiplyAddF(first, weights, b0);
            b1 = TLanes.MultiplyAddF(second, weights, b1);
        }

        if (arguments->TailMask != 0)
        {
            int whole = (int)arguments->Steps * LaneMath.Width;
            ReadOnlySpan<float> first = arguments->InputRow(0)[whole..], second = arguments->InputRow(1)[whole..];
            ReadOnlySpan<float> upper = arguments->WeightRow(0)[whole..], lower = arguments->WeightRow(1)[whole..];
            a0 = DotProduct.AddTail(first, upper, a0);
            a1 = DotProduct.AddTail(second, upper, a1);
            b0 = DotProduct.AddTail(first, lower, b0);
            b1 = DotProduct.AddTail(second, lower, b1);
        }

        TLanes.Store32(a0, ref sums[0]);
        TLanes.Store32(a1, ref sums[16]);
        TLanes.Store32(b0, ref sums[32]);
        TLanes.Store32(b1, ref sums[48]);
    }
}

/// <summary>The definition: plain C#.</summary>
internal readonly unsafe struct ScalarTiles(byte* weights, int columns) : ITileKernels
{
    public int Rows => 1;

    public int Tokens => 1;

    public int InputBytes => sizeof(float);

    public int StepColumns => LaneMath.Width;

    public void Place(int row, int column, TileArguments* arguments) => arguments->SetWeights(weights, sizeof(float), columns, row, column);

    public void Run(int rows, int tokens, TileArguments* arguments)
    {
        float* sums = arguments->Sums;
        for (int row = 0; row < rows; row++)
        {
            for (int token = 0; token < tokens; token++, sums += LaneMath.Width)
            {
                Span<float> sixteen = new(sums, LaneMath.Width);
                if (arguments->Adds == 0)
                {
                    sixteen.Clear();
                }

                DotProduct.AddScalar(arguments->InputRow(token), arguments->WeightRow(row), sixteen);
            }
        }
    }
}
