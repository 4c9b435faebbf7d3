using Bitsmith.Checkpoints.Safetensors;
using Microsoft.Win32.SafeHandles;

namespace Bitsmith.Synthesize;

/// <summary>Writes a folder with the tensors of a list.</summary>
internal static class CheckpointWriter
{
    private static readonly Dictionary<string, string> Metadata = new() { ["format"] = "pt" };

    /// <summary>Writes weights, index and side files.</summary>
    /// <param name="list">The tensors.</param>
    /// <param name="folder">An empty or new folder.</param>
    /// <param name="maxShardBytes">Limit of a weight file.</param>
    /// <param name="weights">Fills the tensors; null leaves holes, which read as zeros and take no disk.</param>
    public static void Write(TensorList list, string folder, long maxShardBytes, WeightSource? weights)
    {
        Directory.CreateDirectory(folder);
        IReadOnlyList<Shard<TensorInfo>> shards = Sharding.Split(list.Tensors, tensor => tensor.Bytes, maxShardBytes);
        foreach (Shard<TensorInfo> shard in shards)
        {
            SafetensorsLayout layout = SafetensorsLayout.Create(shard.Units, Metadata);
            using SafeFileHandle file = File.OpenHandle(Path.Combine(folder, shard.FileName), FileMode.CreateNew, FileAccess.Write);
            RandomAccess.SetLength(file, layout.Length);
            RandomAccess.Write(file, layout.HeaderBytes.Span, 0);
            foreach (StoredTensor tensor in layout.Tensors)
            {
                weights?.Write(file, tensor);
            }
        }

        if (shards.Count > 1)
        {
            byte[] index = Sharding.WriteIndex(shards.SelectMany(shard => shard.Units.Select(tensor => (tensor.Name, shard.FileName))), list.Bytes);
            File.WriteAllBytes(Path.Combine(folder, Sharding.IndexFileName), index);
        }

        SideFileWriter.Write(folder, list);
    }
}
