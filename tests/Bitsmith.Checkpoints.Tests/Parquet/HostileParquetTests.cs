using System.Buffers.Binary;
using Bitsmith.Checkpoints.Parquet;
using Bitsmith.Checkpoints.Tests.Support;

namespace Bitsmith.Checkpoints.Tests.Parquet;

/// <summary>Files that break one rule each, written byte by byte, and files damaged at random.</summary>
public sealed class HostileParquetTests
{
    [Fact]
    public void The_file_that_the_others_here_spoil_is_read() => Assert.Equal([7, 7, 7], Read(new Sample()));

    [Fact]
    public void A_run_stands_for_any_number_of_values() => Assert.Equal(1000, Read(new Sample { Rows = 1000, Values = 1000, PageValues = 1000, Run = 1000 }).Length);

    [Theory]
    [InlineData("PAR2", "does not start and end with 'PAR1'")]
    [InlineData("PARE", "encrypted")]
    public void Another_mark_is_no_Parquet_file(string mark, string finding) => Refused(new Sample { Mark = mark }, finding);

    [Fact]
    public void A_file_of_a_few_bytes_is_no_Parquet_file() => Refused("PAR1PAR1"u8.ToArray(), "fewer than any Parquet file");

    [Fact]
    public void A_footer_longer_than_the_file_is_refused() => Refused(new Sample { FooterLength = 1 << 30 }, "footer is to have 1073741824 bytes");

    [Fact]
    public void More_rows_than_values_are_refused() => Refused(new Sample { Rows = 4 }, "column 'n', row 3 of row group 0: it ends before the rows do");

    [Fact]
    public void More_values_than_rows_are_refused() => Refused(new Sample { Rows = 2 }, "more values than there are rows");

    [Fact]
    public void A_page_with_more_values_than_the_column_is_refused() => Refused(new Sample { PageValues = 4 }, "is to have 4 values, and 3 are left");

    [Fact]
    public void A_column_that_ends_early_is_refused() => Refused(new Sample { Values = 5, Rows = 5 }, "pages end 2 of 5 values early");

    [Fact]
    public void Rows_beyond_counting_end_where_the_values_do() => Refused(new Sample { Rows = long.MaxValue }, "it ends before the rows do");

    /// <summary>A kilobyte could stand for any number of rows; the reader gives up at a hundred times the file's size.</summary>
    [Fact]
    public void A_small_file_does_not_become_any_amount_of_data() =>
        Refused(new Sample { Rows = 1 << 30, Values = 1 << 30, PageValues = 1 << 30, Run = 1 << 30 }, "decodes to more than 100 times its");

    [Fact]
    public void An_index_outside_the_dictionary_is_refused() => Refused(new Sample { Index = 1 }, "number 1 of its dictionary, which has 1");

    [Fact]
    public void A_dictionary_longer_than_its_page_is_refused() => Refused(new Sample { DictionaryValues = 100 }, "dictionary is to have 100 values in 4 bytes");

    [Fact]
    public void Indices_wider_than_32_bits_are_refused() => Refused(new Sample { Width = 33 }, "33 bits");

    [Fact]
    public void Pages_outside_the_file_are_refused() => Refused(new Sample { Start = 1 << 20 }, "is to lie at 1048576");

    [Fact]
    public void Pages_longer_than_the_file_are_refused() => Refused(new Sample { Bytes = long.MaxValue }, "9223372036854775807 bytes");

    [Fact]
    public void A_page_longer_than_its_column_is_refused() => Refused(new Sample { Stored = 1000 }, "a page is to have 1000 bytes");

    [Fact]
    public void A_page_that_is_to_grow_without_compression_is_refused() => Refused(new Sample { Uncompressed = 1 << 30 }, "is to have 1073741824 bytes and takes");

    [Theory]
    [InlineData(2, "gzip")]
    [InlineData(6, "Zstandard")]
    [InlineData(99, "unknown codec 99")]
    public void Another_codec_is_named(int codec, string finding) => Refused(new Sample { Codec = codec }, finding);

    [Theory]
    [InlineData(5)]
    [InlineData(9)]
    public void Another_encoding_is_named(int encoding) => Refused(new Sample { Encoding = encoding }, $"encoding {encoding} of Int32");

    [Fact]
    public void Nesting_without_end_is_refused_without_exhausting_the_stack() => Refused(new Sample { Nesting = 100_000 }, "nested deeper than 16");

    [Theory]
    [InlineData("duckdb-snappy.parquet")]
    [InlineData("arrow-v1-dictionary.parquet")]
    [InlineData("arrow-v2-plain.parquet")]
    public void A_damaged_file_is_read_or_refused_within_bounds(string name)
    {
        using TemporaryFolder folder = new();
        byte[] valid = File.ReadAllBytes(Path.Combine(AppContext.BaseDirectory, "Fixtures", "parquet", name));
        int footer = 8 + BinaryPrimitives.ReadInt32LittleEndian(valid.AsSpan(valid.Length - 8));
        string path = folder.Write("f.parquet", valid);
        new FuzzRuns($"parquet, {name}", 250).All(
            path,
            (random, run) => run % 4 == 0 ? Mutation.Damage(valid, valid.Length, random) : Overwritten(valid, run % 2 == 0 ? valid.Length - footer : 0, random),
            () =>
            {
                using ParquetFile file = ParquetFile.Open(path);
                Assert.All(file.Rows(), row => Assert.True(row.EnumerateObject().Any()));
            });
    }

    /// <summary>Changes bytes and leaves the length, so that what lies behind keeps its place.</summary>
    private static byte[] Overwritten(byte[] valid, int from, Random random)
    {
        byte[] damaged = [.. valid];
        for (int change = random.Next(1, 5); change > 0; change--)
        {
            int place = random.Next(from, valid.Length - 8);
            damaged[place] = random.Next(3) switch { 0 => 0xFF, 1 => (byte)random.Next(256), _ => (byte)(damaged[place] ^ (1 << random.Next(8))) };
        }

        return damaged;
    }

    private static int[] Read(Sample sample)
    {
        using TemporaryFolder folder = new();
        using ParquetFile file = ParquetFile.Open(folder.Write("f.parquet", sample.Write()));
        return [.. file.Rows().Select(row => row.GetProperty("n").GetInt32())];
    }

    private static void Refused(Sample sample, string finding) => Refused(sample.Write(), finding);

    private static void Refused(byte[] bytes, string finding)
    {
        using TemporaryFolder folder = new();
        string path = folder.Write("f.parquet", bytes);
        string message = Assert.Throws<CheckpointException>(() =>
        {
            using ParquetFile file = ParquetFile.Open(path);
            return file.Rows().LongCount();
        }).Message;
        Assert.StartsWith(path, message, StringComparison.Ordinal);
        Assert.Contains(finding, message, StringComparison.Ordinal);
    }

    /// <summary>A file with one required INT32 column 'n': a dictionary of one value, 7, and a page with one run of indices. Every number in it may be spoilt.</summary>
    private sealed record Sample
    {
        public string Mark { get; init; } = "PAR1";

        public int? FooterLength { get; init; }

        public long Rows { get; init; } = 3;

        public long Values { get; init; } = 3;

        public int PageValues { get; init; } = 3;

        public int Run { get; init; } = 3;

        public byte Index { get; init; }

        public int DictionaryValues { get; init; } = 1;

        public byte Width { get; init; } = 1;

        public long Start { get; init; } = 4;

        public long? Bytes { get; init; }

        public int? Stored { get; init; }

        public int? Uncompressed { get; init; }

        public int Codec { get; init; }

        public int Encoding { get; init; } = 8;

        public int Nesting { get; init; }

        public byte[] Write()
        {
            byte[] dictionary = [7, 0, 0, 0], indices = [Width, .. Varint((ulong)Run << 1), Index];
            byte[] pages =
            [
                .. I32(0, 1, 2), .. I32(1, 2, 4), .. I32(2, 3, 4), .. Struct(3, 7, [.. I32(0, 1, DictionaryValues), .. I32(1, 2, 0)]), 0, .. dictionary,
                .. I32(0, 1, 0), .. I32(1, 2, Uncompressed ?? indices.Length), .. I32(2, 3, Stored ?? indices.Length),
                .. Struct(3, 5, [.. I32(0, 1, PageValues), .. I32(1, 2, Encoding), .. I32(2, 3, 3), .. I32(3, 4, 3)]), 0, .. indices,
            ];
            byte[] column = [.. I32(0, 1, 1), .. I32(1, 4, Codec), .. I64(4, 5, Values), .. I64(5, 7, Bytes ?? pages.Length), .. I64(7, 9, Start + 1), .. I64(9, 11, Start)];
            byte[] chunk = [.. Struct(0, 3, column), 0], group = [0x19, 0x1C, .. chunk, .. I64(1, 3, Rows), 0];
            byte[] root = [.. Text(0, 4, "root"), .. I32(4, 5, 1), 0], leaf = [.. I32(0, 1, 1), .. I32(1, 3, 0), .. Text(3, 4, "n"), 0];
            byte[] nested = [.. Enumerable.Repeat((byte)0x1C, Nesting)];
            byte[] footer = [.. I32(0, 1, 1), 0x19, 0x2C, .. root, .. leaf, .. I64(2, 3, Rows), 0x19, 0x1C, .. group, .. Nesting > 0 ? [0x5C, .. nested] : nested, 0];
            return [.. "PAR1"u8, .. pages, .. footer, .. BitConverter.GetBytes(FooterLength ?? footer.Length), .. System.Text.Encoding.ASCII.GetBytes(Mark)];
        }

        private static byte[] I32(int before, int id, int value) => [(byte)(((id - before) << 4) | 5), .. ZigZag(value)];

        private static byte[] I64(int before, int id, long value) => [(byte)(((id - before) << 4) | 6), .. ZigZag(value)];

        private static byte[] Text(int before, int id, string text) => [(byte)(((id - before) << 4) | 8), (byte)text.Length, .. System.Text.Encoding.ASCII.GetBytes(text)];

        private static byte[] Struct(int before, int id, byte[] fields) => [(byte)(((id - before) << 4) | 12), .. fields, 0];

        private static byte[] ZigZag(long value) => Varint((ulong)((value << 1) ^ (value >> 63)));

        private static byte[] Varint(ulong value)
        {
            List<byte> bytes = [];
            for (; value >= 0x80; value >>= 7)
            {
                bytes.Add((byte)(value | 0x80));
            }

            return [.. bytes, (byte)value];
        }
    }
}
