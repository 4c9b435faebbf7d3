using Bitsmith.Checkpoints;
using Bitsmith.Publishing.Cards;
using FsCheck;
using FsCheck.Fluent;

namespace Bitsmith.Publishing.Tests;

public sealed class FrontMatterTests : IDisposable
{
    private readonly string file = Path.Combine(Path.GetTempPath(), $"{Guid.NewGuid():n}.md");

    public void Dispose() => File.Delete(file);

    [Fact]
    public void What_is_written_reads_back()
    {
        FrontMatter card = new()
        {
            BaseModel = "zai-org/GLM-4.6V-Flash", BaseModelRelation = "quantized", LibraryName = "transformers", License = "other", LicenseName = "glm-4", LicenseLink = "https://example.org/LICENSE",
            PipelineTag = "image-text-to-text", Language = ["zh", "en", "no"], Tags = ["fp8", "true", "1.5"], QuantizedBy = "me",
        };
        Assert.Equal(Text(card), Text(Reread(card)));
        Assert.Contains("- \"no\"\n", card.ToYaml(), StringComparison.Ordinal); // Norwegian, not false
        Assert.StartsWith("---\nbase_model: zai-org/GLM-4.6V-Flash\nbase_model_relation: quantized\n", card.ToYaml(), StringComparison.Ordinal);
        Assert.EndsWith("\n---\n", card.ToYaml(), StringComparison.Ordinal);
    }

    [Fact]
    public void Any_text_reads_back() =>
        Prop.ForAll(ArbMap.Default.ArbFor<NonEmptyString>(), text =>
        {
            // Characters that YAML 1.2 does not hold are no part of names.
            string name = new([.. text.Get.Where(letter => !char.IsControl(letter) && !char.IsSurrogate(letter) && letter is not ('\ufffe' or '\uffff' or '\u2028' or '\u2029' or '\ufeff'))]);
            return name.Trim() != name || name.Length == 0 || Reread(new FrontMatter { LicenseName = name, Tags = [name, name] }).LicenseName == name;
        }).QuickCheckThrowOnFailure();

    [Theory]
    [InlineData("# A card without front matter\n")]
    [InlineData("---\nlicense: mit\n")]
    [InlineData("---\n- a list\n---\n")]
    [InlineData("")]
    public void A_card_without_front_matter_says_nothing(string content)
    {
        File.WriteAllText(file, content);
        Assert.Null(FrontMatter.Load(file));
    }

    [Fact]
    public void Broken_front_matter_is_named_with_its_line()
    {
        File.WriteAllText(file, "---\nlicense: mit\ntags: [a\n---\n");
        CheckpointException problem = Assert.Throws<CheckpointException>(() => FrontMatter.Load(file));
        Assert.Contains("no YAML (line", problem.Message, StringComparison.Ordinal);
    }

    [Fact]
    public void One_language_may_stand_without_a_list()
    {
        File.WriteAllText(file, "---\r\nlanguage: zh\r\nlicense: mit\r\nextra:\r\n  deep: 1\r\n---\r\ntext");
        FrontMatter card = FrontMatter.Load(file)!;
        Assert.Equal(["zh"], card.Language);
        Assert.Equal("mit", card.License);
    }

    private FrontMatter Reread(FrontMatter card)
    {
        File.WriteAllText(file, card.ToYaml() + "# Title\n");
        return FrontMatter.Load(file)!;
    }

    private static string Text(FrontMatter card) => card.ToYaml();
}
