using Bitsmith.Evaluation.Divergence;

namespace Bitsmith.Evaluation.Tests.Comparison;

public sealed class TokenSeriesTests : IDisposable
{
    private const int PerChunk = 7;

    private readonly string file = Path.Combine(Path.GetTempPath(), $"{Guid.NewGuid():n}.tokens");
    private readonly TokenDivergence[] tokens = [.. Enumerable.Range(0, 5 * PerChunk).Select(i => new TokenDivergence(Math.Exp(-i), i == 3 ? double.PositiveInfinity : i / 3.0, Math.PI * i, i % 3 == 0))];

    public void Dispose() => File.Delete(file);

    [Fact]
    public void Tokens_read_back_to_the_bit()
    {
        Fill(5);
        using TokenSeries read = TokenSeries.Open(file, PerChunk);
        Assert.Equal(tokens, read.Tokens);
    }

    [Fact]
    public void A_chunk_that_is_not_whole_does_not_count()
    {
        using (TokenSeries series = TokenSeries.Open(file, PerChunk))
        {
            foreach (TokenDivergence token in tokens.AsSpan(0, (2 * PerChunk) + 3))
            {
                series.Add(token);
            }

            Assert.Equal(2, series.Chunks);
        }

        using TokenSeries read = TokenSeries.Open(file, PerChunk);
        Assert.Equal(tokens[..(2 * PerChunk)], read.Tokens);
    }

    [Fact]
    public void Wherever_a_file_is_cut_or_damaged_the_sound_chunks_before_remain_and_the_rest_can_be_written_again()
    {
        Fill(5);
        byte[] whole = File.ReadAllBytes(file);
        int chunk = whole.Length / 5;
        for (int place = 0; place < whole.Length; place += 11)
        {
            byte[] damaged = [.. whole];
            damaged[place] ^= 0x40;
            foreach (byte[] content in (byte[][])[whole[..place], damaged, [.. whole[..place], .. new byte[whole.Length - place]]])
            {
                File.WriteAllBytes(file, content);
                using (TokenSeries series = TokenSeries.Open(file, PerChunk))
                {
                    // Zeros may be what stood there.
                    Assert.InRange(series.Chunks, place / chunk, content.AsSpan().SequenceEqual(whole) ? 5 : place / chunk);
                    foreach (TokenDivergence token in tokens.AsSpan(series.Tokens.Count))
                    {
                        series.Add(token);
                    }
                }

                Assert.Equal(whole, File.ReadAllBytes(file));
            }
        }
    }

    [Fact]
    public void A_series_can_be_taken_back_to_its_first_chunks()
    {
        Fill(5);
        using (TokenSeries series = TokenSeries.Open(file, PerChunk))
        {
            series.Truncate(2);
            Assert.Equal(2, series.Chunks);
        }

        using TokenSeries read = TokenSeries.Open(file, PerChunk);
        Assert.Equal(tokens[..(2 * PerChunk)], read.Tokens);
    }

    private void Fill(int chunks)
    {
        using TokenSeries series = TokenSeries.Open(file, PerChunk);
        foreach (TokenDivergence token in tokens.AsSpan(0, chunks * PerChunk))
        {
            series.Add(token);
        }

        series.Flush();
    }
}
