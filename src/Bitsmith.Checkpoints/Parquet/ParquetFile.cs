using System.Buffers;
using System.Buffers.Binary;
using System.Text.Json;
using Bitsmith.Checkpoints.Files;

namespace Bitsmith.Checkpoints.Parquet;

/// <summary>
/// A Parquet file (parquet-format), read row by row: what data sets are published in. Pages of both versions, PLAIN and dictionary encoding, Snappy or uncompressed; values are truth values,
/// integers, floats, texts and bytes, alone, in structs and in lists. Reading holds one row group's compressed columns and one page of each; in all it decodes at most 100 times the file's size.
/// </summary>
/// <remarks>For one thread at a time.</remarks>
public sealed class ParquetFile : IDisposable
{
    // "PAR1" at the start; at the end the footer's length and "PAR1".
    private const int Mark = 4, Tail = sizeof(int) + Mark;

    private readonly MappedFile file;
    private readonly IReadOnlyList<ParquetNode> columns;
    private readonly IReadOnlyList<RowGroup> groups;

    private ParquetFile(MappedFile file, ParquetFooter footer, IReadOnlyList<ParquetNode> columns)
    {
        (this.file, this.columns, groups) = (file, columns, footer.RowGroups);
        RowCount = groups.Sum(group => group.Rows);
        Columns = [.. columns.Select(column => column.Element.Name)];
    }

    /// <summary>Names of the columns.</summary>
    public IReadOnlyList<string> Columns { get; }

    /// <summary>Number of rows.</summary>
    public long RowCount { get; }

    /// <summary>Opens a file and checks its footer.</summary>
    /// <exception cref="CheckpointException">The file is missing, damaged, or no Parquet file.</exception>
    public static ParquetFile Open(string path)
    {
        MappedFile file = MappedFile.Open(path);
        try
        {
            byte[] bytes = FooterBytes(file);
            ParquetFooter footer = ParquetFooter.Read(bytes);
            (IReadOnlyList<ParquetNode> columns, int leaves) = ParquetNode.Tree(footer.Schema);
            Check(footer, [.. columns.SelectMany(column => column.Leaves)], leaves, file.Length - Tail - bytes.Length);
            return new ParquetFile(file, footer, columns);
        }
        catch (InvalidDataException problem)
        {
            file.Dispose();
            throw new CheckpointException(path, $"{problem.Message}. The file is damaged or no Parquet file that can be read; download or write it again.", problem);
        }
        catch
        {
            file.Dispose();
            throw;
        }
    }

    /// <summary>
    /// The rows in order, each an object with the wanted columns: structs are objects, lists arrays, maps arrays of objects; texts are strings, other bytes strings in Base64; dates and times the
    /// numbers they are stored as; floats that are no number are strings.
    /// </summary>
    /// <param name="wanted">Names of columns that are read; all where there are none.</param>
    /// <exception cref="CheckpointException">A column is missing, damaged, or stored in a way that is not read.</exception>
    public IEnumerable<JsonElement> Rows(params IReadOnlyList<string> wanted)
    {
        ArgumentNullException.ThrowIfNull(wanted);
        foreach (string name in wanted)
        {
            if (!Columns.Contains(name))
            {
                throw new CheckpointException(file.Path, $"has no column '{name}'; it has {string.Join(", ", Columns.Select(column => $"'{column}'"))}.");
            }
        }

        ParquetNode[] chosen = [.. columns.Where(column => wanted.Count == 0 || wanted.Contains(column.Element.Name))];
        foreach (ParquetNode leaf in chosen.SelectMany(column => column.Leaves))
        {
            if (leaf.Element.Type is PhysicalType.Int96 or PhysicalType.FixedLengthByteArray || leaf.Element.Logical is LogicalType.Decimal or LogicalType.Float16 || leaf.Element.Converted is ConvertedType.Decimal)
            {
                throw new CheckpointException(
                    file.Path, $"column '{leaf.Element.Name}' is of {leaf.Element.Type} {leaf.Element.Logical?.ToString() ?? leaf.Element.Converted?.ToString()}, which Bitsmith does not read. Leave it out or convert it.");
            }
        }

        return Read(chosen);
    }

    /// <inheritdoc/>
    public void Dispose() => file.Dispose();

    private static byte[] FooterBytes(MappedFile file)
    {
        byte[] tail = new byte[Tail], head = new byte[Mark];
        if (file.Length < Mark + Tail)
        {
            throw new InvalidDataException($"it has {file.Length} bytes, fewer than any Parquet file");
        }

        file.Read(0, head);
        file.Read(file.Length - Tail, tail);
        if (tail.AsSpan(sizeof(int)).SequenceEqual("PARE"u8))
        {
            throw new InvalidDataException("the file is encrypted, which Bitsmith does not read");
        }

        if (!head.AsSpan().SequenceEqual("PAR1"u8) || !tail.AsSpan(sizeof(int)).SequenceEqual("PAR1"u8))
        {
            throw new InvalidDataException("it does not start and end with 'PAR1'");
        }

        uint length = BinaryPrimitives.ReadUInt32LittleEndian(tail);
        if (length > file.Length - Mark - Tail)
        {
            throw new InvalidDataException($"its footer is to have {length} bytes, and the file has {file.Length}");
        }

        byte[] footer = new byte[length];
        file.Read(file.Length - Tail - length, footer);
        return footer;
    }

    private static void Check(ParquetFooter footer, ParquetNode[] leaves, int count, long end)
    {
        for (int i = 0; i < footer.RowGroups.Count; i++)
        {
            RowGroup group = footer.RowGroups[i];
            if (group.Columns.Count != count)
            {
                throw new InvalidDataException($"row group {i} has {group.Columns.Count} columns, and the schema {count}");
            }

            if (group.Rows > long.MaxValue / footer.RowGroups.Count)
            {
                throw new InvalidDataException($"row group {i} is to have {group.Rows} rows");
            }

            foreach (ParquetNode leaf in leaves)
            {
                ColumnChunk chunk = group.Columns[leaf.Index];
                string place = $"column '{leaf.Element.Name}' of row group {i}";
                if (chunk.Type != leaf.Element.Type || !Enum.IsDefined(chunk.Type))
                {
                    throw new InvalidDataException($"{place} is of type {chunk.Type}, and in the schema of {leaf.Element.Type}");
                }

                if (chunk.Start < Mark || chunk.Start > end || chunk.Bytes > end - chunk.Start)
                {
                    throw new InvalidDataException($"{place} is to lie at {chunk.Start} with {chunk.Bytes} bytes, and the columns end at {end}");
                }
            }
        }
    }

    private IEnumerable<JsonElement> Read(ParquetNode[] chosen)
    {
        ReadBudget budget = new(file.Length);
        ArrayBufferWriter<byte> buffer = new();
        using Utf8JsonWriter json = new(buffer);
        for (int group = 0; group < groups.Count; group++)
        {
            RowWriter rows = Begin(chosen, group, budget);
            for (long row = 0; row < groups[group].Rows; row++)
            {
                buffer.ResetWrittenCount();
                json.Reset();
                Guarded(group, row, rows, () =>
                {
                    rows.Row(json);
                    json.Flush();
                });
                yield return JsonElement.Parse(buffer.WrittenSpan);
            }

            Guarded(group, groups[group].Rows, rows, rows.End);
        }
    }

    private RowWriter Begin(ParquetNode[] chosen, int group, ReadBudget budget)
    {
        ColumnCursor?[] cursors = new ColumnCursor?[groups[group].Columns.Count];
        foreach (ParquetNode leaf in chosen.SelectMany(column => column.Leaves))
        {
            ColumnChunk chunk = groups[group].Columns[leaf.Index];
            try
            {
                budget.Take(chunk.Bytes);
                byte[] pages = GC.AllocateUninitializedArray<byte>((int)Math.Min(chunk.Bytes, Array.MaxLength));
                file.Read(chunk.Start, pages);
                cursors[leaf.Index] = new ColumnCursor(leaf, chunk, pages, budget);
            }
            catch (InvalidDataException problem)
            {
                throw Broken(leaf.Element.Name, $"row group {group}", problem);
            }
        }

        return new RowWriter(chosen, cursors, budget);
    }

    private void Guarded(int group, long row, RowWriter rows, Action action)
    {
        try
        {
            action();
        }
        catch (InvalidDataException problem)
        {
            throw Broken(rows.Column, $"row {row} of row group {group}", problem);
        }
    }

    private CheckpointException Broken(string column, string place, InvalidDataException problem) =>
        new(file.Path, $"column '{column}', {place}: {problem.Message}. Download or write the file again.", problem);
}
