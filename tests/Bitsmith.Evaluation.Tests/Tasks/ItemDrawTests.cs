using Bitsmith.Evaluation.Tasks;
using FsCheck;
using FsCheck.Fluent;

namespace Bitsmith.Evaluation.Tests.Tasks;

public sealed class ItemDrawTests
{
    /// <remarks>C++ asks of std::mt19937 that the 10000th number of the seed 5489 be 4123659995.</remarks>
    [Fact]
    public void Random_numbers_are_those_of_the_C_plus_plus_standard()
    {
        MersenneTwister random = new(5489);
        Assert.Equal(3499211612u, random.Next());
        for (int i = 2; i < 10000; i++)
        {
            random.Next();
        }

        Assert.Equal(4123659995u, random.Next());
        Assert.Equal(1791095845u, new MersenneTwister(1).Next());
    }

    /// <summary>The order in which llama-perplexity 0.7.0 scored the four items of the fixture: right, wrong, wrong, wrong.</summary>
    [Fact]
    public void HellaSwag_is_shuffled_as_llama_perplexity_does_even_where_all_are_taken() => Assert.Equal([1, 3, 2, 0], ItemDraw.Shuffled.Draw(4, 750));

    [Fact]
    public void Other_files_are_taken_in_order_where_all_are() => Assert.Equal([0, 1, 2, 3], ItemDraw.Some.Draw(4, 4));

    /// <remarks>The first two numbers of seed 1 over 2^32 are 0.417022 and 0.997185: of ten items the fifth, and of the nine left, the last of which stands in its place, the ninth.</remarks>
    [Fact]
    public void Of_more_items_one_after_the_other_is_drawn_and_the_last_takes_its_place() => Assert.Equal([4, 8], ItemDraw.Some.Draw(10, 2));

    [Fact]
    public void No_item_is_drawn_twice_and_each_seed_draws_others()
    {
        var draws =
            from draw in Gen.Elements(ItemDraw.Shuffled, ItemDraw.Some)
            from count in Gen.Choose(1, 300)
            from most in Gen.Choose(1, 400)
            from seed in Gen.Choose(0, int.MaxValue)
            select (draw, count, most, seed);
        Prop.ForAll(draws.ToArbitrary(), drawn =>
        {
            int[] places = drawn.draw.Draw(drawn.count, drawn.most, (uint)drawn.seed);
            Assert.Equal(Math.Min(drawn.count, drawn.most), places.Length);
            Assert.Equal(places.Length, places.Distinct().Count());
            Assert.All(places, place => Assert.InRange(place, 0, drawn.count - 1));
            Assert.Equal(places, drawn.draw.Draw(drawn.count, drawn.most, (uint)drawn.seed));
        }).Check(Config.QuickThrowOnFailure.WithQuietOnSuccess(true).WithMaxTest(200));
        Assert.NotEqual(ItemDraw.Some.Draw(1000, 100, 1), ItemDraw.Some.Draw(1000, 100, 2));
    }

    [Theory]
    [InlineData(3)]
    [InlineData(1000)]
    [InlineData(3_000_000_000)]
    public void Numbers_below_a_bound_are_below_it_and_spread_evenly(uint bound)
    {
        MersenneTwister random = new(7);
        uint[] drawn = [.. Enumerable.Range(0, 30_000).Select(_ => random.Below(bound))];
        Assert.All(drawn, value => Assert.True(value < bound));
        Assert.InRange(drawn.Average(value => (value + 0.5) / bound), 0.49, 0.51);
    }
}
