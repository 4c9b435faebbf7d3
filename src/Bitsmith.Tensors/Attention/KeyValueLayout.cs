using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;
using Bitsmith.Tensors.ElementTypes;
using Bitsmith.Tensors.InstructionSets;

namespace Bitsmith.Tensors.Attention;

/// <summary>
/// How the keys and values of one head lie in memory for <see cref="AttentionKernel"/>. Keys: [position / 16][channel][position mod 16], so that a channel of sixteen positions is one
/// load and scores need no sums across lanes. Values: [position][channel], rows padded to a multiple of 16 channels.
/// </summary>
public static class KeyValueLayout
{
    /// <summary>Positions whose keys are interleaved: the room for keys is a multiple of it.</summary>
    public const int Group = LaneMath.Width;

    /// <summary>Throws unless keys and values can be stored in this type.</summary>
    /// <exception cref="ArgumentException">The type is none of F32, BF16, F16 and F8_E4M3.</exception>
    public static void CheckType(ElementType type)
    {
        if (type is not (ElementType.F32 or ElementType.BF16 or ElementType.F16 or ElementType.F8E4M3))
        {
            throw new ArgumentException($"Keys and values cannot be stored as {type.SafetensorsName()}; F32, BF16, F16 and F8_E4M3 can.", nameof(type));
        }
    }

    /// <summary>Channels in a stored row of values: the head width, rounded up to a multiple of 16.</summary>
    public static int ValueWidth(int headDim) => RoundUp(headDim, LaneMath.Width);

    /// <summary>Bytes of the keys of so many positions, whole groups.</summary>
    public static long KeyBytes(ElementType type, int headDim, int positions) => (long)RoundUp(positions, Group) * headDim * type.Bytes();

    /// <summary>Bytes of the values of so many positions.</summary>
    public static long ValueBytes(ElementType type, int headDim, int positions) => (long)positions * ValueWidth(headDim) * type.Bytes();

    /// <summary>
    /// Stores the key of one position, rounded to nearest even (F8_E4M3 without a scale, saturating at 448). The first position of a group clears the rest of it, so that nothing is
    /// ever read that was not written; the positions of a group are therefore stored in ascending order.
    /// </summary>
    /// <param name="type">F32, BF16, F16 or F8_E4M3.</param>
    /// <param name="keys">Room for at least <see cref="KeyBytes"/> of the position + 1.</param>
    /// <param name="position">Where.</param>
    /// <param name="key">The channels.</param>
    /// <param name="instructionSet">The kernels; all store the same bytes.</param>
    /// <exception cref="ArgumentException">The type cannot be stored.</exception>
    public static void StoreKey(ElementType type, Span<byte> keys, int position, ReadOnlySpan<float> key, InstructionSet instructionSet)
    {
        CheckType(type);
        int groupBytes = Group * key.Length * type.Bytes();
        Span<byte> group = keys.Slice(checked(position / Group * groupBytes), groupBytes);
        if (position % Group == 0)
        {
            group.Clear();
        }

        switch (type.Bytes())
        {
            case 1:
                Scatter<byte>(type, key, group, position % Group, instructionSet);
                break;
            case 2:
                Scatter<ushort>(type, key, group, position % Group, instructionSet);
                break;
            default:
                Scatter<float>(type, key, group, position % Group, instructionSet);
                break;
        }
    }

    /// <summary>Stores the value of one position; otherwise as <see cref="StoreKey"/>.</summary>
    /// <exception cref="ArgumentException">The type cannot be stored.</exception>
    public static void StoreValue(ElementType type, Span<byte> values, int position, ReadOnlySpan<float> value, InstructionSet instructionSet)
    {
        CheckType(type);
        int rowBytes = ValueWidth(value.Length) * type.Bytes(), used = value.Length * type.Bytes();
        Span<byte> row = values.Slice(checked(position * rowBytes), rowBytes);
        ElementConversion.FromSingle(type, value, row[..used], instructionSet);
        row[used..].Clear();
    }

    internal static int RoundUp(int count, int step) => checked((count + step - 1) / step * step);

    private static void Scatter<T>(ElementType type, ReadOnlySpan<float> key, Span<byte> group, int lane, InstructionSet instructionSet)
        where T : unmanaged
    {
        const int Chunk = 128;
        Span<T> stored = stackalloc T[Chunk];
        ref T target = ref Unsafe.Add(ref MemoryMarshal.GetReference(MemoryMarshal.Cast<byte, T>(group)), lane);
        for (int first = 0; first < key.Length; first += Chunk)
        {
            ReadOnlySpan<float> channels = key[first..Math.Min(key.Length, first + Chunk)];
            ElementConversion.FromSingle(type, channels, MemoryMarshal.AsBytes(stored[..channels.Length]), instructionSet);
            for (int i = 0; i < channels.Length; i++)
            {
                Unsafe.Add(ref target, (first + i) * Group) = stored[i];
            }
        }
    }
}
