namespace Bitsmith.Checkpoints.Parquet;

/// <summary>parquet.thrift, PageType.</summary>
internal enum PageType
{
    Data = 0,
    Index = 1,
    Dictionary = 2,
    DataV2 = 3,
}

/// <summary>The encodings of parquet.thrift that are read.</summary>
internal enum PageEncoding
{
    Plain = 0,
    PlainDictionary = 2,
    Rle = 3,
    RleDictionary = 8,
}

/// <summary>The head of a page (parquet.thrift, PageHeader).</summary>
internal sealed record PageHeader
{
    /// <summary>What the page holds.</summary>
    public PageType Type { get; private init; }

    /// <summary>Bytes of the page once decompressed.</summary>
    public int Bytes { get; private init; }

    /// <summary>Bytes of the page in the file.</summary>
    public int Stored { get; private init; }

    /// <summary>Values, nulls and empty lists among them.</summary>
    public int Values { get; private init; }

    /// <summary>How values are encoded.</summary>
    public PageEncoding Encoding { get; private init; }

    /// <summary>How levels of a page of the first version are encoded; 3, runs and packed bits, is read.</summary>
    public (int Definition, int Repetition) LevelEncodings { get; private init; } = ((int)PageEncoding.Rle, (int)PageEncoding.Rle);

    /// <summary>Bytes of the levels of a page of the second version.</summary>
    public (int Definition, int Repetition) LevelBytes { get; private init; }

    /// <summary>Whether the values of a page of the second version are compressed.</summary>
    public bool Compressed { get; private init; } = true;

    /// <summary>Reads one.</summary>
    /// <param name="bytes">Starts with it.</param>
    /// <param name="length">Receives its length.</param>
    /// <exception cref="InvalidDataException">It is damaged.</exception>
    public static PageHeader Read(ReadOnlySpan<byte> bytes, out int length)
    {
        ThriftReader reader = new(bytes);
        PageHeader header = new();
        reader.BeginStruct();
        for (int id = 0; reader.Field(ref id, out ThriftType type);)
        {
            header = id switch
            {
                1 => header with { Type = (PageType)reader.Count(type, "a page's type") },
                2 => header with { Bytes = reader.Count(type, "a page's length") },
                3 => header with { Stored = reader.Count(type, "a page's length in the file") },
                5 or 7 => FirstVersion(ref reader, type, header),
                8 => SecondVersion(ref reader, type, header),
                _ => Skipped(ref reader, type, header),
            };
        }

        length = reader.Position;
        return header;
    }

    // A data page's head and a dictionary's begin alike.
    private static PageHeader FirstVersion(ref ThriftReader reader, ThriftType type, PageHeader header)
    {
        reader.BeginStruct(type, "a page's head");
        for (int id = 0; reader.Field(ref id, out ThriftType field);)
        {
            header = (id, field) switch
            {
                (1, _) => header with { Values = reader.Count(field, "a page's number of values") },
                (2, _) => header with { Encoding = (PageEncoding)reader.Count(field, "a page's encoding") },
                (3, ThriftType.Int32) => header with { LevelEncodings = (reader.Count(field, "the encoding of definition levels"), header.LevelEncodings.Repetition) },
                (4, ThriftType.Int32) => header with { LevelEncodings = (header.LevelEncodings.Definition, reader.Count(field, "the encoding of repetition levels")) },
                _ => Skipped(ref reader, field, header),
            };
        }

        return header;
    }

    private static PageHeader SecondVersion(ref ThriftReader reader, ThriftType type, PageHeader header)
    {
        reader.BeginStruct(type, "a page's head");
        for (int id = 0; reader.Field(ref id, out ThriftType field);)
        {
            header = id switch
            {
                1 => header with { Values = reader.Count(field, "a page's number of values") },
                4 => header with { Encoding = (PageEncoding)reader.Count(field, "a page's encoding") },
                5 => header with { LevelBytes = (reader.Count(field, "the length of definition levels"), header.LevelBytes.Repetition) },
                6 => header with { LevelBytes = (header.LevelBytes.Definition, reader.Count(field, "the length of repetition levels")) },
                7 => header with { Compressed = ThriftReader.Bool(field, "a page's compression") },
                _ => Skipped(ref reader, field, header),
            };
        }

        return header;
    }

    private static PageHeader Skipped(ref ThriftReader reader, ThriftType type, PageHeader header)
    {
        reader.Skip(type);
        return header;
    }
}
