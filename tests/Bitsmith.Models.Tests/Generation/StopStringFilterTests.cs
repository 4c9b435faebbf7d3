using System.Text;
using Bitsmith.Models.Generation;

namespace Bitsmith.Models.Tests.Generation;

public sealed class StopStringFilterTests
{
    [Fact]
    public void However_the_text_is_cut_it_ends_before_the_first_stop_string()
    {
        Random random = new(5);
        for (int round = 0; round < 2000; round++)
        {
            string text = string.Concat(Enumerable.Range(0, random.Next(30)).Select(_ => "ab"[random.Next(2)]));
            string[] stops = [.. Enumerable.Range(0, random.Next(3)).Select(_ => string.Concat(Enumerable.Range(0, random.Next(1, 5)).Select(_ => "ab"[random.Next(2)])))];
            int end = stops.Select(stop => text.IndexOf(stop, StringComparison.Ordinal)).Where(index => index >= 0).DefaultIfEmpty(text.Length).Min();
            StopStringFilter filter = new(stops);
            StringBuilder answer = new();
            for (int i = 0; i < text.Length && !filter.IsStopped;)
            {
                int length = Math.Min(random.Next(1, 4), text.Length - i);
                answer.Append(filter.Add(text.Substring(i, length)));
                Assert.Equal(text[..answer.Length], answer.ToString());
                i += length;
            }

            answer.Append(filter.Flush());

            // A stop string that ends inside a later piece may start earlier than one seen before it was complete: the earliest complete one counts.
            Assert.True(answer.Length >= end, $"'{text}' [{string.Join(", ", stops)}] gave '{answer}'");
            Assert.Equal(end < text.Length, filter.IsStopped);
        }
    }

    [Fact]
    public void Text_that_cannot_start_a_stop_string_is_not_held_back()
    {
        StopStringFilter filter = new(["END"]);

        Assert.Equal("abc", filter.Add("abc"));
        Assert.Equal("x", filter.Add("xEN"));
        Assert.Equal("ENx", filter.Add("x"));
        Assert.Equal("y", filter.Add("yEND more"));
        Assert.True(filter.IsStopped);
    }
}
