using Bitsmith.Checkpoints;
using Bitsmith.Checkpoints.Files;
using Bitsmith.Quantization.Jobs;
using Bitsmith.Tensors.ElementTypes;
using Bitsmith.Tensors.InstructionSets;
using Microsoft.Win32.SafeHandles;

namespace Bitsmith.Quantization.Calibration;

/// <summary>
/// The hidden states of all samples between two layers, rounded to BF16 (nearest even), which is what a model in BF16 hands on. They always go to a file of their own, one for each layer, so that a job goes
/// on from the last layer that was finished; where memory allows, they are read from there and not from the file.
/// </summary>
/// <remarks>For one thread at a time. A file gets its name when it is whole and on disk.</remarks>
internal sealed class HiddenStates : IDisposable
{
    private const int BufferBytes = 4 << 20; // whole units of DirectFile

    private readonly string folder;
    private readonly int[] lengths;
    private readonly long[] offsets;
    private readonly int width;
    private readonly InstructionSet set;
    private readonly Memory<byte> buffer = DirectFile.Buffer(BufferBytes);
    private readonly byte[] scratch;
    private byte[][]? current, next;
    private SafeFileHandle? source;
    private DirectFile? target;
    private int targetLayer, buffered;
    private long written;

    /// <summary>Begins with nothing.</summary>
    /// <param name="folder">Where the files are.</param>
    /// <param name="lengths">Tokens of each sample.</param>
    /// <param name="width">D.</param>
    /// <param name="inMemory">The states in front of and behind a layer are held in memory too.</param>
    /// <param name="set">Kernels.</param>
    public HiddenStates(string folder, int[] lengths, int width, bool inMemory, InstructionSet set)
    {
        (this.folder, this.lengths, this.width, this.set) = (folder, lengths, width, set);
        offsets = new long[lengths.Length + 1];
        for (int i = 0; i < lengths.Length; i++)
        {
            offsets[i + 1] = offsets[i] + BytesOf(i);
        }

        scratch = new byte[inMemory ? 0 : lengths.Max() * width * sizeof(ushort)];
        if (inMemory)
        {
            (current, next) = (Memories(), Memories());
        }

        byte[][] Memories() => [.. Enumerable.Range(0, lengths.Length).Select(sample => GC.AllocateUninitializedArray<byte>(BytesOf(sample)))];
    }

    /// <summary>Whether states are read from memory.</summary>
    public bool InMemory => current is not null;

    /// <summary>Takes up the states in front of a layer from their file.</summary>
    /// <exception cref="CheckpointException">The file is missing or has another length.</exception>
    public void Open(int layer)
    {
        OpenFile(layer);
        for (int sample = 0; current is not null && sample < lengths.Length; sample++)
        {
            Fill(current[sample], offsets[sample]);
        }
    }

    /// <summary>Begins to write the states in front of a layer, from the first sample on.</summary>
    public void Begin(int layer)
    {
        target?.Dispose();
        (targetLayer, buffered, written) = (layer, 0, 0);
        string path = PathOf(layer) + ".new";
        target = DurableFile.Attempt(path, () => DirectFile.Create(path, offsets[^1]));
    }

    /// <summary>Writes the next sample.</summary>
    public void Write(int sample, ReadOnlySpan<float> hidden)
    {
        Span<byte> bytes = next is null ? scratch.AsSpan(0, BytesOf(sample)) : next[sample];
        ElementConversion.FromSingle(ElementType.BF16, hidden, bytes, set);
        for (ReadOnlySpan<byte> rest = bytes; !rest.IsEmpty;)
        {
            int count = Math.Min(rest.Length, BufferBytes - buffered);
            rest[..count].CopyTo(buffer.Span[buffered..]);
            rest = rest[count..];
            buffered += count;
            if (buffered == BufferBytes)
            {
                WriteBuffer();
            }
        }
    }

    /// <summary>All samples are written: what was written is what is read from now on.</summary>
    public void Finish()
    {
        WriteBuffer();
        string path = PathOf(targetLayer);
        DurableFile.Attempt(path, () =>
        {
            target!.Flush();
            target.Dispose();
            File.Move(path + ".new", path, overwrite: true);
        });
        target = null;
        (current, next) = (next, current);
        OpenFile(targetLayer);
    }

    /// <summary>Deletes the file of a layer that is done.</summary>
    public void Delete(int layer) => File.Delete(PathOf(layer));

    /// <summary>Reads a sample.</summary>
    /// <param name="sample">Its number.</param>
    /// <param name="hidden">Receives [tokens × D].</param>
    public void Read(int sample, Span<float> hidden)
    {
        Span<byte> bytes = current is null ? scratch.AsSpan(0, BytesOf(sample)) : current[sample];
        if (current is null)
        {
            Fill(bytes, offsets[sample]);
        }

        ElementConversion.ToSingle(ElementType.BF16, bytes, hidden, set);
    }

    /// <inheritdoc/>
    public void Dispose()
    {
        source?.Dispose();
        target?.Dispose();
    }

    private string PathOf(int layer) => Path.Combine(folder, $"hidden-{layer:0000}.bin");

    private int BytesOf(int sample) => lengths[sample] * width * sizeof(ushort);

    private void OpenFile(int layer)
    {
        source?.Dispose();
        string path = PathOf(layer);
        source = File.Exists(path) ? DurableFile.Attempt(path, () => File.OpenHandle(path)) : throw new CheckpointException(path, "is missing; the interrupted job needs it. Start over with --force.");
        if (RandomAccess.GetLength(source) is long length && length != offsets[^1])
        {
            throw new CheckpointException(path, $"has {length} bytes, expected {offsets[^1]}. Start over with --force.");
        }
    }

    private void Fill(Span<byte> bytes, long offset)
    {
        while (!bytes.IsEmpty)
        {
            int read = RandomAccess.Read(source!, bytes, offset);
            if (read == 0)
            {
                throw new JobException($"{folder}: a file of hidden states was cut off while it was read. Start over with --force.");
            }

            bytes = bytes[read..];
            offset += read;
        }
    }

    private void WriteBuffer()
    {
        DurableFile.Attempt(folder, () => target!.Write(buffer.Span[..buffered], written));
        (written, buffered) = (written + buffered, 0);
    }
}
