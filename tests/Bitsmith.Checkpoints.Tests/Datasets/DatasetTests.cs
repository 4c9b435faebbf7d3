using Bitsmith.Checkpoints.Datasets;
using Bitsmith.Checkpoints.Tests.Support;

namespace Bitsmith.Checkpoints.Tests.Datasets;

public sealed class DatasetTests
{
    private const string Rows = """{"a":"x","b":"1"}|{"a":"y, \u0022z\u0022\nw","b":""}""";

    [Theory]
    [InlineData("f.jsonl", "{\"a\":\"x\",\"b\":\"1\"}\r\n\n{\"a\":\"y, \\\"z\\\"\\nw\",\"b\":\"\"}", "line 1|line 3")]
    [InlineData("f.json", "\uFEFF[{\"a\":\"x\",\"b\":\"1\"},{\"a\":\"y, \\\"z\\\"\\nw\",\"b\":\"\"}]", "row 1|row 2")]
    [InlineData("f.csv", "a,b\nx,1\n\"y, \"\"z\"\"\nw\",\n", "line 2|line 3")]
    [InlineData("f.csv", "a,b\r\nx,1\r\n\"y, \"\"z\"\"\nw\",\r\n", "line 2|line 3")]
    public void The_same_rows_are_read_from_each_format(string name, string content, string places)
    {
        using TemporaryFolder folder = new();
        DatasetRow[] rows = [.. Dataset.Read(folder.Write(name, content))];
        Assert.Equal(Rows.Split('|').Select(row => System.Text.Json.JsonElement.Parse(row)), rows.Select(row => row.Value), System.Text.Json.JsonElement.DeepEquals);
        Assert.Equal(places.Split('|'), rows.Select(row => row.Place));
    }

    [Fact]
    public void Rows_of_a_Parquet_file_are_those_of_its_lines_in_JSON()
    {
        string fixtures = Path.Combine(AppContext.BaseDirectory, "Fixtures", "parquet");
        DatasetRow[] lines = [.. Dataset.Read(Path.Combine(fixtures, "rows.jsonl"))], rows = [.. Dataset.Read(Path.Combine(fixtures, "duckdb-snappy.parquet"))];
        Assert.Equal(lines.Select(row => row.Value), rows.Select(row => row.Value), System.Text.Json.JsonElement.DeepEquals);
        Assert.Equal("row 50", rows[^1].Place);
    }

    [Fact]
    public void A_CSV_file_without_a_header_has_the_names_that_are_given()
    {
        using TemporaryFolder folder = new();
        Assert.Equal("""{"question":"q","answer":"A"}""", Dataset.Read(folder.Write("f.csv", "q,A\n"), ["question", "answer"]).Single().Value.GetRawText());
        Assert.Equal("""{"Question":"q","x":"A"}""", Dataset.Read(folder.Write("f.csv", "Question,x\nq,A\n"), ["question", "answer"]).Single().Value.GetRawText());
    }

    [Theory]
    [InlineData("f.jsonl", "{\"a\":1}\n{\"a\":", "line 2: is not valid JSON")]
    [InlineData("f.jsonl", "3", "line 1: holds a JSON Number, expected an object")]
    [InlineData("f.json", "{}", "holds a JSON Object, expected an array of objects")]
    [InlineData("f.json", "[{},1]", "row 2: holds a JSON Number")]
    [InlineData("f.csv", "a,b\n1,2\n1\n", "line 3: has 1 fields, expected 2: a, b")]
    [InlineData("f.csv", "a,b\n1,\"2\n", "is not valid CSV")]
    [InlineData("f.txt", "a", "known are .jsonl, .ndjson, .json, .csv and .parquet")]
    [InlineData("f.parquet", "PAR1", "fewer than any Parquet file")]
    public void What_is_wrong_is_said_with_its_place(string name, string content, string finding)
    {
        using TemporaryFolder folder = new();
        string path = folder.Write(name, content), message = Assert.Throws<CheckpointException>(() => Dataset.Read(path).Count()).Message;
        Assert.StartsWith(path, message, StringComparison.Ordinal);
        Assert.Contains(finding, message, StringComparison.Ordinal);
    }

    [Theory]
    [InlineData("f.jsonl")]
    [InlineData("f.json")]
    [InlineData("f.csv")]
    public void Bytes_that_are_no_UTF_8_are_refused(string name)
    {
        using TemporaryFolder folder = new();
        string path = folder.Write(name, [(byte)'"', 0xC3, (byte)'"', (byte)'\n']);
        Assert.Contains("is not valid UTF-8", Assert.Throws<CheckpointException>(() => Dataset.Read(path).Count()).Message, StringComparison.Ordinal);
    }

    [Fact]
    public void A_missing_file_is_named() => Assert.StartsWith("nowhere.jsonl: cannot be read", Assert.Throws<CheckpointException>(() => Dataset.Read("nowhere.jsonl").Count()).Message, StringComparison.Ordinal);

    [Theory]
    [InlineData("f.jsonl", "{\"a\":[1,{\"b\":\"c\\u0041\"}],\"d\":null}\n{\"a\":\"\"}\n")]
    [InlineData("f.csv", "a,b\n\"x \"\"y\"\"\",2\n,3\n")]
    public void A_damaged_file_is_read_or_refused_within_its_own_size(string name, string content)
    {
        using TemporaryFolder folder = new();
        string path = folder.Write(name, content);
        byte[] valid = File.ReadAllBytes(path);
        new FuzzRuns($"dataset, {name}", 500).All(path, (random, _) => Mutation.Damage(valid, valid.Length, random), () => Assert.All(Dataset.Read(path), row => Assert.NotEmpty(row.Place)));
    }
}
