namespace Bitsmith.Checkpoints.Parquet;

/// <summary>What a node of the schema becomes.</summary>
internal enum ParquetKind
{
    /// <summary>A value.</summary>
    Leaf,

    /// <summary>An object with a property for each child.</summary>
    Struct,

    /// <summary>An array; its only child is the element.</summary>
    List,
}

/// <summary>
/// A part of a row as the schema has it, with the two levels of Dremel's encoding (parquet-format, "Nested Encoding"): the definition level tells how much of the path to a value is there, the
/// repetition level at which list of the path a value goes on.
/// </summary>
internal sealed class ParquetNode
{
    // Deeper nesting has no use, and rows are written by recursion.
    private const int MaxNesting = 16;

    private ParquetNode(SchemaElement element, ParquetKind kind) => (Element, Kind) = (element, kind);

    /// <summary>Its row of the schema.</summary>
    public SchemaElement Element { get; }

    /// <summary>What it becomes.</summary>
    public ParquetKind Kind { get; }

    /// <summary>Its parts; of a list the element alone.</summary>
    public IReadOnlyList<ParquetNode> Children { get; private init; } = [];

    /// <summary>At a definition level below this it is null.</summary>
    public int Defined { get; private init; }

    /// <summary>Of a list: at a definition level below this it has no element.</summary>
    public int Filled { get; private init; }

    /// <summary>Of a list: the repetition level with which a further element begins. Of a leaf: the largest repetition level.</summary>
    public int Repeated { get; private init; }

    /// <summary>Of a leaf: its number among the leaves.</summary>
    public int Index { get; private init; }

    /// <summary>The leaves below it, itself if it is one.</summary>
    public IEnumerable<ParquetNode> Leaves => Kind == ParquetKind.Leaf ? [this] : Children.SelectMany(child => child.Leaves);

    /// <summary>Builds the tree.</summary>
    /// <param name="schema">The rows of the footer.</param>
    /// <returns>The columns of the file, and the number of leaves.</returns>
    /// <exception cref="InvalidDataException">The rows are no tree.</exception>
    public static (IReadOnlyList<ParquetNode> Columns, int Leaves) Tree(IReadOnlyList<SchemaElement> schema)
    {
        Builder builder = new(schema);
        return (builder.Columns(), builder.Leaves);
    }

    private sealed class Builder(IReadOnlyList<SchemaElement> schema)
    {
        private int next;

        public int Leaves { get; private set; }

        public ParquetNode[] Columns()
        {
            SchemaElement root = Take();
            ParquetNode[] columns = [.. Enumerable.Range(0, Count(root)).Select(_ => Node(0, 0, 1))];
            return next == schema.Count ? columns : throw new InvalidDataException($"the schema has {schema.Count} rows, of which {next} belong to the tree");
        }

        /// <summary>A part of what holds it, with the levels reached there.</summary>
        private ParquetNode Node(int defined, int repeated, int nesting)
        {
            SchemaElement element = Take();
            if (nesting > MaxNesting)
            {
                throw new InvalidDataException($"column '{element.Name}' is nested deeper than {MaxNesting}");
            }

            if (element.Repetition != Repetition.Repeated)
            {
                return Content(element, defined + (element.Repetition == Repetition.Optional ? 1 : 0), repeated, nesting);
            }

            // Repeated without a group around it: a list that is never null, of elements that are never null.
            return new ParquetNode(element, ParquetKind.List)
            {
                Children = [Content(element, defined + 1, repeated + 1, nesting + 1)],
                Defined = defined,
                Filled = defined + 1,
                Repeated = repeated + 1,
            };
        }

        private ParquetNode Content(SchemaElement element, int defined, int repeated, int nesting)
        {
            if (element.Type is not null)
            {
                return element.Children == 0
                    ? new ParquetNode(element, ParquetKind.Leaf) { Defined = defined, Repeated = repeated, Index = Leaves++ }
                    : throw new InvalidDataException($"column '{element.Name}' has both values and {element.Children} columns of its own");
            }

            bool list = element.Logical is LogicalType.List or LogicalType.Map || element.Converted is ConvertedType.List or ConvertedType.Map or ConvertedType.MapKeyValue;
            if (list && Count(element) == 1 && next < schema.Count && schema[next].Repetition == Repetition.Repeated)
            {
                return List(element, defined, repeated, nesting);
            }

            return new ParquetNode(element, ParquetKind.Struct)
            {
                Children = [.. Enumerable.Range(0, Count(element)).Select(_ => Node(defined, repeated, nesting + 1))],
                Defined = defined,
                Repeated = repeated,
            };
        }

        /// <summary>
        /// A list in three levels, or in two as older writers had it (parquet-format, LogicalTypes.md, "Backward-compatibility rules"): the repeated row is the element itself where it is a value, has
        /// several columns, or is named "array" or after the list with "_tuple".
        /// </summary>
        private ParquetNode List(SchemaElement element, int defined, int repeated, int nesting)
        {
            SchemaElement inner = Take();
            bool isElement = inner.Type is not null || Count(inner) != 1 || inner.Name == "array" || inner.Name == element.Name + "_tuple";
            return new ParquetNode(element, ParquetKind.List)
            {
                Children = [isElement ? Content(inner, defined + 1, repeated + 1, nesting + 1) : Node(defined + 1, repeated + 1, nesting + 1)],
                Defined = defined,
                Filled = defined + 1,
                Repeated = repeated + 1,
            };
        }

        private SchemaElement Take() => next < schema.Count ? schema[next++] : throw new InvalidDataException($"the schema ends behind row {next}, inside a group");

        private static int Count(SchemaElement group) => group.Children > 0 ? group.Children : throw new InvalidDataException($"the schema's group '{group.Name}' has no columns");
    }
}
