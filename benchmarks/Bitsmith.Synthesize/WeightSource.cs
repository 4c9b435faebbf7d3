using System.Runtime.InteropServices;
using Bitsmith.Checkpoints.Safetensors;
using Bitsmith.Tensors.ElementTypes;
using Microsoft.Win32.SafeHandles;

namespace Bitsmith.Synthesize;

/// <summary>
/// Random weights at the speed of the disk: a pool of normal deviates is made once, and tensors are pieces of it from random places.
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
            ReadOnlySpan<byte> bytes = Bytes(pool.AsSpan(start, count), tensor.Type);
            RandomAccess.Write(file, bytes, offset);
            offset += bytes.Length;
            left -= count;
        }
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
