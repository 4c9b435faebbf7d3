using Bitsmith.Quantization.Allocation;
using Bitsmith.Quantization.Jobs;
using FsCheck;
using FsCheck.Fluent;

namespace Bitsmith.Quantization.Tests.Allocation;

public sealed class AllocationSolverTests
{
    [Fact]
    public void It_finds_what_trying_every_choice_finds_at_every_budget() => Prop.ForAll(Units(most: 5).ToArbitrary(), units =>
    {
        (long Bytes, double Cost)[] all = [.. Choices(units)];
        foreach (long budget in all.Select(choice => choice.Bytes).Distinct())
        {
            AllocationSolution found = AllocationSolver.Solve(units, budget);
            double best = all.Where(choice => choice.Bytes <= budget).Min(choice => choice.Cost);
            Assert.InRange(found.Bytes, 0, budget);
            Assert.Equal(best, found.Cost, 1e-9 * (1 + best));
            Assert.Equal(found.Cost, found.LowerBound);
            Assert.Equal(found.Bytes, found.Chosen.Select((option, unit) => units[unit].Options[option].Bytes).Sum());
        }
    }).Check(Config.QuickThrowOnFailure.WithMaxTest(500));

    [Fact]
    public void The_order_of_units_and_options_changes_neither_bytes_nor_cost() => Prop.ForAll(Units(most: 30).ToArbitrary(), units =>
    {
        long budget = units.Sum(unit => unit.Options.Min(option => option.Bytes) + unit.Options.Max(option => option.Bytes)) / 2;
        AllocationUnit[] turned = [.. units.Reverse().Select(unit => unit with { Options = [.. unit.Options.Reverse()] })];
        AllocationSolution straight = AllocationSolver.Solve(units, budget), reversed = AllocationSolver.Solve(turned, budget);
        Assert.Equal(straight.Bytes, reversed.Bytes);
        Assert.Equal(straight.Cost, reversed.Cost, 1e-9 * (1 + straight.Cost));
    }).QuickCheckThrowOnFailure();

    [Fact]
    public void Where_states_are_given_up_the_bound_still_holds() => Prop.ForAll(Units(most: 12).ToArbitrary(), units =>
    {
        long budget = units.Sum(unit => unit.Options.Min(option => option.Bytes) + unit.Options.Max(option => option.Bytes)) / 2;
        AllocationSolution exact = AllocationSolver.Solve(units, budget), narrow = AllocationSolver.Solve(units, budget, mostStates: 2);
        Assert.InRange(narrow.Bytes, 0, budget);
        Assert.True(narrow.LowerBound <= exact.Cost * (1 + 1e-9) && exact.Cost <= narrow.Cost * (1 + 1e-9), $"{narrow.LowerBound} {exact.Cost} {narrow.Cost}");
    }).QuickCheckThrowOnFailure();

    [Fact]
    public void Hundreds_of_units_with_many_types_are_solved_to_the_end()
    {
        Random random = new(5);
        double[] bits = [1.5625, 1.75, 2.0625, 2.3125, 2.5, 2.625, 3.0625, 3.4375, 4.25, 4.5, 5.5, 6.5625, 8.5, 16];
        AllocationUnit[] units = [.. Enumerable.Range(0, 400).Select(i =>
        {
            long elements = 256L * random.Next(1 << 10, 1 << 17);
            double weight = Math.Exp(3 * random.NextDouble());
            return new AllocationUnit($"u{i}", [.. bits.Select(each => new AllocationOption($"{each}", (long)(elements * each / 8) / 32 * 32, weight * elements * Math.Pow(4, -each) * (0.8 + (0.4 * random.NextDouble()))))]);
        })];
        long all = units.Sum(unit => unit.Options[^1].Bytes);
        foreach (double share in (double[])[0.12, 0.2, 0.3, 0.45])
        {
            AllocationSolution found = AllocationSolver.Solve(units, (long)(all * share));
            Assert.Equal(found.Cost, found.LowerBound);
            Assert.InRange(found.Bytes, all * share * 0.9999, all * share);
        }
    }

    [Fact]
    public void A_budget_below_the_smallest_types_says_how_much_is_missing()
    {
        AllocationUnit unit = new("a", [new("small", 100, 2), new("large", 200, 1)]);
        Assert.Contains("1 more", Assert.Throws<RequestException>(() => AllocationSolver.Solve([unit], 99)).Message, StringComparison.Ordinal);
        Assert.Equal(0, Assert.Single(AllocationSolver.Solve([unit], 199).Chosen));
        Assert.Equal(1, Assert.Single(AllocationSolver.Solve([unit], 200).Chosen));
        Assert.Throws<ArgumentException>(() => AllocationSolver.Solve([unit with { Options = [] }], 1));
        Assert.Throws<ArgumentException>(() => AllocationSolver.Solve([unit with { Options = [new("x", 1, double.NaN)] }], 1));
    }

    private static IEnumerable<(long Bytes, double Cost)> Choices(IEnumerable<AllocationUnit> units) => units.Aggregate(
        (IEnumerable<(long Bytes, double Cost)>)[(0, 0)], (choices, unit) => [.. choices.SelectMany(choice => unit.Options.Select(option => (choice.Bytes + option.Bytes, choice.Cost + option.Cost)))]);

    // Few sizes and costs, so that many choices tie.
    private static Gen<AllocationUnit[]> Units(int most) =>
        from count in Gen.Choose(1, most)
        from units in Gen.ArrayOf(
            from options in Gen.NonEmptyListOf(from bytes in Gen.Choose(0, 40) from cost in Gen.OneOf(Gen.Choose(0, 30).Select(value => (double)value), Gen.Choose(1, int.MaxValue).Select(value => value / 1e7)) select new AllocationOption("t", 32L * bytes, cost))
            select new AllocationUnit("u", [.. options.Take(5)]), count)
        select units;
}
