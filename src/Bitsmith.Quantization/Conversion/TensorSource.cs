using Bitsmith.Tensors.InstructionSets;
using Bitsmith.Tensors.Matrices;

namespace Bitsmith.Quantization.Conversion;

/// <summary>Where the rows of a tensor to be written come from.</summary>
/// <param name="Name">Name in the checkpoint.</param>
/// <param name="Rows">Rows.</param>
/// <param name="Columns">Columns.</param>
internal abstract record TensorSource(string Name, int Rows, int Columns)
{
    /// <summary>Reads rows as binary32.</summary>
    public abstract void Read(int first, int count, Span<float> target);

    /// <summary>Rows in the bytes in which a GGUF file stores them; null where the source stores them otherwise.</summary>
    public virtual ReadOnlySpan<byte> Stored(int first, int count) => default;

    /// <summary>Lets the system take the memory of mapped weights back.</summary>
    public virtual void Release()
    {
    }
}

/// <summary>A small tensor: a norm, a bias.</summary>
internal sealed record VectorSource(string Name, float[] Values) : TensorSource(Name, 1, Values.Length)
{
    public override void Read(int first, int count, Span<float> target) => Values.CopyTo(target);
}

/// <summary>A weight matrix in whatever form it is stored; with an order, row i is row Order[i] of the matrix.</summary>
internal sealed record MatrixSource(string Name, WeightMatrix Matrix, int[]? Order) : TensorSource(Name, Matrix.Rows, Matrix.Columns)
{
    public override void Read(int first, int count, Span<float> target)
    {
        if (Order is null)
        {
            Matrix.Read(first, count, target, Cpu.Default);
            return;
        }

        for (int i = 0; i < count; i++)
        {
            Matrix.Read(Order[first + i], 1, target.Slice(i * Columns, Columns), Cpu.Default);
        }
    }

    public override void Release() => Matrix.Release();
}

/// <summary>One frame of a convolution's kernel over several: of each row [channels × frames × rest], the parts of that frame.</summary>
internal sealed record FrameSource(string Name, WeightMatrix Kernel, int Channels, int Frames, int Frame) : TensorSource(Name, Kernel.Rows, Kernel.Columns / Frames)
{
    public override void Read(int first, int count, Span<float> target)
    {
        float[] row = new float[Kernel.Columns];
        int part = Kernel.Columns / Channels / Frames;
        for (int i = 0; i < count; i++)
        {
            Kernel.Read(first + i, 1, row, Cpu.Default);
            for (int channel = 0; channel < Channels; channel++)
            {
                row.AsSpan(((channel * Frames) + Frame) * part, part).CopyTo(target[((i * Columns) + (channel * part))..]);
            }
        }
    }
}
