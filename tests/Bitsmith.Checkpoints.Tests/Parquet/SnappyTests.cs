using Bitsmith.Checkpoints.Parquet;
using Bitsmith.Checkpoints.Tests.Support;
using FsCheck.Fluent;

namespace Bitsmith.Checkpoints.Tests.Parquet;

public sealed class SnappyTests
{
    /// <summary>Elements as they are drawn: a literal of random bytes, or a copy of so many bytes from so far back.</summary>
    private sealed record Element(bool Literal, int Length, int Offset, int Form);

    [Fact]
    public void Any_sequence_of_literals_and_copies_gives_what_its_definition_says()
    {
        var element =
            from literal in Gen.Elements(true, false)
            from length in Gen.Frequency((4, Gen.Choose(1, 64)), (1, Gen.Choose(65, 70_000)))
            from offset in Gen.Frequency((2, Gen.Choose(1, 8)), (1, Gen.Choose(1, 3000)))
            from form in Gen.Choose(0, 3)
            select new Element(literal, length, offset, form);
        Law.Holds(Gen.ListOf(element).ToArbitrary(), elements =>
        {
            (byte[] compressed, byte[] plain) = Write([.. elements]);
            Assert.Equal(plain, Snappy.Decompress(compressed, plain.Length));
        }, 300);
    }

    [Theory]
    [InlineData(new byte[] { }, 0, "no length")]
    [InlineData(new byte[] { 0x80 }, 0, "no length")]
    [InlineData(new byte[] { 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 1 }, 1, "no length")]
    [InlineData(new byte[] { 5, 0x10, 1, 2, 3, 4, 5 }, 4, "is to give 5 bytes")]
    [InlineData(new byte[] { 0xFF, 0xFF, 0xFF, 0xFF, 7, 0 }, int.MaxValue, "is to give 2147483647 bytes from 6")]
    [InlineData(new byte[] { 5, 0x10, 1, 2, 3, 4 }, 5, "ends inside a literal")]
    [InlineData(new byte[] { 5, 0xF4, 1 }, 5, "ends inside an element")]
    [InlineData(new byte[] { 5, 0xFC, 0xFF, 0xFF, 0xFF, 0xFF, 1 }, 5, "gives more than the 5 bytes")]
    [InlineData(new byte[] { 4, 0x10, 1, 2, 3, 4, 5 }, 4, "gives more than the 4 bytes")]
    [InlineData(new byte[] { 6, 0x10, 1, 2, 3, 4, 5 }, 6, "gives 5 of 6 bytes")]
    [InlineData(new byte[] { 5, 0x00, 1, 0x01, 0 }, 5, "copies from 0 bytes before")]
    [InlineData(new byte[] { 5, 0x00, 1, 0x01, 2 }, 5, "copies from 2 bytes before byte 1")]
    [InlineData(new byte[] { 5, 0x00, 1, 0x0F, 0xFF, 0xFF, 0xFF, 0xFF }, 5, "copies from 4294967295 bytes before")]
    [InlineData(new byte[] { 5, 0x00, 1, 0x0E, 1 }, 5, "ends inside an element")]
    public void A_damaged_block_is_refused_for_what_is_wrong_with_it(byte[] compressed, int length, string finding) =>
        Assert.Contains(finding, Assert.Throws<InvalidDataException>(() => Snappy.Decompress(compressed, length)).Message, StringComparison.Ordinal);

    [Fact]
    public void An_empty_block_gives_nothing() => Assert.Empty(Snappy.Decompress([0], 0));

    [Fact]
    public void Random_damage_is_decoded_or_refused_and_never_leads_outside()
    {
        int seed = Random.Shared.Next();
        Random random = new(seed);
        (byte[] compressed, byte[] plain) = Write([.. Enumerable.Range(0, 40).Select(i => new Element(i % 3 == 0, 1 + (i * 7 % 90), 1 + (i * 5 % 40), i % 4))]);
        int refused = 0;
        for (int run = 0; run < 3000; run++)
        {
            byte[] damaged = Mutation.Damage(compressed, compressed.Length, random);
            try
            {
                Assert.Equal(plain.Length, Snappy.Decompress(damaged, plain.Length).Length);
            }
            catch (InvalidDataException)
            {
                refused++;
            }
        }

        Assert.True(refused is > 0 and < 3000, $"seed {seed}: {refused} of 3000 refused");
    }

    /// <summary>Writes elements in the format, and what they mean byte by byte.</summary>
    private static (byte[] Compressed, byte[] Plain) Write(Element[] elements)
    {
        List<byte> compressed = [], plain = [];
        foreach ((bool literal, int drawnLength, int drawnOffset, int form) in elements)
        {
            if (literal || plain.Count == 0)
            {
                // The length less one stands in the tag, or in 1 to 4 bytes behind it.
                int length = drawnLength - 1, least = length < 60 ? 0 : length < 256 ? 1 : length < 65536 ? 2 : 3, extra = Math.Max(least, form == 0 ? 0 : form + 1);
                compressed.Add((byte)((extra == 0 ? length : 59 + extra) << 2));
                compressed.AddRange(BitConverter.GetBytes(length)[..extra]);
                byte[] bytes = [.. Enumerable.Range(0, drawnLength).Select(i => (byte)((i * 31) + plain.Count))];
                compressed.AddRange(bytes);
                plain.AddRange(bytes);
                continue;
            }

            int offset = Math.Min(drawnOffset, plain.Count), count = Math.Min(drawnLength, 64);
            if (form == 0 && offset < 2048)
            {
                count = 4 + (count % 8);
                compressed.AddRange([(byte)(1 | ((count - 4) << 2) | ((offset >> 8) << 5)), (byte)offset]);
            }
            else
            {
                compressed.Add((byte)((form == 1 ? 3 : 2) | ((count - 1) << 2)));
                compressed.AddRange(BitConverter.GetBytes(offset)[..(form == 1 ? 4 : 2)]);
            }

            for (int i = 0; i < count; i++)
            {
                plain.Add(plain[^offset]);
            }
        }

        List<byte> head = [];
        for (uint left = (uint)plain.Count; ; left >>= 7)
        {
            head.Add((byte)(left < 0x80 ? left : (left & 0x7F) | 0x80));
            if (left < 0x80)
            {
                return ([.. head, .. compressed], [.. plain]);
            }
        }
    }
}
