using Bitsmith.Checkpoints.Imatrix;

namespace Bitsmith.Checkpoints.Tests.Imatrix;

/// <summary>Files that llama-imatrix 0.7.0 wrote (two models, ten chunks of 128 tokens each), and random matrices.</summary>
internal static class ImatrixSamples
{
    public static string Dense => Of("tiny-glm4.imatrix.gguf");

    public static string Experts => Of("tiny-glm4moe.imatrix.gguf");

    public static string Of(string file) => Path.Combine(AppContext.BaseDirectory, "Fixtures", "gguf", "imatrix", file);

    /// <summary>A dense tensor in three layers and a stack of experts in two of them; now and then an expert has seen nothing.</summary>
    public static ImportanceMatrix Random(Random random, int chunkSize = 128)
    {
        Dictionary<string, ImatrixEntry> entries = [];
        for (int layer = 0; layer < 3; layer++)
        {
            entries.Add($"blk.{layer}.attn_q.weight", Entry(random, 1, 5, chunkSize));
            if (layer != 1)
            {
                entries.Add($"blk.{layer}.ffn_up_exps.weight", Entry(random, 3, 4, chunkSize));
            }
        }

        return new ImportanceMatrix(entries) { Datasets = ["a.txt"], ChunkCount = 3, ChunkSize = chunkSize };
    }

    private static ImatrixEntry Entry(Random random, int matrices, int columns, int chunkSize)
    {
        int[] counts = [.. Enumerable.Range(0, matrices).Select(_ => matrices > 1 && random.Next(4) == 0 ? 0 : random.Next(1, 3 * chunkSize))];
        counts[0] = 3 * chunkSize;
        float[] squares = [.. Enumerable.Range(0, matrices * columns).Select(i => counts[i / columns] * random.NextSingle())];
        return new ImatrixEntry(squares, [.. squares.Select(square => square * (random.NextSingle() - 0.5f))], counts);
    }
}
