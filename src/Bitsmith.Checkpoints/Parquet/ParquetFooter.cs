namespace Bitsmith.Checkpoints.Parquet;

/// <summary>A row of the footer's schema: the tree of columns, depth first.</summary>
/// <param name="Name">Its name.</param>
/// <param name="Type">What its values are stored as; null for a group.</param>
/// <param name="Repetition">Whether it is there once, at most once, or any number of times.</param>
/// <param name="Children">Rows that follow and belong to it.</param>
/// <param name="Converted">The older annotation, or null.</param>
/// <param name="Logical">The number of the newer annotation, or null.</param>
/// <param name="Unsigned">An integer without a sign.</param>
internal sealed record SchemaElement(string Name, PhysicalType? Type, Repetition Repetition, int Children, ConvertedType? Converted, LogicalType? Logical, bool Unsigned);

/// <summary>What values are stored as (parquet.thrift, Type).</summary>
internal enum PhysicalType
{
    Boolean = 0,
    Int32 = 1,
    Int64 = 2,
    Int96 = 3,
    Float = 4,
    Double = 5,
    ByteArray = 6,
    FixedLengthByteArray = 7,
}

/// <summary>parquet.thrift, FieldRepetitionType.</summary>
internal enum Repetition
{
    Required = 0,
    Optional = 1,
    Repeated = 2,
}

/// <summary>The annotations of parquet.thrift's ConvertedType that change how a column is read.</summary>
internal enum ConvertedType
{
    Utf8 = 0,
    Map = 1,
    MapKeyValue = 2,
    List = 3,
    Enum = 4,
    Decimal = 5,
    FirstUnsigned = 11,
    LastUnsigned = 14,
    Json = 19,
}

/// <summary>The annotations of parquet.thrift's LogicalType that change how a column is read.</summary>
internal enum LogicalType
{
    String = 1,
    Map = 2,
    List = 3,
    Enum = 4,
    Decimal = 5,
    Integer = 10,
    Json = 12,
    Float16 = 15,
}

/// <summary>The values of one column in one row group.</summary>
/// <param name="Type">What they are stored as.</param>
/// <param name="Codec">How pages are compressed.</param>
/// <param name="Values">Values, nulls and empty lists among them.</param>
/// <param name="Start">Where its pages start in the file.</param>
/// <param name="Bytes">What its pages take.</param>
internal sealed record ColumnChunk(PhysicalType Type, int Codec, long Values, long Start, long Bytes);

/// <summary>Some rows of the file.</summary>
/// <param name="Rows">Their number.</param>
/// <param name="Columns">One for each leaf of the schema.</param>
internal sealed record RowGroup(long Rows, IReadOnlyList<ColumnChunk> Columns);

/// <summary>The metadata at the end of a Parquet file (parquet-format, parquet.thrift, FileMetaData).</summary>
/// <param name="Schema">The tree of columns.</param>
/// <param name="RowGroups">The row groups.</param>
internal sealed record ParquetFooter(IReadOnlyList<SchemaElement> Schema, IReadOnlyList<RowGroup> RowGroups)
{
    /// <summary>Reads it; offsets are not checked yet.</summary>
    /// <exception cref="InvalidDataException">It is damaged.</exception>
    public static ParquetFooter Read(ReadOnlySpan<byte> bytes)
    {
        ThriftReader reader = new(bytes);
        List<SchemaElement> schema = [];
        List<RowGroup> groups = [];
        reader.BeginStruct();
        for (int id = 0; reader.Field(ref id, out ThriftType type);)
        {
            switch (id)
            {
                case 2:
                    for (int count = reader.BeginList(type, ThriftType.Struct, "the schema's rows"); count > 0; count--)
                    {
                        schema.Add(Element(ref reader));
                    }

                    break;
                case 4:
                    for (int count = reader.BeginList(type, ThriftType.Struct, "the row groups"); count > 0; count--)
                    {
                        groups.Add(Group(ref reader));
                    }

                    break;
                case 8:
                    throw new InvalidDataException("the file is encrypted, which Bitsmith does not read");
                default:
                    reader.Skip(type);
                    break;
            }
        }

        return new ParquetFooter(schema, groups);
    }

    private static SchemaElement Element(ref ThriftReader reader)
    {
        SchemaElement element = new(string.Empty, null, Repetition.Required, 0, null, null, false);
        reader.BeginStruct();
        for (int id = 0; reader.Field(ref id, out ThriftType type);)
        {
            switch (id)
            {
                case 1:
                    element = element with { Type = (PhysicalType)reader.Count(type, "a column's type") };
                    break;
                case 3:
                    element = element with { Repetition = (Repetition)reader.Count(type, "a column's repetition") };
                    break;
                case 4:
                    element = element with { Name = reader.Text(type, "a column's name") };
                    break;
                case 5:
                    element = element with { Children = reader.Count(type, "a group's number of columns") };
                    break;
                case 6:
                    element = element with { Converted = (ConvertedType)reader.Count(type, "a column's annotation") };
                    break;
                case 10:
                    element = Annotation(ref reader, type, element);
                    break;
                default:
                    reader.Skip(type);
                    break;
            }
        }

        return element with { Unsigned = element.Unsigned || element.Converted is >= ConvertedType.FirstUnsigned and <= ConvertedType.LastUnsigned };
    }

    private static SchemaElement Annotation(ref ThriftReader reader, ThriftType type, SchemaElement element)
    {
        reader.BeginStruct(type, "a column's annotation");
        for (int id = 0; reader.Field(ref id, out ThriftType field);)
        {
            element = element with { Logical = (LogicalType)id };
            if (id != (int)LogicalType.Integer)
            {
                reader.Skip(field);
                continue;
            }

            reader.BeginStruct(field, "an integer's annotation");
            for (int part = 0; reader.Field(ref part, out ThriftType of);)
            {
                if (part == 2)
                {
                    element = element with { Unsigned = !ThriftReader.Bool(of, "an integer's sign") };
                }
                else
                {
                    reader.Skip(of);
                }
            }
        }

        return element;
    }

    private static RowGroup Group(ref ThriftReader reader)
    {
        List<ColumnChunk> columns = [];
        long rows = 0;
        reader.BeginStruct();
        for (int id = 0; reader.Field(ref id, out ThriftType type);)
        {
            switch (id)
            {
                case 1:
                    for (int count = reader.BeginList(type, ThriftType.Struct, "a row group's columns"); count > 0; count--)
                    {
                        columns.Add(Chunk(ref reader));
                    }

                    break;
                case 3:
                    rows = reader.LongCount(type, "a row group's number of rows");
                    break;
                default:
                    reader.Skip(type);
                    break;
            }
        }

        return new RowGroup(rows, columns);
    }

    private static ColumnChunk Chunk(ref ThriftReader reader)
    {
        ColumnChunk? chunk = null;
        reader.BeginStruct();
        for (int id = 0; reader.Field(ref id, out ThriftType type);)
        {
            switch (id)
            {
                case 1:
                    throw new InvalidDataException($"a column lies in another file, '{reader.Text(type, "a column's file")}', which Bitsmith does not read");
                case 3:
                    chunk = Pages(ref reader, type);
                    break;
                default:
                    reader.Skip(type);
                    break;
            }
        }

        return chunk ?? throw new InvalidDataException("a row group has a column without metadata");
    }

    private static ColumnChunk Pages(ref ThriftReader reader, ThriftType type)
    {
        PhysicalType stored = 0;
        int codec = 0;
        long values = 0, bytes = 0, data = 0, dictionary = 0;
        reader.BeginStruct(type, "a column's metadata");
        for (int id = 0; reader.Field(ref id, out ThriftType field);)
        {
            switch (id)
            {
                case 1:
                    stored = (PhysicalType)reader.Count(field, "a column's type");
                    break;
                case 4:
                    codec = reader.Count(field, "a column's codec");
                    break;
                case 5:
                    values = reader.LongCount(field, "a column's number of values");
                    break;
                case 7:
                    bytes = reader.LongCount(field, "a column's length");
                    break;
                case 9:
                    data = reader.LongCount(field, "a column's place");
                    break;
                case 11:
                    dictionary = reader.LongCount(field, "a dictionary's place");
                    break;
                default:
                    reader.Skip(field);
                    break;
            }
        }

        // Some writers say 0 where there is no dictionary.
        return new ColumnChunk(stored, codec, values, dictionary > 0 && dictionary < data ? dictionary : data, bytes);
    }
}
