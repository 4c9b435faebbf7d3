using System.Text.Json.Nodes;
using Bitsmith.Models.Text;

namespace Bitsmith.Models.Tests.Text;

/// <summary>Flags of added tokens; the ids and texts are recorded from tokenizers 0.23.1 with the same tokens added to the sample.</summary>
public sealed class TokenizerAddedTokenTests
{
    private static readonly Tokenizer Flagged = TokenizerSample.With(root =>
    {
        JsonArray added = root["added_tokens"]!.AsArray();
        Add(4096, "<l>", "lstrip");
        Add(4097, "<r>", "rstrip", "special");
        Add(4098, "<b>", "lstrip", "rstrip", "normalized");
        Add(4099, " x", "normalized");
        Add(4100, "  ");
        Add(165, "é");
        Add(4101, "<|user|>!");
        Add(4102, "user|><");

        void Add(int id, string content, params string[] flags)
        {
            JsonObject token = new() { ["id"] = id, ["content"] = content };
            foreach (string flag in (string[])["single_word", "lstrip", "rstrip", "normalized", "special"])
            {
                token[flag] = flags.Contains(flag);
            }

            added.Add(token);
        }
    });

    [Theory]
    [InlineData("a <l> b", new[] { 64, 4096, 266 }, "a<l> b")]
    [InlineData("a \n\u3000<l>  <r>  \u00A0c", new[] { 64, 4096, 4100, 4097, 4100, 126, 254, 66 }, "a<l>  <r>  \u00A0c")]
    [InlineData("a <b> x <b>  y", new[] { 64, 4098, 4099, 4098, 4100, 88 }, "a<b> x<b>  y")]
    [InlineData("<r>   <l>z", new[] { 4097, 4100, 4096, 89 }, "<r>  <l>z")]
    [InlineData("q xyz x", new[] { 80, 4099, 88, 89, 4099 }, "q xyz x")]
    [InlineData("<r> x<b> x", new[] { 4097, 87, 4098, 4099 }, "<r>x<b> x")]
    [InlineData(" <l> <l>", new[] { 4096, 4096 }, "<l><l>")]
    [InlineData("<|user|>! <|user|><|user|>", new[] { 4101, 220, 4072, 4072 }, "<|user|>! <|user|><|user|>")]
    [InlineData("é<r>  é", new[] { 165, 4097, 4100, 165 }, "\uFFFD<r>  \uFFFD")]
    [InlineData("a   b  x", new[] { 64, 4100, 266, 4100, 87 }, "a   b  x")]
    [InlineData("<r>", new[] { 4097 }, "<r>")]
    [InlineData("  <b>  ", new[] { 4100, 4098, 4100 }, "  <b>  ")]
    [InlineData("x<|user|><r> t", new[] { 87, 4072, 4097, 83 }, "x<|user|><r>t")]
    public void Added_tokens_match_and_take_white_space_as_in_the_library(string text, int[] ids, string decoded)
    {
        Assert.Equal(ids, Flagged.Encode(text));
        Assert.Equal(decoded, Flagged.Decode(ids, skipSpecial: false));
    }

    [Theory]
    [InlineData("a \n\u3000<l>  <r>  \u00A0c", new[] { 64, 4096, 4100, 27, 81, 29, 4100, 126, 254, 66 })]
    [InlineData("<r>   <l>z", new[] { 27, 81, 29, 4100, 4096, 89 })]
    [InlineData("<r> x<b> x", new[] { 27, 81, 29, 4099, 4098, 4099 })]
    [InlineData("<|user|>! <|user|><|user|>", new[] { 4101, 220, 291, 318, 91, 427, 318, 432 })]
    [InlineData("x<|user|><r> t", new[] { 87, 291, 318, 432, 27, 81, 29, 326 })]
    public void Only_special_tokens_become_text_where_they_are_not_parsed(string text, int[] ids) =>
        Assert.Equal(ids, Flagged.Encode(text, parseSpecial: false));
}
