using Bitsmith.Publishing.Cards;

namespace Bitsmith.Publishing.Tests;

public sealed class ModelCardTests : IDisposable
{
    private static readonly string Model = Path.Combine(AppContext.BaseDirectory, "gguf", "tiny-glm4-f16.gguf");

    private readonly DirectoryInfo folder = Directory.CreateTempSubdirectory("bitsmith-card-");

    private string Gguf => Path.Combine(folder.FullName, "glm-4-tiny-f16.gguf");

    private CardRequest Request => new(Gguf) { BaseModel = "THUDM/glm-4-9b-chat-hf", License = "other", LicenseName = "glm-4", LicenseLink = "https://huggingface.co/THUDM/glm-4-9b-chat-hf/blob/main/LICENSE" };

    public ModelCardTests() => File.Copy(Model, Gguf);

    public void Dispose() => folder.Delete(recursive: true);

    [Fact]
    public void Duties_of_the_glm_4_licence_are_carried_over()
    {
        File.WriteAllText(Path.Combine(folder.FullName, "LICENSE"), "The glm-4-9b License");
        string card = ModelCard.Create(Request with { Name = "me/glm-4-9b-chat-GGUF" });
        Assert.All(
            (string[])["\n**Built with glm-4**\n", "license: other\n", "license_name: glm-4\n", "any military or illegal purpose", "needs a registration", "The licence's text lies in this repository", "quantized_by: me\n"],
            words => Assert.Contains(words, card, StringComparison.Ordinal));
    }

    [Theory]
    [InlineData("me/chat-nvfp4")]
    [InlineData("my-glm-4-9b")]
    public void A_name_without_the_prefix_that_the_licence_asks_for_is_refused(string name)
    {
        CardException problem = Assert.Throws<CardException>(() => ModelCard.Create(Request with { Name = name }));
        Assert.Contains("begins with 'glm-4'", problem.Message, StringComparison.Ordinal);
        Assert.Contains("--name", problem.Message, StringComparison.Ordinal);
    }

    [Fact]
    public void The_prefix_is_asked_of_the_name_of_the_result_too()
    {
        File.Move(Gguf, Path.Combine(folder.FullName, "tiny.gguf"));
        Assert.Contains("'tiny'", Assert.Throws<CardException>(() => ModelCard.Create(Request with { Output = Path.Combine(folder.FullName, "tiny.gguf") })).Message, StringComparison.Ordinal);
    }

    [Fact]
    public void A_licence_that_asks_for_its_text_is_not_published_without_it() =>
        Assert.Contains("holds no LICENSE", Assert.Throws<CardException>(() => ModelCard.Create(Request)).Message, StringComparison.Ordinal);

    [Fact]
    public void What_is_not_known_is_asked_for()
    {
        Assert.Contains("--base-model", Assert.Throws<CardException>(() => ModelCard.Create(Request with { BaseModel = null })).Message, StringComparison.Ordinal);
        Assert.Contains("--license", Assert.Throws<CardException>(() => ModelCard.Create(Request with { License = null })).Message, StringComparison.Ordinal);
        Assert.Contains("--license-name", Assert.Throws<CardException>(() => ModelCard.Create(Request with { LicenseName = null })).Message, StringComparison.Ordinal);
        Assert.Contains("no repository", Assert.Throws<CardException>(() => ModelCard.Create(Request with { Name = "a/b/c" })).Message, StringComparison.Ordinal);
        Assert.Contains("no repository", Assert.Throws<CardException>(() => ModelCard.Create(Request with { BaseModel = "a b\n---" })).Message, StringComparison.Ordinal);
    }

    [Fact]
    public void The_base_models_card_says_licence_and_languages()
    {
        string origin = Path.Combine(folder.FullName, "base");
        Directory.CreateDirectory(origin);
        File.WriteAllText(Path.Combine(origin, "README.md"), "---\nlicense: mit\nlanguage:\n- zh\n- en\npipeline_tag: text-generation\nbase_model: someone/else\n---\n# Base\n");
        string card = ModelCard.Create(new CardRequest(Gguf) { BaseModel = "zai-org/GLM-4-9B-0414", BaseFolder = origin });
        Assert.Contains("base_model: zai-org/GLM-4-9B-0414\nbase_model_relation: quantized\nlibrary_name: gguf\nlicense: mit\npipeline_tag: text-generation\nlanguage:\n- zh\n- en\n", card, StringComparison.Ordinal);
        Assert.DoesNotContain("Built with", card, StringComparison.Ordinal);
    }

    [Fact]
    public void Without_a_report_the_card_claims_nothing_of_quality()
    {
        string card = ModelCard.Create(new CardRequest(Gguf) { BaseModel = "zai-org/GLM-4-9B-0414", License = "mit" });
        Assert.DoesNotContain("## What was measured", card, StringComparison.Ordinal);
        Assert.DoesNotContain("KLD", card, StringComparison.Ordinal);
        Assert.Contains("how it was made is not known", card, StringComparison.Ordinal);
    }

    [Fact]
    public void A_card_takes_the_place_of_an_earlier_one_and_of_no_other()
    {
        CardRequest request = new(Gguf) { BaseModel = "zai-org/GLM-4-9B-0414", License = "mit" };
        string place = ModelCard.PathFor(request);
        Assert.True(ModelCard.MayReplace(request, place));
        ModelCard.Save(request, ModelCard.Create(request), place);
        Assert.True(ModelCard.MayReplace(request, place));

        // What the command line said the first time, the card says the second.
        Assert.Equal(File.ReadAllText(place), ModelCard.Create(new CardRequest(Gguf)));
        File.WriteAllText(place, "# Mine\n");
        Assert.False(ModelCard.MayReplace(request, place));
    }
}
