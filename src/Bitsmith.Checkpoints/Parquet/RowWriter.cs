using System.Buffers.Binary;
using System.Text.Json;
using System.Text.Unicode;

namespace Bitsmith.Checkpoints.Parquet;

/// <summary>Puts rows together from the values of their columns (Dremel's record assembly) and writes them as JSON.</summary>
/// <param name="columns">The columns that are wanted.</param>
/// <param name="cursors">By the number of the leaf; those of unwanted leaves are null.</param>
/// <param name="budget">What is written counts against it.</param>
internal sealed class RowWriter(IReadOnlyList<ParquetNode> columns, ColumnCursor?[] cursors, ReadBudget budget)
{
    private readonly ParquetNode[] leaves = [.. columns.SelectMany(column => column.Leaves)];

    /// <summary>The column whose values were being read last, for messages.</summary>
    public string Column { get; private set; } = string.Empty;

    /// <summary>Writes the next row as an object.</summary>
    /// <exception cref="InvalidDataException">The columns do not fit together or are damaged.</exception>
    public void Row(Utf8JsonWriter json)
    {
        foreach (ParquetNode leaf in leaves)
        {
            Column = leaf.Element.Name;
            ColumnCursor cursor = cursors[leaf.Index]!;
            if (cursor.AtEnd || cursor.Repetition != 0)
            {
                throw new InvalidDataException(cursor.AtEnd ? "it ends before the rows do" : "it has values that belong to no row");
            }
        }

        Properties(json, columns);
    }

    /// <summary>Checks that nothing is left.</summary>
    /// <exception cref="InvalidDataException">Values are left.</exception>
    public void End()
    {
        foreach (ParquetNode leaf in leaves)
        {
            Column = leaf.Element.Name;
            if (!cursors[leaf.Index]!.AtEnd)
            {
                throw new InvalidDataException("it has more values than there are rows");
            }
        }
    }

    private void Properties(Utf8JsonWriter json, IReadOnlyList<ParquetNode> children)
    {
        json.WriteStartObject();
        foreach (ParquetNode child in children)
        {
            budget.Take(child.Element.Name.Length); // names are written with every row
            json.WritePropertyName(child.Element.Name);
            Value(json, child);
        }

        json.WriteEndObject();
    }

    private void Value(Utf8JsonWriter json, ParquetNode node)
    {
        ColumnCursor first = cursors[node.Leaves.First().Index]!;
        budget.Take(1);
        if (first.Definition < node.Defined)
        {
            json.WriteNullValue();
            Pass(node);
            return;
        }

        switch (node.Kind)
        {
            case ParquetKind.Leaf:
                Column = node.Element.Name;
                Leaf(json, node.Element, first.Value.Span);
                first.Move();
                break;
            case ParquetKind.Struct:
                Properties(json, node.Children);
                break;
            default:
                Items(json, node, first);
                break;
        }
    }

    private void Items(Utf8JsonWriter json, ParquetNode list, ColumnCursor first)
    {
        json.WriteStartArray();
        if (first.Definition < list.Filled)
        {
            Pass(list);
        }
        else
        {
            do
            {
                Value(json, list.Children[0]);
            }
            while (Continues(list));
        }

        json.WriteEndArray();
    }

    /// <summary>Whether a list has a further element; all of its columns must agree.</summary>
    private bool Continues(ParquetNode list)
    {
        bool? further = null;
        foreach (ParquetNode leaf in list.Leaves)
        {
            Column = leaf.Element.Name;
            ColumnCursor cursor = cursors[leaf.Index]!;
            bool here = !cursor.AtEnd && cursor.Repetition == list.Repeated;
            if (cursor.Repetition > list.Repeated || (further ?? here) != here)
            {
                throw new InvalidDataException("it has more or fewer elements in a list than the columns beside it");
            }

            further = here;
        }

        return further == true;
    }

    /// <summary>Passes over the one entry that stands for nothing in each column.</summary>
    private void Pass(ParquetNode node)
    {
        foreach (ParquetNode leaf in node.Leaves)
        {
            Column = leaf.Element.Name;
            ColumnCursor cursor = cursors[leaf.Index]!;
            if (cursor.AtEnd)
            {
                throw new InvalidDataException("it ends before the rows do");
            }

            cursor.Move();
        }
    }

    private void Leaf(Utf8JsonWriter json, SchemaElement element, ReadOnlySpan<byte> value)
    {
        budget.Take(value.Length);
        switch (element.Type)
        {
            case PhysicalType.Boolean:
                json.WriteBooleanValue(value[0] != 0);
                break;
            case PhysicalType.Int32 when element.Unsigned:
                json.WriteNumberValue(BinaryPrimitives.ReadUInt32LittleEndian(value));
                break;
            case PhysicalType.Int32:
                json.WriteNumberValue(BinaryPrimitives.ReadInt32LittleEndian(value));
                break;
            case PhysicalType.Int64 when element.Unsigned:
                json.WriteNumberValue(BinaryPrimitives.ReadUInt64LittleEndian(value));
                break;
            case PhysicalType.Int64:
                json.WriteNumberValue(BinaryPrimitives.ReadInt64LittleEndian(value));
                break;
            case PhysicalType.Float:
                Number(json, BinaryPrimitives.ReadSingleLittleEndian(value));
                break;
            case PhysicalType.Double:
                Number(json, BinaryPrimitives.ReadDoubleLittleEndian(value));
                break;
            default:
                Bytes(json, element, value);
                break;
        }
    }

    private static void Number(Utf8JsonWriter json, double value)
    {
        if (double.IsFinite(value))
        {
            json.WriteNumberValue(value);
        }
        else
        {
            json.WriteStringValue(value.ToString());
        }
    }

    private static void Bytes(Utf8JsonWriter json, SchemaElement element, ReadOnlySpan<byte> value)
    {
        bool text = element.Logical is LogicalType.String or LogicalType.Enum or LogicalType.Json || element.Converted is ConvertedType.Utf8 or ConvertedType.Enum or ConvertedType.Json;
        if (!text)
        {
            json.WriteBase64StringValue(value);
        }
        else if (Utf8.IsValid(value))
        {
            json.WriteStringValue(value);
        }
        else
        {
            throw new InvalidDataException("a text is not valid UTF-8");
        }
    }
}
