using System.Buffers.Binary;
using System.Numerics;

namespace Bitsmith.Checkpoints.Parquet;

/// <summary>
/// Goes through the values of one column in one row group, one entry of levels after the other. Pages are decompressed one at a time; levels, dictionary indices and values are decoded where
/// they are used, so that what a page says of their number allocates nothing.
/// </summary>
internal sealed class ColumnCursor
{
    private readonly ParquetNode leaf;
    private readonly ColumnChunk chunk;
    private readonly byte[] pages;
    private readonly ReadBudget budget;
    private readonly int width;

    private int nextPage;
    private long entriesLeft;
    private int pageLeft;
    private HybridReader? definitions, repetitions, indices;

    // Where the values of the page, and those of the dictionary, are.
    private byte[] page = [];
    private int place;
    private byte[] dictionary = [];
    private int[]? dictionaryPlaces;
    private int booleans;

    /// <summary>Stands at the first entry.</summary>
    /// <param name="leaf">The column.</param>
    /// <param name="chunk">Its values.</param>
    /// <param name="pages">The bytes of its pages.</param>
    /// <param name="budget">What decompressed pages count against.</param>
    /// <exception cref="InvalidDataException">They are damaged or encoded in a way that is not read.</exception>
    public ColumnCursor(ParquetNode leaf, ColumnChunk chunk, byte[] pages, ReadBudget budget)
    {
        (this.leaf, this.chunk, this.pages, this.budget) = (leaf, chunk, pages, budget);
        width = chunk.Type switch { PhysicalType.Int32 or PhysicalType.Float => sizeof(int), PhysicalType.Int64 or PhysicalType.Double => sizeof(long), _ => 0 };
        entriesLeft = chunk.Values;
        Move();
    }

    /// <summary>True behind the last entry.</summary>
    public bool AtEnd { get; private set; }

    /// <summary>The entry's definition level.</summary>
    public int Definition { get; private set; }

    /// <summary>The entry's repetition level; 0, as at the start of a row, behind the last entry.</summary>
    public int Repetition { get; private set; }

    /// <summary>The entry's value, where there is one: little-endian, a boolean as a byte, of a byte array what it holds.</summary>
    public ReadOnlyMemory<byte> Value { get; private set; }

    /// <summary>Goes to the next entry.</summary>
    /// <exception cref="InvalidDataException">The pages are damaged.</exception>
    public void Move()
    {
        if (entriesLeft == 0)
        {
            (AtEnd, Repetition, Definition) = (true, 0, 0);
            return;
        }

        while (pageLeft == 0)
        {
            OpenPage();
        }

        entriesLeft--;
        pageLeft--;
        Repetition = Level(repetitions, leaf.Repeated, "repetition");
        Definition = Level(definitions, leaf.Defined, "definition");
        Value = Definition < leaf.Defined ? default : indices is null ? Plain() : Listed();
    }

    private static int Level(HybridReader? levels, int largest, string which)
    {
        uint level = levels?.Next() ?? 0;
        return level <= largest ? (int)level : throw new InvalidDataException($"a {which} level is {level}, and the largest is {largest}");
    }

    private void OpenPage()
    {
        if (nextPage >= pages.Length)
        {
            throw new InvalidDataException($"its pages end {entriesLeft} of {chunk.Values} values early");
        }

        PageHeader header = PageHeader.Read(pages.AsSpan(nextPage), out int length);
        nextPage += length;
        if (header.Stored > pages.Length - nextPage)
        {
            throw new InvalidDataException($"a page is to have {header.Stored} bytes, and {pages.Length - nextPage} follow");
        }

        ReadOnlySpan<byte> stored = pages.AsSpan(nextPage, header.Stored);
        nextPage += header.Stored;
        switch (header.Type)
        {
            case PageType.Dictionary:
                OpenDictionary(header, stored);
                break;
            case PageType.Data:
                page = Decompress(stored, header.Bytes, compressed: true);
                place = 0;
                repetitions = FirstVersionLevels(leaf.Repeated, header.LevelEncodings.Repetition);
                definitions = FirstVersionLevels(leaf.Defined, header.LevelEncodings.Definition);
                OpenValues(header);
                break;
            case PageType.DataV2:
                OpenSecondVersion(header, stored);
                break;
            case PageType.Index:
                break;
            default:
                throw new InvalidDataException($"a page has the unknown type {(int)header.Type}");
        }
    }

    private void OpenSecondVersion(PageHeader header, ReadOnlySpan<byte> stored)
    {
        (int definition, int repetition) = header.LevelBytes;
        long levels = (long)definition + repetition;
        if (levels > Math.Min(stored.Length, header.Bytes))
        {
            throw new InvalidDataException($"the levels of a page are to have {levels} bytes, and the page has {Math.Min(stored.Length, header.Bytes)}");
        }

        byte[] levelBytes = stored[..(int)levels].ToArray();
        repetitions = leaf.Repeated > 0 ? new HybridReader(levelBytes, 0, repetition, LevelWidth(leaf.Repeated)) : null;
        definitions = leaf.Defined > 0 ? new HybridReader(levelBytes, repetition, (int)levels, LevelWidth(leaf.Defined)) : null;

        // Where all values are null there may be nothing at all to decompress.
        ReadOnlySpan<byte> values = stored[(int)levels..];
        page = values.IsEmpty ? [] : Decompress(values, header.Bytes - (int)levels, header.Compressed);
        place = 0;
        OpenValues(header);
    }

    private HybridReader? FirstVersionLevels(int largest, int encoding)
    {
        if (largest == 0)
        {
            return null;
        }

        if (encoding != (int)PageEncoding.Rle)
        {
            throw new InvalidDataException($"levels have encoding {encoding}, which Bitsmith does not read");
        }

        int bytes = Length("the levels");
        place += bytes;
        return new HybridReader(page, place - bytes, place, LevelWidth(largest));
    }

    private static int LevelWidth(int largest) => BitOperations.Log2((uint)largest) + 1;

    private void OpenValues(PageHeader header)
    {
        if (header.Values > entriesLeft)
        {
            throw new InvalidDataException($"a page is to have {header.Values} values, and {entriesLeft} are left");
        }

        (pageLeft, indices, booleans) = (header.Values, null, 0);
        switch (header.Encoding)
        {
            case PageEncoding.Plain:
                break;
            case PageEncoding.Rle when chunk.Type == PhysicalType.Boolean:
                int bytes = Length("truth values");
                indices = new HybridReader(page, place, place + bytes, 1);
                break;
            case PageEncoding.PlainDictionary or PageEncoding.RleDictionary:
                // A page without values has no width either.
                int bits = place < page.Length ? page[place++] : 0;
                indices = bits <= 32 ? new HybridReader(page, place, page.Length, bits) : throw new InvalidDataException($"a page's dictionary indices are to have {bits} bits");
                break;
            default:
                throw new InvalidDataException($"a page has encoding {(int)header.Encoding} of {chunk.Type}; Bitsmith reads PLAIN, dictionaries and RLE. Write the file again with one of these");
        }
    }

    private void OpenDictionary(PageHeader header, ReadOnlySpan<byte> stored)
    {
        if (header.Encoding is not (PageEncoding.Plain or PageEncoding.PlainDictionary) || dictionaryPlaces is not null || chunk.Type == PhysicalType.Boolean)
        {
            throw new InvalidDataException($"its dictionary has encoding {(int)header.Encoding}, comes a second time, or is of truth values");
        }

        dictionary = page = Decompress(stored, header.Bytes, compressed: true);
        place = 0;
        if (header.Values > dictionary.Length / sizeof(int))
        {
            throw new InvalidDataException($"its dictionary is to have {header.Values} values in {dictionary.Length} bytes");
        }

        // Of a byte array the place is that of its length.
        dictionaryPlaces = new int[header.Values];
        for (int i = 0; i < dictionaryPlaces.Length; i++)
        {
            dictionaryPlaces[i] = place;
            Plain();
        }
    }

    private byte[] Decompress(ReadOnlySpan<byte> stored, int bytes, bool compressed)
    {
        int codec = compressed ? chunk.Codec : 0;
        if (codec == 0 && bytes != stored.Length)
        {
            throw new InvalidDataException($"a page that is not compressed is to have {bytes} bytes and takes {stored.Length}");
        }

        budget.Take(bytes);
        return codec switch
        {
            0 => stored.ToArray(),
            1 => Snappy.Decompress(stored, bytes),
            _ => throw new InvalidDataException($"its pages are compressed with {CodecName(codec)}; Bitsmith reads Snappy and uncompressed pages. Write the file again with one of these"),
        };
    }

    private static string CodecName(int codec) => codec switch { 2 => "gzip", 3 => "LZO", 4 => "Brotli", 5 => "LZ4", 6 => "Zstandard", 7 => "LZ4 (raw)", _ => $"the unknown codec {codec}" };

    /// <summary>The value at the place, behind which the place moves.</summary>
    private ReadOnlyMemory<byte> Plain()
    {
        if (chunk.Type == PhysicalType.Boolean)
        {
            if (booleans / 8 >= page.Length - place)
            {
                throw new InvalidDataException("a page's truth values end before its levels do");
            }

            bool set = ((page[place + (booleans / 8)] >> (booleans % 8)) & 1) == 1;
            booleans++;
            return set ? True : False;
        }

        int bytes = chunk.Type == PhysicalType.ByteArray ? Length("a value") : width;
        if (bytes > page.Length - place)
        {
            throw new InvalidDataException("a page's values end before its levels do");
        }

        place += bytes;
        return page.AsMemory(place - bytes, bytes);
    }

    private static readonly ReadOnlyMemory<byte> True = new byte[] { 1 }, False = new byte[] { 0 };

    /// <summary>The value that the next index of the dictionary stands for.</summary>
    private ReadOnlyMemory<byte> Listed()
    {
        uint index = indices!.Next();
        if (chunk.Type == PhysicalType.Boolean)
        {
            return index == 1 ? True : False;
        }

        if (dictionaryPlaces is null || index >= (uint)dictionaryPlaces.Length)
        {
            throw new InvalidDataException($"a value is number {index} of its dictionary, which has {dictionaryPlaces?.Length ?? 0}");
        }

        int start = dictionaryPlaces[index], bytes = width;
        if (chunk.Type == PhysicalType.ByteArray)
        {
            bytes = BinaryPrimitives.ReadInt32LittleEndian(dictionary.AsSpan(start)); // checked when the dictionary was opened
            start += sizeof(int);
        }

        return dictionary.AsMemory(start, bytes);
    }

    /// <summary>A length of four bytes at the place, of what must follow there.</summary>
    private int Length(string what)
    {
        if (page.Length - place < sizeof(int))
        {
            throw new InvalidDataException($"a page ends before {what}");
        }

        int bytes = BinaryPrimitives.ReadInt32LittleEndian(page.AsSpan(place));
        place += sizeof(int);
        return bytes >= 0 && bytes <= page.Length - place ? bytes : throw new InvalidDataException($"{what} of a page are to have {bytes} bytes, and {page.Length - place} follow");
    }
}

/// <summary>What reading a file may decode in all, so that a small file cannot become any amount of data.</summary>
/// <param name="fileBytes">The file's size.</param>
internal sealed class ReadBudget(long fileBytes)
{
    /// <summary>Bytes decoded for each byte of the file.</summary>
    public const int Expansion = 100;

    private const long Least = 1 << 20;

    private long left = (fileBytes * Expansion) + Least;

    /// <summary>Counts bytes that are about to be decoded.</summary>
    /// <exception cref="InvalidDataException">They are more than there may be.</exception>
    public void Take(long bytes)
    {
        left -= bytes;
        if (left < 0)
        {
            throw new InvalidDataException($"the file decodes to more than {Expansion} times its {fileBytes} bytes");
        }
    }
}
