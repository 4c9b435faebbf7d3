using Bitsmith.Evaluation.Answers;

namespace Bitsmith.Evaluation.Tests.Answers;

public sealed class ExpectedWordTests
{
    [Theory]
    [InlineData("The image shows a Bridge.", "bridge", true)]
    [InlineData("BRIDGE", " bridge ", true)]
    [InlineData("Bridges and a footbridge", "bridge", false)]
    [InlineData("Bridges, and one bridge", "bridge", true)]
    [InlineData("the Sydney Harbour Bridge at night", "sydney harbour bridge", true)]
    [InlineData("a red-orange circle", "orange", true)]
    [InlineData("route 66", "6", false)]
    [InlineData("C++ code", "C++", true)]
    [InlineData("这张图片展示了悉尼海港大桥的夜景。", "大桥", true)]
    [InlineData("這是GLM模型", "glm", true)]
    [InlineData("Straßen", "straße", false)]
    [InlineData("", "bridge", false)]
    public void A_word_is_found_whole_and_in_any_case(string text, string word, bool found) => Assert.Equal(found, ExpectedWord.IsIn(text, word));

    [Theory]
    [InlineData("")]
    [InlineData(" ")]
    public void An_empty_word_is_refused(string word) => Assert.Throws<ArgumentException>(() => ExpectedWord.IsIn("text", word));
}
