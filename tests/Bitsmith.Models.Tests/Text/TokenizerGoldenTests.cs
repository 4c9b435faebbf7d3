using System.Text;
using System.Text.Json.Nodes;
using Bitsmith.Models.Text;

namespace Bitsmith.Models.Tests.Text;

/// <summary>Every recorded answer of the tokenizers library 0.23.1.</summary>
public sealed class TokenizerGoldenTests
{
    private static readonly Tokenizer Sample = TokenizerSample.Shared;

    public static TheoryData<string> Strings => [.. TokenizerSample.Goldens["strings"]!.AsArray().Select(entry => (string)entry!["text"]!)];

    [Theory]
    [MemberData(nameof(Strings))]
    public void A_string_has_the_library_s_ids_tokens_and_decoded_text(string text)
    {
        JsonNode golden = TokenizerSample.Goldens["strings"]!.AsArray().First(entry => (string)entry!["text"]! == text)!;
        int[] ids = Sample.Encode(text);
        Assert.Equal(TokenizerSample.Ids(golden["ids"]), ids);
        Assert.Equal(golden["tokens"]!.AsArray().Select(token => (string)token!), ids.Select(Sample.TokenOf));
        Assert.Equal((string)golden["decoded"]!, Sample.Decode(ids, skipSpecial: false));
        Assert.Equal((string)golden["decoded_skip_special"]!, Sample.Decode(ids, skipSpecial: true));
        Assert.Equal((bool)golden["round_trip"]!, Sample.Decode(ids, skipSpecial: false) == text);

        List<int> appended = [-7];
        Sample.Encode(text.AsSpan(), appended);
        Assert.Equal([-7, .. ids], appended);
    }

    [Fact]
    public void All_strings_of_the_file_are_compared() => Assert.Equal(79, Strings.Count);

    [Fact]
    public void Every_prefix_of_ids_decodes_as_in_the_library_and_streams_without_half_characters()
    {
        JsonArray goldens = TokenizerSample.Goldens["prefix_decodes"]!.AsArray();
        Assert.Equal(3, goldens.Count);
        foreach (JsonNode? golden in goldens)
        {
            int[] ids = TokenizerSample.Ids(golden!["ids"]);
            Assert.Equal(ids, Sample.Encode((string)golden["text"]!));
            StreamingDecoder stream = new(Sample);
            StringBuilder streamed = new();
            for (int count = 0; count <= ids.Length; count++)
            {
                string decoded = (string)golden["prefix_decodes"]![count]!;
                Assert.Equal(decoded, Sample.Decode(ids.AsSpan(0, count), skipSpecial: false));
                streamed.Append(count > 0 ? stream.Append(ids[count - 1]) : "");
                Assert.Equal(decoded.TrimEnd('\uFFFD'), streamed.ToString());
            }

            Assert.Equal("", stream.Flush());
        }
    }

    [Fact]
    public void Arbitrary_ids_decode_as_in_the_library()
    {
        JsonArray goldens = TokenizerSample.Goldens["arbitrary_ids"]!.AsArray();
        Assert.Equal(5, goldens.Count);
        foreach (JsonNode? golden in goldens)
        {
            Assert.Equal((string)golden!["decoded"]!, Sample.Decode(TokenizerSample.Ids(golden["ids"]), skipSpecial: false));
        }
    }

    [Fact]
    public void Tokens_are_found_by_name_and_by_id()
    {
        Assert.Equal(4096, Sample.VocabularySize);
        for (int id = 0; id < Sample.VocabularySize; id++)
        {
            Assert.Equal(id, Sample.IdOf(Sample.TokenOf(id)));
            Assert.Equal(id >= 4065, Sample.IsSpecial(id));
        }

        Assert.Equal(4072, Sample.IdOf("<|user|>"));
        Assert.Null(Sample.IdOf("<|nobody|>"));
    }

    [Theory]
    [InlineData(-1)]
    [InlineData(4096)]
    [InlineData(int.MaxValue)]
    [InlineData(int.MinValue)]
    public void An_id_without_a_token_gives_no_text_and_has_no_name(int id)
    {
        Assert.Equal("ab", Sample.Decode([64, id, 65], skipSpecial: false));
        Assert.Equal("", new StreamingDecoder(Sample).Append(id));
        Assert.False(Sample.HasToken(id));
        Assert.False(Sample.IsSpecial(id));
        Assert.Throws<ArgumentOutOfRangeException>(() => Sample.TokenOf(id));
    }

    [Fact]
    public void Names_of_special_tokens_are_text_where_the_caller_says_so()
    {
        const string Text = "<|user|>\nhi<think></think>";
        Assert.Contains(4072, Sample.Encode(Text));
        int[] plain = Sample.Encode(Text, parseSpecial: false);
        Assert.DoesNotContain(plain, Sample.IsSpecial);
        Assert.Equal(Text, Sample.Decode(plain, skipSpecial: true));
    }
}
