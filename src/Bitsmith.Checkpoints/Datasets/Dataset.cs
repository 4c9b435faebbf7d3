using System.Buffers;
using System.Text;
using System.Text.Json;
using Bitsmith.Checkpoints.Parquet;
using CsvHelper;

namespace Bitsmith.Checkpoints.Datasets;

/// <summary>A row of a data set.</summary>
/// <param name="Value">An object with the row's columns; of CSV all are texts.</param>
/// <param name="Place">Where it stands, for messages: <c>line 3</c>, or of Parquet and of a JSON array <c>row 3</c>, counted from 1.</param>
public sealed record DatasetRow(JsonElement Value, string Place);

/// <summary>
/// Reads data sets in the formats in which they are published, row by row: JSON Lines (<c>.jsonl</c>, <c>.ndjson</c>), a JSON array of objects (<c>.json</c>), CSV (<c>.csv</c>) and Parquet
/// (<c>.parquet</c>).
/// </summary>
public static class Dataset
{
    private static readonly UTF8Encoding Strict = new(encoderShouldEmitUTF8Identifier: false, throwOnInvalidBytes: true);

    /// <summary>Whether a file's name is one of a data set.</summary>
    public static bool HasFormat(string path) => Path.GetExtension(path).ToLowerInvariant() is ".jsonl" or ".ndjson" or ".json" or ".csv" or ".parquet";

    /// <summary>Reads a file; its name tells the format.</summary>
    /// <param name="path">The file.</param>
    /// <param name="headless">Names of the columns of a CSV file without a header; a header is a first row that has the first of these names as a field. Null where every CSV file has a header.</param>
    /// <exception cref="CheckpointException">The file cannot be read or is damaged, or its name tells no format.</exception>
    public static IEnumerable<DatasetRow> Read(string path, IReadOnlyList<string>? headless = null)
    {
        ArgumentNullException.ThrowIfNull(path);
        return Path.GetExtension(path).ToLowerInvariant() switch
        {
            ".jsonl" or ".ndjson" => JsonLines(path),
            ".json" => JsonArray(path),
            ".csv" => Csv(path, headless),
            ".parquet" => Parquet(path),
            _ => throw new CheckpointException(path, "its name does not tell a format; known are .jsonl, .ndjson, .json, .csv and .parquet."),
        };
    }

    /// <summary>Number of rows of a file; of Parquet its footer says it.</summary>
    /// <exception cref="CheckpointException">As for <see cref="Read"/>.</exception>
    public static long Count(string path)
    {
        ArgumentNullException.ThrowIfNull(path);
        if (!path.EndsWith(".parquet", StringComparison.OrdinalIgnoreCase))
        {
            return Read(path).LongCount();
        }

        using ParquetFile file = ParquetFile.Open(path);
        return file.RowCount;
    }

    private static IEnumerable<DatasetRow> JsonLines(string path)
    {
        using StreamReader reader = Open(path);
        for (int line = 1; Guarded(path, $"line {line}", reader.ReadLine) is { } text; line++)
        {
            if (!string.IsNullOrWhiteSpace(text))
            {
                string place = $"line {line}";
                yield return Row(path, place, Guarded(path, place, () => JsonElement.Parse(text)));
            }
        }
    }

    private static IEnumerable<DatasetRow> JsonArray(string path)
    {
        using StreamReader reader = Open(path);
        JsonElement all = Guarded(path, "the file", () => JsonElement.Parse(reader.ReadToEnd()));
        if (all.ValueKind != JsonValueKind.Array)
        {
            throw new CheckpointException(path, $"holds a JSON {all.ValueKind}, expected an array of objects.");
        }

        int number = 0;
        foreach (JsonElement element in all.EnumerateArray())
        {
            yield return Row(path, $"row {++number}", element);
        }
    }

    private static IEnumerable<DatasetRow> Parquet(string path)
    {
        using ParquetFile file = ParquetFile.Open(path);
        long number = 0;
        foreach (JsonElement row in file.Rows())
        {
            yield return new DatasetRow(row, $"row {++number}");
        }
    }

    private static IEnumerable<DatasetRow> Csv(string path, IReadOnlyList<string>? headless)
    {
        using StreamReader reader = Open(path);
        using CsvReader csv = CsvReader.Create(reader, new CsvReaderOptions { HasHeader = false, Separator = ',', MalformedData = CsvMalformedDataHandling.Throw, TrackLineNumbers = true });
        IReadOnlyList<string>? names = null;
        while (Guarded(path, $"behind row {csv.RowNumber}", csv.Read))
        {
            string[] fields = csv.Current.ToArray();
            if (names is null)
            {
                bool header = headless is null || fields.Contains(headless[0], StringComparer.OrdinalIgnoreCase);
                names = header ? fields : headless!;
                if (header)
                {
                    continue;
                }
            }

            string place = $"line {csv.LineNumber}";
            yield return fields.Length == names.Count
                ? new DatasetRow(Object(names, fields), place)
                : throw new CheckpointException(path, $"{place}: has {fields.Length} fields, expected {names.Count}: {string.Join(", ", names)}.");
        }
    }

    private static JsonElement Object(IReadOnlyList<string> names, string[] fields)
    {
        ArrayBufferWriter<byte> buffer = new();
        using (Utf8JsonWriter json = new(buffer))
        {
            json.WriteStartObject();
            for (int i = 0; i < fields.Length; i++)
            {
                json.WriteString(names[i], fields[i]);
            }

            json.WriteEndObject();
        }

        return JsonElement.Parse(buffer.WrittenSpan);
    }

    private static DatasetRow Row(string path, string place, JsonElement value) => value.ValueKind == JsonValueKind.Object
        ? new DatasetRow(value, place)
        : throw new CheckpointException(path, $"{place}: holds a JSON {value.ValueKind}, expected an object.");

    private static StreamReader Open(string path)
    {
        try
        {
            return new StreamReader(path, Strict);
        }
        catch (Exception problem) when (problem is IOException or UnauthorizedAccessException)
        {
            throw new CheckpointException(path, $"cannot be read: {problem.Message}", problem);
        }
    }

    private static T Guarded<T>(string path, string place, Func<T> read)
    {
        try
        {
            return read();
        }
        catch (JsonException problem)
        {
            throw new CheckpointException(path, $"{place}: is not valid JSON: {problem.Message}", problem);
        }
        catch (CsvFormatException problem)
        {
            throw new CheckpointException(path, $"line {problem.LineNumber}: is not valid CSV: {problem.Message} Quote fields that hold quotes, and double the quotes inside.", problem);
        }
        catch (DecoderFallbackException problem)
        {
            throw new CheckpointException(path, $"at or behind {place}: is not valid UTF-8. Convert the file first.", problem);
        }
        catch (Exception problem) when (problem is IOException or UnauthorizedAccessException)
        {
            throw new CheckpointException(path, $"cannot be read: {problem.Message}", problem);
        }
    }
}
