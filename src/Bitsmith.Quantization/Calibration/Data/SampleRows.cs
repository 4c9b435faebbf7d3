using System.Text;
using Bitsmith.Checkpoints;
using Bitsmith.Checkpoints.Datasets;
using Bitsmith.Quantization.Jobs;

namespace Bitsmith.Quantization.Calibration.Data;

/// <summary>A row that can become a sample.</summary>
/// <param name="Row">Its number in its source, from 0 on.</param>
/// <param name="Place">File and place, for messages.</param>
/// <param name="Tokens">Makes all its tokens; any thread may call it.</param>
internal sealed record SampleRow(int Row, string Place, Func<int[]> Tokens);

/// <summary>The rows of a source, which are read from front to back as often as they are needed.</summary>
internal abstract class SampleRows
{
    /// <summary>Number of rows.</summary>
    public abstract int Count { get; }

    /// <summary>Those rows that are wanted, in order.</summary>
    public abstract IEnumerable<SampleRow> Read(Predicate<int> wanted);

    /// <summary>Opens a source.</summary>
    /// <exception cref="CheckpointException">A file is missing or damaged.</exception>
    /// <exception cref="RequestException">The location is neither a file, nor a folder, nor a name of a data set.</exception>
    public static SampleRows Open(string location, int maxLength, SampleReader reader, DatasetCache? cache)
    {
        if (File.Exists(location))
        {
            return Dataset.HasFormat(location) ? new DatasetRows([location], reader) : new TextChunkRows(location, maxLength, reader);
        }

        if (Directory.Exists(location))
        {
            string[] files = [.. Directory.EnumerateFiles(location).Order(StringComparer.Ordinal)], data = [.. files.Where(Dataset.HasFormat)];
            return data.Length > 0 ? new DatasetRows(data, reader)
                : files.Where(file => file.EndsWith(".txt", StringComparison.OrdinalIgnoreCase)).ToArray() is { Length: > 0 } texts ? new DocumentRows(texts, reader)
                : throw new CheckpointException(location, "has no data set (.jsonl, .json, .csv, .parquet) and no texts (.txt).");
        }

        return cache is not null && !Dataset.HasFormat(location) && DatasetCache.IsName(location)
            ? new DatasetRows(cache.Find(location), reader)
            : throw new RequestException($"'{location}' is no file or folder{(cache is null ? string.Empty : ", nor ORG/NAME:SPLIT of a data set in the Hugging Face cache")}. Check the name.");
    }

    private protected static string Text(string path)
    {
        try
        {
            return new UTF8Encoding(encoderShouldEmitUTF8Identifier: false, throwOnInvalidBytes: true).GetString(File.ReadAllBytes(path));
        }
        catch (Exception problem) when (problem is IOException or UnauthorizedAccessException or DecoderFallbackException)
        {
            throw new CheckpointException(path, problem is DecoderFallbackException ? "is no UTF-8 text. Convert it first." : $"cannot be read: {problem.Message}", problem);
        }
    }
}

/// <summary>Rows of data sets, file after file.</summary>
internal sealed class DatasetRows(IReadOnlyList<string> files, SampleReader reader) : SampleRows
{
    public override int Count { get; } = checked((int)files.Sum(Dataset.Count));

    public override IEnumerable<SampleRow> Read(Predicate<int> wanted)
    {
        int number = 0;
        foreach (string file in files)
        {
            foreach (DatasetRow row in Dataset.Read(file))
            {
                if (wanted(number))
                {
                    yield return new SampleRow(number, $"{file}, {row.Place}", () => reader.Encode(file, row));
                }

                number++;
            }
        }
    }
}

/// <summary>Each text is a document.</summary>
internal sealed class DocumentRows(string[] files, SampleReader reader) : SampleRows
{
    public override int Count => files.Length;

    public override IEnumerable<SampleRow> Read(Predicate<int> wanted) =>
        Enumerable.Range(0, files.Length).Where(row => wanted(row)).Select(row => new SampleRow(row, files[row], () => reader.Encode(Text(files[row]))));
}

/// <summary>One text becomes tokens at once and is cut into chunks of the greatest length; the last is what is left.</summary>
internal sealed class TextChunkRows(string path, int size, SampleReader reader) : SampleRows
{
    private readonly int[] tokens = reader.Encode(Text(path));

    public override int Count => (tokens.Length + size - 1) / size;

    public override IEnumerable<SampleRow> Read(Predicate<int> wanted) =>
        Enumerable.Range(0, Count).Where(row => wanted(row)).Select(row => new SampleRow(row, $"{path}, chunk {row + 1}", () => tokens[(row * size)..Math.Min(tokens.Length, (row + 1) * size)]));
}
