using System.Globalization;
using System.Runtime.InteropServices;
using Bitsmith.Checkpoints.Gguf;

namespace Bitsmith.Checkpoints.Imatrix;

/// <summary>
/// llama.cpp's importance matrix as GGUF. A weight tensor W has F32 tensors <c>W.in_sum2</c> [matrices × columns] and <c>W.counts</c> [matrices × 1], and in newer files
/// <c>W.in_sum</c> and <c>W.stats</c>. Other tensors are left alone.
/// </summary>
internal static class ImatrixGguf
{
    private const string TypeKey = "general.type", Type = "imatrix", DatasetsKey = "imatrix.datasets", ChunkCountKey = "imatrix.chunk_count", ChunkSizeKey = "imatrix.chunk_size";
    private const string NextnKey = "imatrix.n_layer_nextn", SchemaKey = "imatrix.stats_schema";
    private const string Squares = ".in_sum2", Sums = ".in_sum", Counts = ".counts", Stats = ".stats";

    public static ImportanceMatrix Load(string path)
    {
        using GgufModel model = GgufModel.Open(path);
        GgufMetadata metadata = model.Metadata;
        if (metadata.Find(TypeKey) is { } type && !type.Equals(new GgufValue(Type)))
        {
            throw new CheckpointException(path, $"key '{TypeKey}' is {type.Describe()} {type}; expected '{Type}'. It is no importance matrix.");
        }

        Dictionary<string, ImatrixEntry> entries = new(StringComparer.Ordinal);
        foreach ((GgufFile file, GgufTensor tensor) in model.Files.SelectMany(file => file.Header.Tensors.Select(tensor => (file, tensor))))
        {
            if (tensor.Name.EndsWith(Squares, StringComparison.Ordinal))
            {
                string name = tensor.Name[..^Squares.Length];
                entries.Add(name, Entry(path, model, name, (file, tensor)));
            }
            else if (Ending(tensor.Name) is { } ending && model.Find(tensor.Name[..^ending.Length] + Squares) is null)
            {
                throw new CheckpointException(path, $"has '{tensor.Name}' but no '{tensor.Name[..^ending.Length]}{Squares}'. The file is damaged; compute it again.");
            }
        }

        return entries.Count == 0
            ? throw new CheckpointException(path, $"has no tensor with a name that ends in '{Squares}': it is no importance matrix.")
            : new ImportanceMatrix(entries)
            {
                Datasets = metadata.Find(DatasetsKey)?.Content as string[] ?? [],
                ChunkCount = Number(metadata, ChunkCountKey, path) ?? 0,
                ChunkSize = Number(metadata, ChunkSizeKey, path) is int size and > 0 ? size : null,
                NextnLayers = Number(metadata, NextnKey, path) ?? 0,
                Notes = [.. metadata.Where(pair => pair.Key.StartsWith("bitsmith.", StringComparison.Ordinal) && pair.Value.Content is string)
                    .Select(pair => KeyValuePair.Create(pair.Key, (string)pair.Value.Content))],
            };
    }

    public static void Save(string path, ImportanceMatrix matrix)
    {
        int chunkSize = matrix.RequireChunkSize();
        GgufMetadata metadata = new(path);
        metadata.Add(TypeKey, Type);
        metadata.Add(DatasetsKey, matrix.Datasets.ToArray());
        metadata.Add(ChunkCountKey, (uint)matrix.ChunkCount);
        metadata.Add(ChunkSizeKey, (uint)chunkSize);
        if (matrix.NextnLayers > 0)
        {
            metadata.Add(NextnKey, (uint)matrix.NextnLayers);
        }

        metadata.Add(SchemaKey, TensorStatistics.Schema.ToArray());
        foreach ((string key, string note) in matrix.Notes)
        {
            metadata.Add(key, note);
        }

        List<GgufTensorInfo> tensors = [];
        foreach ((string name, ImatrixEntry entry) in matrix.Entries)
        {
            tensors.Add(new GgufTensorInfo(name + Squares, GgufTensorType.F32, Shape(entry, entry.Columns)));
            tensors.Add(new GgufTensorInfo(name + Counts, GgufTensorType.F32, Shape(entry, 1)));
            if (entry.Sums is not null)
            {
                tensors.Add(new GgufTensorInfo(name + Sums, GgufTensorType.F32, Shape(entry, entry.Columns)));
            }

            tensors.Add(new GgufTensorInfo(name + Stats, GgufTensorType.F32, [TensorStatistics.Schema.Count]));
        }

        ImatrixStatistics statistics = ImatrixStatistics.Of(matrix);
        using GgufWriter writer = new(path, metadata, tensors);
        foreach ((string name, ImatrixEntry entry) in matrix.Entries)
        {
            writer.Append(MemoryMarshal.AsBytes(entry.Squares.AsSpan()));
            writer.Append(MemoryMarshal.AsBytes(Array.ConvertAll(entry.Counts, count => (float)count).AsSpan()));
            writer.Append(MemoryMarshal.AsBytes(entry.Sums.AsSpan()));
            writer.Append(MemoryMarshal.AsBytes(statistics.Tensors[name].Row().AsSpan()));
        }

        writer.Complete();
    }

    // ggml drops outer sizes of 1.
    private static long[] Shape(ImatrixEntry entry, int columns) => entry.Counts.Length == 1 ? [columns] : [entry.Counts.Length, columns];

    private static string? Ending(string name) => ((string[])[Sums, Counts]).FirstOrDefault(ending => name.EndsWith(ending, StringComparison.Ordinal));

    private static int? Number(GgufMetadata metadata, string key, string path) => metadata.Find(key) switch
    {
        null => null,
        _ when metadata.Integer(key) is >= 0 and <= int.MaxValue and long number => (int)number,
        { } other => throw new CheckpointException(path, string.Create(CultureInfo.InvariantCulture, $"key '{key}' is {other}; expected a number from 0 to {int.MaxValue}.")),
    };

    private static ImatrixEntry Entry(string path, GgufModel model, string name, (GgufFile File, GgufTensor Tensor) squares)
    {
        (GgufFile File, GgufTensor Tensor) counts = model.Find(name + Counts) ?? throw new CheckpointException(path, $"has '{name}{Squares}' but no '{name}{Counts}'. The file is damaged; compute it again.");
        (GgufFile File, GgufTensor Tensor)? sums = model.Find(name + Sums);
        long values = squares.Tensor.Elements, matrices = counts.Tensor.Elements;
        if (values == 0 || matrices == 0 || values % matrices != 0 || (sums is { } plain && plain.Tensor.Elements != values))
        {
            throw new CheckpointException(path, $"'{name}': {values} values in '{Squares}', {sums?.Tensor.Elements ?? values} in '{Sums}' and {matrices} in '{Counts}' do not fit together. The file is damaged; compute it again.");
        }

        float[] numbers = Floats(counts, 0);
        int[] whole = new int[numbers.Length];
        for (int i = 0; i < whole.Length; i++)
        {
            whole[i] = numbers[i] <= int.MaxValue / 2
                ? (int)MathF.Round(numbers[i], MidpointRounding.AwayFromZero)
                : throw new CheckpointException(path, $"'{name}{Counts}' has {numbers[i]} at {i}: more tokens than can be counted.");
        }

        return new ImatrixEntry(Floats(squares, 0), sums is { } found ? Floats(found, -float.MaxValue) : null, whole);

        float[] Floats((GgufFile File, GgufTensor Tensor) place, float least)
        {
            if (place.Tensor.Type != GgufTensorType.F32 || place.Tensor.Elements > Array.MaxLength / sizeof(float))
            {
                throw new CheckpointException(path, $"'{place.Tensor.Name}' is {place.Tensor.Describe()}; expected F32, of less than 2^29 numbers.");
            }

            float[] floats = MemoryMarshal.Cast<byte, float>(place.File.View(place.Tensor)).ToArray();
            int bad = floats.AsSpan().IndexOfAnyExceptInRange(least, float.MaxValue);
            return bad < 0 ? floats : throw new CheckpointException(
                path, $"'{place.Tensor.Name}' has {floats[bad]} at {bad}; expected a finite number{(least == 0 ? " that is not negative" : string.Empty)}. Compute the matrix again.");
        }
    }
}
