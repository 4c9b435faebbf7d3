using System.Text.Json;
using Bitsmith.Checkpoints.Parquet;

namespace Bitsmith.Checkpoints.Tests.Parquet;

/// <summary>
/// Files that DuckDB 1.5 and the Rust library of Apache Arrow wrote of the same rows, and files of apache/parquet-testing; what they hold as DuckDB reads it (tests/Fixtures/parquet/README.md).
/// </summary>
public sealed class ParquetFileTests
{
    public static TheoryData<string> Written => ["duckdb-snappy", "duckdb-uncompressed", "arrow-v1-plain", "arrow-v1-dictionary", "arrow-v2-plain", "arrow-v2-dictionary"];

    public static TheoryData<string> Collected =>
        new(Directory.EnumerateFiles(Fixture("parquet-testing"), "*.jsonl").Select(Path.GetFileNameWithoutExtension).Order(StringComparer.Ordinal)!);

    [Theory]
    [MemberData(nameof(Written))]
    public void Other_programs_write_the_rows_that_are_read(string name)
    {
        using ParquetFile file = ParquetFile.Open(Fixture(name + ".parquet"));
        Assert.Equal(["number", "truth", "long", "unsigned", "fraction", "repeated_text", "text", "texts", "choices", "messages", "nested"], file.Columns);
        Assert.Equal(50, file.RowCount);
        Same(Fixture("rows.jsonl"), file.Rows());
    }

    [Theory]
    [MemberData(nameof(Collected))]
    public void Files_of_many_writers_hold_what_another_reader_finds(string name)
    {
        using ParquetFile file = ParquetFile.Open(Fixture($"parquet-testing/{name}.parquet"));
        Same(Fixture($"parquet-testing/{name}.jsonl"), file.Rows());
    }

    [Theory]
    [MemberData(nameof(Written))]
    public void Columns_that_are_not_wanted_are_left_out(string name)
    {
        using ParquetFile file = ParquetFile.Open(Fixture(name + ".parquet"));
        JsonElement[] rows = [.. file.Rows("number", "choices")];
        Assert.Equal(50, rows.Length);
        Assert.Equal(Enumerable.Range(0, 50), rows.Select(row => row.GetProperty("number").GetInt32()));
        Assert.Equal("""{"number":49,"choices":null}""", rows[49].GetRawText());
    }

    [Fact]
    public void Rows_can_be_read_twice()
    {
        using ParquetFile file = ParquetFile.Open(Fixture("arrow-v2-dictionary.parquet"));
        Assert.Equal(file.Rows().Select(row => row.GetRawText()), file.Rows().Select(row => row.GetRawText()));
    }

    [Fact]
    public void A_column_that_is_not_there_is_named_with_those_that_are()
    {
        using ParquetFile file = ParquetFile.Open(Fixture("duckdb-snappy.parquet"));
        string message = Assert.Throws<CheckpointException>(() => file.Rows("question")).Message;
        Assert.Contains("no column 'question'; it has 'number', 'truth'", message, StringComparison.Ordinal);
    }

    [Theory]
    [InlineData("arrow-zstd.parquet", "compressed with Zstandard")]
    [InlineData("arrow-delta.parquet", "encoding ")]
    public void What_is_not_read_is_said(string name, string finding)
    {
        using ParquetFile file = ParquetFile.Open(Fixture(name));
        string message = Assert.Throws<CheckpointException>(() => file.Rows().Count()).Message;
        Assert.Contains(finding, message, StringComparison.Ordinal);
        Assert.Contains("column '", message, StringComparison.Ordinal);
    }

    private static string Fixture(string name) => Path.Combine(AppContext.BaseDirectory, "Fixtures", "parquet", name);

    private static void Same(string expected, IEnumerable<JsonElement> rows)
    {
        string[] lines = File.ReadAllLines(expected);
        JsonElement[] found = [.. rows];
        Assert.Equal(lines.Length, found.Length);
        for (int i = 0; i < lines.Length; i++)
        {
            Assert.True(JsonElement.DeepEquals(JsonElement.Parse(lines[i]), found[i]), $"row {i}: expected {lines[i]}, found {found[i].GetRawText()}");
        }
    }
}
