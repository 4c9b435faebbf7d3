using System.Text.Encodings.Web;
using System.Text.Json;

namespace Bitsmith.Checkpoints.Safetensors;

/// <summary>One weight file of a checkpoint to be written.</summary>
/// <typeparam name="T">What fills it: a unit that must stay in one file.</typeparam>
/// <param name="FileName">For example <c>model-00001-of-00004.safetensors</c>.</param>
/// <param name="Units">The units, in order.</param>
public sealed record Shard<T>(string FileName, IReadOnlyList<T> Units);

/// <summary>Splits a checkpoint into files and writes its index, by Hugging Face's conventions.</summary>
public static class Sharding
{
    /// <summary>The index's file name.</summary>
    public const string IndexFileName = "model.safetensors.index.json";

    /// <summary>The only weight file's name, where one is enough.</summary>
    public const string SingleFileName = "model.safetensors";

    private static readonly JsonWriterOptions WriterOptions =
        new() { Indented = true, Encoder = JavaScriptEncoder.UnsafeRelaxedJsonEscaping, NewLine = "\n" };

    /// <summary>Fills files in order; a new one starts when the next unit would go over the limit. A unit over the limit has a file of its own.</summary>
    public static IReadOnlyList<Shard<T>> Split<T>(IEnumerable<T> units, Func<T, long> bytes, long maxShardBytes)
    {
        ArgumentNullException.ThrowIfNull(units);
        ArgumentNullException.ThrowIfNull(bytes);
        ArgumentOutOfRangeException.ThrowIfNegativeOrZero(maxShardBytes);
        List<List<T>> files = [];
        long used = 0;
        foreach (T unit in units)
        {
            long size = bytes(unit);
            if (files.Count == 0 || (used > 0 && used + size > maxShardBytes))
            {
                files.Add([]);
                used = 0;
            }

            files[^1].Add(unit);
            used += size;
        }

        return files.Count == 1
            ? [new Shard<T>(SingleFileName, files[0])]
            : [.. files.Select((file, i) => new Shard<T>($"model-{i + 1:D5}-of-{files.Count:D5}.safetensors", file))];
    }

    /// <summary>The index's JSON: total size, and the file of each tensor, sorted by name.</summary>
    public static byte[] WriteIndex(IEnumerable<(string Tensor, string FileName)> places, long totalBytes)
    {
        using MemoryStream json = new();
        using (Utf8JsonWriter writer = new(json, WriterOptions))
        {
            writer.WriteStartObject();
            writer.WriteStartObject("metadata");
            writer.WriteNumber("total_size", totalBytes);
            writer.WriteEndObject();
            writer.WriteStartObject("weight_map");
            foreach ((string tensor, string fileName) in places.OrderBy(place => place.Tensor, StringComparer.Ordinal))
            {
                writer.WriteString(tensor, fileName);
            }

            writer.WriteEndObject();
            writer.WriteEndObject();
        }

        json.WriteByte((byte)'\n');
        return json.ToArray();
    }
}
