using System.Buffers.Binary;
using System.Runtime.CompilerServices;

namespace Bitsmith.Models.Images.Jpeg;

/// <summary>
/// Reads bits of entropy-coded data (ITU-T T.81, F.2.2.5): the byte after 0xFF is dropped when it is 0; a marker ends the data. Behind
/// the end zeros are delivered, and <see cref="Overrun"/> tells that some were used.
/// </summary>
internal ref struct EntropyReader(ReadOnlySpan<byte> data, int position)
{
    private readonly ReadOnlySpan<byte> data = data;
    private ulong bits; // the next bit is the highest one
    private int loaded;
    private int padding;
    private bool ended;

    /// <summary>Where reading goes on; never behind a marker that has not been passed with <see cref="PassMarker"/>.</summary>
    public int Position { get; private set; } = position;

    /// <summary>Whether more bits were used than there are before the next marker.</summary>
    public readonly bool Overrun => loaded < padding;

    /// <summary>Loads bits, so that 32 can be read.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public void Load()
    {
        if (loaded < 32)
        {
            LoadMore();
        }
    }

    /// <summary>The next bits, without going on; 1 to 16.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public readonly int Peek(int count) => (int)(bits >> (64 - count));

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public void Skip(int count)
    {
        bits <<= count;
        loaded -= count;
    }

    /// <summary>Reads 0 to 16 bits, which must have been loaded.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public int Read(int count)
    {
        if (count == 0)
        {
            return 0;
        }

        int value = Peek(count);
        Skip(count);
        return value;
    }

    /// <summary>Reads a number of so many bits in the sign form of T.81, F.2.2.1 (EXTEND).</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public int ReadSigned(int count)
    {
        int value = Read(count);
        return count == 0 || value >= 1 << (count - 1) ? value : value - (1 << count) + 1;
    }

    /// <summary>Reads one bit and loads before it if need be.</summary>
    public bool ReadBit()
    {
        Load();
        return Read(1) != 0;
    }

    /// <summary>Drops the bits that are left and passes the next marker; returns its code, or -1 at the end of the file.</summary>
    public int PassMarker()
    {
        bits = 0;
        loaded = padding = 0;
        ended = false;
        int at = JpegSegments.FindMarker(data, Position);
        Position = Math.Min(at + 2, data.Length);
        return at < data.Length ? data[at + 1] : -1;
    }

    private void LoadMore()
    {
        if (Position + 4 <= data.Length)
        {
            uint word = BinaryPrimitives.ReadUInt32BigEndian(data[Position..]);
            uint inverted = ~word; // a byte of 0xFF is a zero byte here; the usual test finds one
            if (((inverted - 0x01010101) & ~inverted & 0x80808080) == 0)
            {
                bits |= (ulong)word << (32 - loaded);
                loaded += 32;
                Position += 4;
                return;
            }
        }

        while (loaded <= 56)
        {
            uint value = 0;
            if (ended || Position >= data.Length)
            {
                padding += 8;
            }
            else if (data[Position] != 0xFF)
            {
                value = data[Position++];
            }
            else if (Position + 1 < data.Length && data[Position + 1] == 0)
            {
                value = 0xFF;
                Position += 2;
            }
            else
            {
                ended = true;
                padding += 8;
            }

            bits |= (ulong)value << (56 - loaded);
            loaded += 8;
        }
    }
}
