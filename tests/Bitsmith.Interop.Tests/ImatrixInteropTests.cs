using Bitsmith.Checkpoints.Gguf;
using Bitsmith.Checkpoints.Imatrix;
using Bitsmith.Evaluation.Texts;
using Bitsmith.Quantization.Calibration;
using Bitsmith.Quantization.Tests.Conversion;

namespace Bitsmith.Interop.Tests;

public sealed class ImatrixInteropTests
{
    // Weights, keys and values in F32 and no fused attention: then llama.cpp rounds no inputs, and both compute the same thing.
    private static readonly string[] Exactly = ["-ctk", "f32", "-ctv", "f32", "-fa", "off", "--no-ppl", "-t", "2"];

    [Theory]
    [InlineData("samples/glm-4.6v-mini")]
    [InlineData("models/tiny-glm4-moe")]
    public void Llama_imatrix_sums_the_same(string model)
    {
        using Peers peers = new();
        Prepare(peers, model);
        (int code, string output) = peers.Program("llama-imatrix", ["-m", "@model.gguf", "-f", "@text.txt", "-o", "@peer.gguf", "-c", "64", "--chunks", "8", .. Exactly]);
        Assert.True(code == 0, output);

        ImportanceMatrix found = Compute(peers, "own.gguf"), peer = ImportanceMatrix.Load(peers.Here("peer.gguf"));

        Assert.Equal(peer.Entries.Keys, found.Entries.Keys);
        Assert.Equal((peer.ChunkCount, peer.ChunkSize), (found.ChunkCount, found.ChunkSize));
        foreach ((string name, ImatrixEntry expected) in peer.Entries)
        {
            ImatrixEntry entry = found.Entries[name];
            Assert.Equal(expected.Counts, entry.Counts);
            for (int i = 0; i < expected.Squares.Length; i++)
            {
                float square = expected.Squares[i], scale = MathF.Sqrt(square * expected.Counts[i / expected.Columns]);
                Assert.True(MathF.Abs(entry.Squares[i] - square) <= 1e-3f * square, $"{name} {i}: Σ x² {entry.Squares[i]} for {square}");
                Assert.True(MathF.Abs(entry.Sums![i] - expected.Sums![i]) <= 1e-3f * scale, $"{name} {i}: Σ x {entry.Sums[i]} for {expected.Sums[i]}");
            }
        }
    }

    [Fact]
    public void Llama_quantize_takes_our_matrix_in_both_forms()
    {
        using Peers peers = new();
        Prepare(peers, "samples/glm-4.6v-mini");
        ImportanceMatrix matrix = Compute(peers, "own.gguf");
        matrix.Save(peers.Here("own.dat"), ImatrixFormat.Dat);
        foreach (string file in (string[])["own.gguf", "own.dat"])
        {
            (int code, string output) = peers.Program("llama-quantize", "--imatrix", $"@{file}", "@model.gguf", $"@{file}.quantized", "iq3_xxs", "2");
            Assert.True(code == 0, output);
            using GgufModel quantized = GgufModel.Open(peers.Here($"{file}.quantized"));
            Assert.Equal(matrix.Entries.Count, quantized.Metadata.Integer("quantize.imatrix.entries_count"));
            Assert.Equal(matrix.ChunkCount, quantized.Metadata.Integer("quantize.imatrix.chunks_count"));
            Assert.Equal("text.txt", quantized.Metadata.Text("quantize.imatrix.dataset"));
        }
    }

    [Fact]
    public void Llama_imatrix_merges_our_files_to_our_bytes_and_shows_our_statistics()
    {
        using Peers peers = new();
        Prepare(peers, "models/tiny-glm4-moe");
        ImportanceMatrix one = Compute(peers, "one.gguf"), two = Compute(peers, "two.gguf", skip: 8);
        (int code, string output) = peers.Program("llama-imatrix", "-m", "@none.gguf", "--in-file", "@one.gguf", "--in-file", "@two.gguf", "-o", "@merged.gguf");
        Assert.True(code == 0, output);

        ImatrixMerge.Merge([("one", one), ("two", two)], 512, []).Save(peers.Here("own.gguf"));
        Assert.Equal(File.ReadAllBytes(peers.Here("merged.gguf")), File.ReadAllBytes(peers.Here("own.gguf")));

        (_, string shown) = peers.Program("llama-imatrix", "-m", "@none.gguf", "--in-file", "@one.gguf", "--show-statistics");
        foreach (TensorStatistics row in ImatrixStatistics.Of(one).Tensors.Values)
        {
            string[] line = Assert.Single(shown.Split('\n'), line => line.Contains($" {row.Tensor} ", StringComparison.Ordinal)).Split((char[])[' ', '|', '%'], StringSplitOptions.RemoveEmptyEntries);
            Assert.Equal(
                [Text(row.Mean, 4), Text(row.StandardDeviation, 4), Text(row.Skewness, 4), Text(row.Kurtosis, 4), Text(row.Entropy, 2), Text(row.SumSquares, 4), Text(row.Change?.Gain, 2),
                    Text(row.Change?.Distance, 4), Text(row.Change?.Pearson, 4), Text(row.Change?.Covariance, 4)],
                line[2..12]);
        }
    }

    private static string Text(double? value, int digits) => value is double number && double.IsFinite(number) ? number.ToString($"F{digits}", System.Globalization.CultureInfo.InvariantCulture) : "nan";

    /// <summary>The model as a folder and a GGUF file of F32, and a text with names of special tokens in it.</summary>
    private static void Prepare(Peers peers, string model)
    {
        TinyModel.Copy(model, peers.Here("source"));
        string template = Path.Combine(peers.Here("source"), "chat_template.jinja");
        if (!File.Exists(template))
        {
            File.WriteAllText(template, "{{ messages[0].content }}");
        }

        TinyModel.Convert(peers.Here("source"), peers.Here("model.gguf"), GgufTensorType.F32);
        string text = File.ReadAllText(Path.Combine(AppContext.BaseDirectory, "peers", "check_gguf.py"));
        File.WriteAllText(peers.Here("text.txt"), $"Ünïcödé <|user|> 日本語 <think> 😀<|endoftext|>\n{text}\n\n");
    }

    private static ImportanceMatrix Compute(Peers peers, string file, int skip = 0)
    {
        using ImatrixJob job = ImatrixJob.Prepare(new ImatrixOptions
        {
            Model = peers.Here("source"), Text = peers.Here("text.txt"), Output = peers.Here(file), Chunks = new TextChunkSettings(64, skip, 8), ExactActivations = true,
        });
        return job.Run(null, TestContext.Current.CancellationToken);
    }
}
