namespace Bitsmith.Checkpoints.Parquet;

/// <summary>
/// Snappy's raw format (google/snappy, format_description.txt): the length of the result as a varint, then literals and copies of what came before. The two low bits of an element's first byte
/// tell which: 0 a literal, 1 to 3 a copy with an offset of 11, 16 or 32 bits.
/// </summary>
internal static class Snappy
{
    // The densest element takes 3 bytes for 64.
    private const int MostExpansion = 22;

    /// <summary>Decompresses a block.</summary>
    /// <param name="compressed">The block.</param>
    /// <param name="length">The length that the result must have.</param>
    /// <exception cref="InvalidDataException">The block is damaged, or its result has another length.</exception>
    public static byte[] Decompress(ReadOnlySpan<byte> compressed, int length)
    {
        int place = 0;
        long said = 0;
        for (int shift = 0; ; shift += 7)
        {
            if (place == compressed.Length || shift > 28)
            {
                throw Damaged("has no length");
            }

            byte part = compressed[place++];
            said |= (long)(part & 0x7F) << shift;
            if (part < 0x80)
            {
                break;
            }
        }

        if (said != length || length > (long)MostExpansion * compressed.Length)
        {
            throw Damaged($"is to give {said} bytes from {compressed.Length}, and the page {length}");
        }

        byte[] result = GC.AllocateUninitializedArray<byte>(length);
        int written = 0;
        while (place < compressed.Length)
        {
            byte tag = compressed[place++];
            int kind = tag & 3, extra = kind switch { 0 when tag >= 60 << 2 => (tag >> 2) - 59, 0 => 0, 1 => 1, 2 => 2, _ => 4 };
            if (extra > compressed.Length - place)
            {
                throw Damaged("ends inside an element");
            }

            long number = 0;
            for (int i = 0; i < extra; i++)
            {
                number |= (long)compressed[place++] << (8 * i);
            }

            long count = kind switch { 0 => (extra == 0 ? tag >> 2 : number) + 1, 1 => ((tag >> 2) & 7) + 4, _ => (tag >> 2) + 1 };
            if (count > length - written)
            {
                throw Damaged($"gives more than the {length} bytes that it is to give");
            }

            Span<byte> target = result.AsSpan(written, (int)count);
            if (kind == 0)
            {
                if (count > compressed.Length - place)
                {
                    throw Damaged("ends inside a literal");
                }

                compressed.Slice(place, (int)count).CopyTo(target);
                place += (int)count;
            }
            else
            {
                long offset = kind == 1 ? number | ((long)(tag >> 5) << 8) : number;
                if (offset == 0 || offset > written)
                {
                    throw Damaged($"copies from {offset} bytes before byte {written}");
                }

                Copy(result.AsSpan(written - (int)offset), (int)offset, target.Length);
            }

            written += (int)count;
        }

        return written == length ? result : throw Damaged($"gives {written} of {length} bytes");
    }

    /// <summary>Repeats the first <paramref name="offset"/> bytes behind themselves; the copy may run into what it writes.</summary>
    private static void Copy(Span<byte> from, int offset, int count)
    {
        for (int done = 0; done < count;)
        {
            int part = Math.Min(offset + done, count - done); // what is there grows with every part, and its period stays
            from[..part].CopyTo(from[(offset + done)..]);
            done += part;
        }
    }

    private static InvalidDataException Damaged(string problem) => new($"a Snappy block {problem}");
}
