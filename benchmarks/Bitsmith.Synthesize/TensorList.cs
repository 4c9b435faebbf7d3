using System.Text.Json;
using Bitsmith.Checkpoints;
using Bitsmith.Checkpoints.Safetensors;
using Bitsmith.Tensors.ElementTypes;

namespace Bitsmith.Synthesize;

/// <summary>
/// The tensors of a real model, without their data: names, shapes and types, and the config they follow from. In the file, <c>{i}</c>
/// (layer) and <c>{e}</c> (expert) of a name run through inclusive ranges; <c>summary</c> says what must come out.
/// </summary>
public sealed class TensorList
{
    private static readonly string[] Placeholders = ["i", "e"];

    private TensorList(string model, JsonElement config, IReadOnlyList<TensorInfo> tensors, JsonElement summary)
    {
        Model = model;
        Config = config;
        Tensors = tensors;
        Summary = summary;
    }

    /// <summary>The model's name, for example <c>GLM-4.6V-Flash</c>.</summary>
    public string Model { get; }

    /// <summary>The fields of config.json that the list follows from.</summary>
    public JsonElement Config { get; }

    /// <summary>All tensors, those of a layer together.</summary>
    public IReadOnlyList<TensorInfo> Tensors { get; }

    /// <summary>What else the file says of the model, for example the sizes of its quantized forms.</summary>
    public JsonElement Summary { get; }

    /// <summary>Bytes of all tensors.</summary>
    public long Bytes => Tensors.Sum(tensor => tensor.Bytes);

    /// <summary>Reads a list, expands it and compares the result with its summary.</summary>
    /// <exception cref="CheckpointException">The file is not such a list, or the tensors are not those of the summary.</exception>
    public static TensorList Load(string path)
    {
        try
        {
            using JsonDocument document = JsonDocument.Parse(File.ReadAllBytes(path));
            JsonElement root = document.RootElement.Clone();
            Entry[] entries = [.. root.GetProperty("tensors").EnumerateArray().Select(Entry.Read)];
            TensorInfo[] tensors = [.. Expand(entries, depth: 0).Select(entry => new TensorInfo(entry.Name, entry.Type, entry.Shape))];
            foreach (Entry entry in entries)
            {
                entry.CheckCount();
            }

            TensorList list = new(root.GetProperty("model").GetString()!, root.GetProperty("config_used"), tensors, root.GetProperty("summary"));
            list.CheckSummary();
            return list;
        }
        catch (FileNotFoundException problem)
        {
            throw new CheckpointException(path, "this file is missing.", problem);
        }
        catch (Exception problem) when (problem is JsonException or KeyNotFoundException or InvalidOperationException or FormatException)
        {
            throw new CheckpointException(path, $"is no tensor list: {problem.Message}", problem);
        }
    }

    private void CheckSummary()
    {
        long count = Summary.GetProperty("tensors").GetInt64(), bytes = Summary.GetProperty("bytes").GetInt64();
        if (Tensors.Count != count || Bytes != bytes)
        {
            throw new FormatException($"it expands to {Tensors.Count} tensors of {Bytes} bytes, its summary says {count} of {bytes}");
        }

        if (Tensors.GroupBy(tensor => tensor.Name).FirstOrDefault(group => group.Count() > 1) is { } twice)
        {
            throw new FormatException($"the name '{twice.Key}' comes out twice");
        }
    }

    // Real checkpoints keep a layer together, so entries that share what precedes a placeholder advance together.
    private static IEnumerable<Entry> Expand(IReadOnlyList<Entry> entries, int depth)
    {
        if (depth == Placeholders.Length)
        {
            return entries;
        }

        List<Entry> expanded = [];
        string placeholder = Placeholders[depth], mark = $"{{{placeholder}}}";
        for (int first = 0, next; first < entries.Count; first = next)
        {
            string? prefix = entries[first].Before(mark);
            next = first + 1;
            if (prefix is null)
            {
                expanded.AddRange(Expand([entries[first]], depth + 1));
                continue;
            }

            while (next < entries.Count && entries[next].Before(mark) == prefix)
            {
                next++;
            }

            Entry[] run = [.. entries.Skip(first).Take(next - first)];
            foreach (int index in run.SelectMany(entry => entry.Indices[placeholder]).Distinct().Order())
            {
                expanded.AddRange(Expand([.. run.Where(entry => entry.Indices[placeholder].Contains(index)).Select(entry => entry.With(mark, index))], depth + 1));
            }
        }

        return expanded;
    }

    /// <summary>One line of the file.</summary>
    private sealed record Entry(string Name, ElementType Type, long[] Shape, int Count, IReadOnlyDictionary<string, HashSet<int>> Indices)
    {
        public static Entry Read(JsonElement json)
        {
            string dtype = json.GetProperty("dtype").GetString()!;
            return new Entry(
                json.GetProperty("name").GetString()!,
                ElementTypeExtensions.TryParse(dtype, out ElementType type) ? type : throw new FormatException($"dtype '{dtype}' is unknown"),
                [.. json.GetProperty("shape").EnumerateArray().Select(size => size.GetInt64())],
                json.GetProperty("count").GetInt32(),
                Placeholders.Where(placeholder => json.TryGetProperty(placeholder, out _)).ToDictionary(placeholder => placeholder, placeholder => Range(json.GetProperty(placeholder))));
        }

        public string? Before(string mark) => Name.IndexOf(mark, StringComparison.Ordinal) is int place and >= 0 ? Name[..place] : null;

        public Entry With(string mark, int index) => this with { Name = Name.Replace(mark, index.ToString(), StringComparison.Ordinal) };

        public void CheckCount()
        {
            int product = Indices.Values.Aggregate(1, (count, indices) => count * indices.Count);
            if (product != Count || Indices.Keys.Any(placeholder => Before($"{{{placeholder}}}") is null))
            {
                throw new FormatException($"'{Name}' expands to {product} names, its count says {Count}");
            }
        }

        private static HashSet<int> Range(JsonElement ranges) =>
            [.. ranges.EnumerateArray().SelectMany(range => Enumerable.Range(range[0].GetInt32(), range[1].GetInt32() - range[0].GetInt32() + 1))];
    }
}
