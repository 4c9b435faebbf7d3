using Bitsmith.Models.Generation;

namespace Bitsmith.Models.Tests.Generation;

public sealed class GlmAnswerTests
{
    [Theory]
    [InlineData("Hello.", null, "Hello.")]
    [InlineData("<think></think>\nHello.", null, "Hello.")]
    [InlineData("<think>Let me see.\n</think>\n\nHello.", "Let me see.", "Hello.")]
    [InlineData("\n<think>cut off", "cut off", "")]
    [InlineData("a </think> b", null, "a </think> b")]
    public void The_think_block_is_apart(string text, string? reasoning, string content)
    {
        GlmAnswer answer = GlmAnswer.Parse(text);

        Assert.Equal((reasoning, content), (answer.Reasoning, answer.Content));
    }

    [Fact]
    public void A_prompt_may_have_opened_the_think_block() =>
        Assert.Equal(("hm", "yes"), (GlmAnswer.Parse("hm</think>yes", startsInThinking: true).Reasoning!, GlmAnswer.Parse("hm</think>yes", startsInThinking: true).Content));

    [Theory]
    [InlineData("<tool_call>weather\n<arg_key>city</arg_key>\n<arg_value>Oslo</arg_value>\n<arg_key>days</arg_key>\n<arg_value>3</arg_value>\n</tool_call>")]
    [InlineData("<tool_call>weather<arg_key>city</arg_key><arg_value>Oslo</arg_value><arg_key>days</arg_key><arg_value>3</arg_value></tool_call>")]
    public void Calls_of_both_spellings_have_name_and_arguments(string text)
    {
        ToolCall call = Assert.Single(GlmAnswer.Parse("I look.\n" + text).ToolCalls);

        Assert.Equal("weather", call.Name);
        Assert.Equal("""{"city":"Oslo","days":3}""", call.Arguments.ToJsonString());
    }

    [Fact]
    public void A_call_may_have_no_argument()
    {
        GlmAnswer answer = GlmAnswer.Parse("<tool_call>now</tool_call><tool_call>today\n</tool_call> done");

        Assert.Equal(["now", "today"], answer.ToolCalls.Select(call => call.Name));
        Assert.All(answer.ToolCalls, call => Assert.Empty(call.Arguments));
        Assert.Equal("done", answer.Content);
    }

    [Fact]
    public void A_string_by_schema_stays_a_string() =>
        Assert.Equal("""{"zip":"0150","n":0}""", GlmAnswer.Parse(
            "<tool_call>f<arg_key>zip</arg_key><arg_value>0150</arg_value><arg_key>n</arg_key><arg_value>0</arg_value></tool_call>",
            isString: (_, key) => key == "zip").ToolCalls[0].Arguments.ToJsonString());

    [Fact]
    public void A_call_that_was_cut_off_stays_visible() =>
        Assert.Contains("<tool_call>f", GlmAnswer.Parse("x <tool_call>f<arg_key>a").Content, StringComparison.Ordinal);
}
