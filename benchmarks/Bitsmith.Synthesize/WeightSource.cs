using System.Runtime.InteropServices;
using Bitsmith.Checkpoints.Safetensors;
using Bitsmith.Tensors.ElementTypes;
using Microsoft.Win32.SafeHandles;

namespace Bitsmith.Synthesize;

/// <summary>
/// Random weights at the speed of the disk: a pool of normal deviates is made once, and tensors are pieces of it from random places. Norms' weights lie around 1, as trained ones do, so that the
/// activations of a model that is run stay of usual size.
/// </summary>
internal sealed class WeightSource
{
    private const int PoolElements = 32 << 20, PieceElements = 4 << 20;

    private readonly ushort[] pool = new ushort[PoolElements];
    private ulong state;

    public WeightSource(ulong seed)
    {
        state = ~seed;
        NormalWeights.Fill(pool, seed);
    }

    /// <summary>Writes a tensor's data at its place.</summary>
    public void Write(SafeFileHandle file, StoredTensor tensor)
    {
        long offset = tensor.Offset;
        for (long left = tensor.Elements; left > 0;)
        {
            int count = (int)Math.Min(left, PieceElements);
            int start = (int)(NormalWeights.Next(ref state) % (ulong)(PoolElements - count + 1));
            ReadOnlySpan<ushort> piece = pool.AsSpan(start, count);
            ReadOnlySpan<byte> bytes = Bytes(tensor.Name.EndsWith("norm.weight", StringComparison.Ordinal) ? AroundOne(piece) : piece, tensor.Type);
            RandomAccess.Write(file, bytes, offset);
            offset += bytes.Length;
            left -= count;
        }
    }

    private static ReadOnlySpan<ushort> AroundOne(ReadOnlySpan<ushort> deviates)
    {
        ushort[] moved = new ushort[deviates.Length];
        for (int i = 0; i < moved.Length; i++)
        {
            moved[i] = BFloat16.FromSingle(1 + new BFloat16(deviates[i]).ToSingle()).Bits;
        }

        return moved;
    }

    private static ReadOnlySpan<byte> Bytes(ReadOnlySpan<ushort> weights, ElementType type)
    {
        ReadOnlySpan<byte> bytes = MemoryMarshal.AsBytes(weights);
        if (type == ElementType.BF16)
        {
            return bytes;
        }

        float[] values = new float[weights.Length];
        ElementConversion.ToSingle(ElementType.BF16, bytes, values);
        byte[] converted = new byte[weights.Length * type.Bytes()];
        ElementConversion.FromSingle(type, values, converted);
        return converted;
    }
}
