using Bitsmith.Checkpoints;
using Bitsmith.Evaluation.Texts;
using Bitsmith.Models.Text;

namespace Bitsmith.Evaluation.Tests.Texts;

public sealed class TextChunksTests : IDisposable
{
    private static readonly Tokenizer Vocabulary = Tokenizer.Load(Path.Combine(AppContext.BaseDirectory, "gguf", "tokenizer.json"));

    private readonly string file = Path.GetTempFileName();

    public void Dispose() => File.Delete(file);

    [Fact]
    public void Whole_chunks_are_taken_in_order_and_the_rest_is_left()
    {
        string text = File.ReadAllText(Path.Combine(AppContext.BaseDirectory, "gguf", "calib.txt"));
        File.WriteAllText(file, text);
        int[] all = Vocabulary.Encode(text.EndsWith('\n') ? text[..^1] : text, parseSpecial: false);
        TextChunks chunks = TextChunks.Read(file, Vocabulary, new TextChunkSettings(100, Skip: 1, Most: 3));
        Assert.Equal((100, 3), (chunks.Size, chunks.Count));
        Assert.Equal(all[100..400], (int[])[.. chunks[0], .. chunks[1], .. chunks[2]]);
        Assert.Equal(all.Length / 100, TextChunks.Read(file, Vocabulary, new TextChunkSettings(100)).Count);
    }

    [Fact]
    public void One_newline_at_the_end_is_dropped_and_a_second_one_stays()
    {
        File.WriteAllText(file, "one two three four\n\n");
        int[] expected = Vocabulary.Encode("one two three four\n", parseSpecial: false);
        TextChunks chunks = TextChunks.Read(file, Vocabulary, new TextChunkSettings(1));
        Assert.Equal(expected, Enumerable.Range(0, chunks.Count).Select(chunk => chunks[chunk][0]));
    }

    [Fact]
    public void The_first_token_of_each_chunk_gives_way_to_the_one_that_texts_begin_with()
    {
        File.WriteAllText(file, "one two three four five six seven");
        TextChunks plain = TextChunks.Read(file, Vocabulary, new TextChunkSettings(4)), begun = TextChunks.Read(file, Vocabulary, new TextChunkSettings(4, First: 7));
        Assert.Equal(plain.Count, begun.Count);
        Assert.All(Enumerable.Range(0, plain.Count), chunk => Assert.Equal([7, .. plain[chunk][1..]], begun.ToRun(chunk)));
        Assert.Equal(plain[1].ToArray(), begun[1].ToArray());
        Assert.Equal(plain.Digest, begun.Digest);
    }

    [Fact]
    public void With_a_stride_chunks_overlap_and_each_token_is_scored_once()
    {
        string text = File.ReadAllText(Path.Combine(AppContext.BaseDirectory, "gguf", "calib.txt"));
        File.WriteAllText(file, text);
        int[] all = Vocabulary.Encode(text.EndsWith('\n') ? text[..^1] : text, parseSpecial: false);
        TextChunks chunks = TextChunks.Read(file, Vocabulary, new TextChunkSettings(100, First: 7, Stride: 40));
        Assert.Equal((256, 40, 215, 40), (chunks.Size, chunks.Stride, chunks.FirstScored, chunks.ScoredPerChunk)); // 100 + 20, rounded up
        Assert.Equal((all.Length - 256 + 39) / 40, chunks.Count);
        Assert.All(Enumerable.Range(0, chunks.Count), chunk => Assert.Equal(all[(chunk * 40)..((chunk * 40) + 256)], chunks.ToRun(chunk)));
    }

    [Fact]
    public void A_text_that_is_too_short_missing_or_no_text_is_refused()
    {
        File.WriteAllText(file, "one");
        Assert.Contains("at least 2 are needed", Assert.Throws<CheckpointException>(() => TextChunks.Read(file, Vocabulary, new TextChunkSettings(100))).Message, StringComparison.Ordinal);
        Assert.StartsWith("nowhere.txt: ", Assert.Throws<CheckpointException>(() => TextChunks.Read("nowhere.txt", Vocabulary, new TextChunkSettings())).Message, StringComparison.Ordinal);
        File.WriteAllBytes(file, [0xFF, 0xFE, 0, 0]);
        Assert.Contains("UTF-8", Assert.Throws<CheckpointException>(() => TextChunks.Read(file, Vocabulary, new TextChunkSettings())).Message, StringComparison.Ordinal);
    }
}
