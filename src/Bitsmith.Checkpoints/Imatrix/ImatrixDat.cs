using System.Buffers.Binary;
using System.Runtime.InteropServices;
using System.Text;
using System.Text.Unicode;
using Bitsmith.Checkpoints.Files;

namespace Bitsmith.Checkpoints.Imatrix;

/// <summary>
/// llama.cpp's importance matrix before GGUF. All numbers are 32 bits, little-endian: the number of entries; for each entry the length of its name, the name, the number of calls
/// (chunks), the number of values and the values, which are mean squares times calls; then the number of chunks, and the length and name of the text. What follows the entries may be absent.
/// </summary>
internal static class ImatrixDat
{
    // The least an entry takes: name length, calls, number of values, one value.
    private const int LeastEntry = 4 * sizeof(int);

    public static ImportanceMatrix Load(string path)
    {
        using MappedFile file = MappedFile.Open(path);
        Cursor cursor = new(file);
        int count = cursor.Length("entries", LeastEntry, least: 1);
        Dictionary<string, ImatrixEntry> entries = new(StringComparer.Ordinal);
        for (int i = 0; i < count; i++)
        {
            string name = cursor.Text($"the name of entry {i}");
            string place = $"entry '{name}'";
            int calls = cursor.Int32($"the calls of {place}");
            if (calls < 1)
            {
                throw cursor.Broken($"{place} has {calls} calls; expected at least 1");
            }

            float[] values = cursor.Floats($"values of {place}");
            if (values.AsSpan().IndexOfAnyExceptInRange(0, float.MaxValue) is int bad and >= 0)
            {
                throw cursor.Broken($"value {bad} of {place} is {values[bad]}; expected a finite number that is not negative");
            }

            if (!entries.TryAdd(name, new ImatrixEntry(values, null, [calls])))
            {
                throw cursor.Broken($"{place} stands twice");
            }
        }

        int chunks = cursor.AtEnd ? 0 : cursor.Int32("the number of chunks");
        string dataset = cursor.AtEnd ? string.Empty : cursor.Text("the name of the text");
        return cursor.AtEnd && chunks >= 0
            ? new ImportanceMatrix(entries) { CountsChunks = true, ChunkCount = chunks, Datasets = dataset.Length > 0 ? [dataset] : [] }
            : throw cursor.Broken(chunks < 0 ? $"the number of chunks is {chunks}" : "bytes follow behind the name of the text");
    }

    public static byte[] Write(ImportanceMatrix matrix)
    {
        int chunkSize = matrix.RequireChunkSize();
        KeyValuePair<string, ImatrixEntry>[] seen = [.. matrix.Entries.Where(entry => entry.Value.Unseen < entry.Value.Counts.Length)];
        using MemoryStream stream = new();
        using BinaryWriter writer = new(stream);
        writer.Write(seen.Length);
        foreach ((string name, ImatrixEntry entry) in seen)
        {
            Write(writer, name);
            int calls = (int)((entry.Counts.Max() + (long)chunkSize - 1) / chunkSize);
            writer.Write(calls);
            writer.Write(entry.Squares.Length);
            foreach (float meanSquare in entry.Importance())
            {
                writer.Write(meanSquare * calls);
            }
        }

        writer.Write(matrix.ChunkCount);
        Write(writer, matrix.Datasets.LastOrDefault(string.Empty));
        return stream.ToArray();
    }

    private static void Write(BinaryWriter writer, string text)
    {
        byte[] bytes = Encoding.UTF8.GetBytes(text);
        writer.Write(bytes.Length);
        writer.Write(bytes);
    }

    /// <summary>Reads front to back; a length is compared with what follows before anything is allocated.</summary>
    private sealed class Cursor(MappedFile file)
    {
        private long position;

        public bool AtEnd => position == file.Length;

        private long Left => file.Length - position;

        public CheckpointException Broken(string problem) =>
            new(file.Path, $"{problem}. It starts as no GGUF file does, and is no whole importance matrix in llama.cpp's older form (.dat) either; compute it again.");

        public int Int32(string place)
        {
            if (Left < sizeof(int))
            {
                throw Broken($"{place} is missing: the file ends at byte {file.Length}");
            }

            Span<byte> bytes = stackalloc byte[sizeof(int)];
            file.Read(position, bytes);
            position += sizeof(int);
            return BinaryPrimitives.ReadInt32LittleEndian(bytes);
        }

        public int Length(string what, int bytesEach, int least = 0)
        {
            int length = Int32($"the number of {what}");
            return length >= least && length <= Left / bytesEach ? length : throw Broken($"there are to be {length} {what} of at least {bytesEach} byte(s), and {Left} bytes follow");
        }

        public string Text(string place)
        {
            byte[] bytes = new byte[Length($"bytes of {place}", 1)];
            file.Read(position, bytes);
            position += bytes.Length;
            return Utf8.IsValid(bytes) ? Encoding.UTF8.GetString(bytes) : throw Broken($"{place} is not valid UTF-8");
        }

        public float[] Floats(string what)
        {
            float[] values = new float[Length(what, sizeof(float), least: 1)];
            file.Read(position, MemoryMarshal.AsBytes(values.AsSpan()));
            position += (long)values.Length * sizeof(float);
            return values;
        }
    }
}
