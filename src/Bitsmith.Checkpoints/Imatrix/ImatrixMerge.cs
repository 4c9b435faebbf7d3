namespace Bitsmith.Checkpoints.Imatrix;

/// <summary>Adds importance matrices of several runs up.</summary>
public static class ImatrixMerge
{
    /// <summary>
    /// Adds sums and counts. The chunk size is that of the first file that has one; the number of chunks follows from the largest count. A <c>.dat</c> file's means become sums of whole
    /// chunks. What is lost is told in <paramref name="warnings"/>: plain sums stay only where all files have them, and chunks of several sizes are counted by the first.
    /// </summary>
    /// <param name="files">The matrices with names for messages; at least one.</param>
    /// <param name="chunkSize">Tokens in a chunk where no file says; llama-imatrix takes 512.</param>
    /// <param name="warnings">Receives what a user must know.</param>
    /// <exception cref="CheckpointException">A tensor has another number of columns or experts in two files, or a count overflows.</exception>
    public static ImportanceMatrix Merge(IReadOnlyList<(string Path, ImportanceMatrix Matrix)> files, int chunkSize, ICollection<string> warnings)
    {
        ArgumentNullException.ThrowIfNull(files);
        ArgumentNullException.ThrowIfNull(warnings);
        int size = files.Select(file => file.Matrix.ChunkSize).FirstOrDefault(size => size is not null) ?? chunkSize;
        int nextn = files.Max(file => file.Matrix.NextnLayers);
        Dictionary<string, ImatrixEntry> entries = new(StringComparer.Ordinal);
        foreach ((string path, ImportanceMatrix matrix) in files)
        {
            if (matrix.ChunkSize is int other && other != size)
            {
                warnings.Add($"{path} has chunks of {other} tokens, others of {size}; chunks are counted as {size}.");
            }

            if (matrix.NextnLayers != 0 && matrix.NextnLayers != nextn)
            {
                throw new CheckpointException(path, $"has {matrix.NextnLayers} layers for multi-token prediction, another file {nextn}. They are of different models.");
            }

            foreach ((string name, ImatrixEntry entry) in matrix.Entries)
            {
                ImatrixEntry added = matrix.CountsChunks ? Tokens(path, name, entry, size) : entry;
                entries[name] = entries.TryGetValue(name, out ImatrixEntry? sum) ? Add(path, name, sum, added) : added;
            }
        }

        int lost = files.SelectMany(file => file.Matrix.Entries).Where(entry => entry.Value.Sums is not null && entries[entry.Key].Sums is null).DistinctBy(entry => entry.Key).Count();
        if (lost > 0)
        {
            warnings.Add($"{lost} of {entries.Count} tensors have no plain sums in some of the files; the result has none for them either.");
        }

        return new ImportanceMatrix(entries)
        {
            Datasets = [.. files.SelectMany(file => file.Matrix.Datasets)],
            ChunkSize = size,
            ChunkCount = (int)((entries.Values.Max(entry => entry.Counts.Max()) + (size / 2L)) / size),
            NextnLayers = nextn,
        };
    }

    // Means times calls become sums over calls · size tokens.
    private static ImatrixEntry Tokens(string path, string name, ImatrixEntry entry, int size) => new(
        Array.ConvertAll(entry.Squares, square => square * size), null, Array.ConvertAll(entry.Counts, count => Count(path, name, (long)count * size)));

    private static ImatrixEntry Add(string path, string name, ImatrixEntry one, ImatrixEntry two)
    {
        int matrices = Math.Max(one.Counts.Length, two.Counts.Length);
        if (one.Squares.Length != two.Squares.Length || (one.Counts.Length != two.Counts.Length && Math.Min(one.Counts.Length, two.Counts.Length) != 1))
        {
            throw new CheckpointException(
                path, $"'{name}' has {two.Squares.Length} sums and {two.Counts.Length} counts, in the files before it {one.Squares.Length} and {one.Counts.Length}. They are of different models.");
        }

        return new ImatrixEntry(
            Sum(one.Squares, two.Squares),
            one.Sums is { } first && two.Sums is { } second ? Sum(first, second) : null,
            [.. Enumerable.Range(0, matrices).Select(i => Count(path, name, (long)one.Counts[i % one.Counts.Length] + two.Counts[i % two.Counts.Length]))]);
    }

    private static float[] Sum(float[] one, float[] two)
    {
        float[] sum = new float[one.Length];
        for (int i = 0; i < sum.Length; i++)
        {
            sum[i] = one[i] + two[i];
        }

        return sum;
    }

    private static int Count(string path, string name, long count) =>
        count <= int.MaxValue ? (int)count : throw new CheckpointException(path, $"'{name}' has then seen {count} tokens; at most {int.MaxValue} can be counted.");
}
