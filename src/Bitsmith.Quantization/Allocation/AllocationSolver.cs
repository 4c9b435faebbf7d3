using Bitsmith.Quantization.Jobs;

namespace Bitsmith.Quantization.Allocation;

/// <summary>
/// Chooses an option for every unit so that all bytes fit a budget and all costs are least: the multiple-choice knapsack problem, over real bytes, solved exactly.
/// </summary>
/// <remarks>
/// <para>A Lagrange multiplier, the cost of a byte at the margin, gives a bound for every choice (Sinha and Zoltners, The multiple-choice knapsack problem, 1979); a greedy walk along the lower hulls gives a choice that fits.
/// An option whose bound is above that choice's cost cannot be part of a better one. What remains is put together unit by unit: of partial choices one is kept unless another takes no more bytes and costs no more, and only while its own
/// bound is below the best choice known.</para>
/// <para>Costs are rounded to 2⁻⁵⁰ of the greatest cost of all units; sums are exact from there on, so that results depend neither on order nor on threads. Of choices of equal rounded cost the one of fewer bytes is taken, then the one whose
/// first different option stands first among those of ascending bytes.</para>
/// <para>Should more than <see cref="MostStates"/> partial choices remain, those of the highest bounds are given up, and <see cref="AllocationSolution.LowerBound"/> says what that may have cost.</para>
/// </remarks>
public static class AllocationSolver
{
    /// <summary>Partial choices that are kept at a time.</summary>
    public const int MostStates = 1 << 20;

    private const double Scale = 1L << 50;

    /// <summary>Solves.</summary>
    /// <param name="units">The units.</param>
    /// <param name="budget">Bytes that may be taken.</param>
    /// <exception cref="ArgumentException">A unit has no options, or one whose cost is not finite or is negative.</exception>
    /// <exception cref="RequestException">Even the smallest options take more than the budget.</exception>
    public static AllocationSolution Solve(IReadOnlyList<AllocationUnit> units, long budget) => Solve(units, budget, MostStates);

    /// <summary>Solves with another number of states.</summary>
    internal static AllocationSolution Solve(IReadOnlyList<AllocationUnit> units, long budget, int mostStates)
    {
        ArgumentNullException.ThrowIfNull(units);
        if (units.FirstOrDefault(unit => unit.Options.Count == 0 || unit.Options.Any(option => !double.IsFinite(option.Cost) || option.Cost < 0 || option.Bytes < 0)) is { } broken)
        {
            throw new ArgumentException($"'{broken.Name}' has no options, or one without a cost.", nameof(units));
        }

        double greatest = units.Sum(unit => unit.Options.Max(option => option.Cost));
        Option[][] menus = [.. units.Select(unit => Menu(unit, greatest > 0 ? Scale / greatest : 0))];
        long least = menus.Sum(menu => menu[0].Bytes);
        if (least > budget)
        {
            throw new RequestException($"the smallest types take {least} bytes, {least - budget} more than the {budget} that there are. Allow more, or smaller types.");
        }

        Option[] best = Greedy(menus, budget, out Ratio multiplier);
        Partial? better = Exact(menus, budget, multiplier, best.Sum(option => option.Cost), best.Sum(option => option.Bytes), mostStates, out long givenUp);
        for (int unit = menus.Length; better is not null && unit > 0; better = better.Before)
        {
            best[--unit] = better.Last;
        }

        int[] chosen = [.. best.Select(option => option.Index)];
        double cost = chosen.Select((option, unit) => units[unit].Options[option].Cost).Sum();
        return new AllocationSolution(chosen, best.Sum(option => option.Bytes), cost, givenUp == long.MaxValue ? cost : Math.Min(cost, givenUp * (greatest / Scale)));
    }

    /// <summary>The options that no other one beats in bytes and cost, by ascending bytes and so by falling cost.</summary>
    private static Option[] Menu(AllocationUnit unit, double scale)
    {
        List<Option> kept = [];
        foreach (Option option in unit.Options.Select((option, index) => new Option(index, option.Bytes, (long)Math.Round(option.Cost * scale))).OrderBy(option => option.Bytes).ThenBy(option => option.Cost).ThenBy(option => option.Index))
        {
            if (kept.Count == 0 || option.Cost < kept[^1].Cost)
            {
                kept.Add(option);
            }
        }

        return [.. kept];
    }

    /// <summary>Walks along the hulls, the step of the best cost for its bytes first, and on with the steps that still fit.</summary>
    /// <param name="menus">The options.</param>
    /// <param name="budget">Bytes that may be taken.</param>
    /// <param name="multiplier">Cost of a byte at the first step that did not fit; 0 where all did.</param>
    private static Option[] Greedy(Option[][] menus, long budget, out Ratio multiplier)
    {
        List<(int Unit, Option To, Ratio Gain)> steps = [];
        for (int unit = 0; unit < menus.Length; unit++)
        {
            Option[] hull = Hull(menus[unit]);
            for (int i = 1; i < hull.Length; i++)
            {
                steps.Add((unit, hull[i], Ratio.Between(hull[i - 1], hull[i])));
            }
        }

        Option[] at = [.. menus.Select(menu => menu[0])];
        long left = budget - at.Sum(option => option.Bytes);
        multiplier = default;
        bool isMargin = true;
        foreach ((int unit, Option to, Ratio gain) in steps.OrderByDescending(step => step.Gain).ThenBy(step => step.Unit).ThenBy(step => step.To.Bytes))
        {
            long bytes = to.Bytes - at[unit].Bytes;
            if (bytes <= left)
            {
                (at[unit], left) = (to, left - bytes);
            }
            else if (isMargin)
            {
                (multiplier, isMargin) = (gain, false);
            }
        }

        return at;
    }

    private static Option[] Hull(Option[] menu)
    {
        List<Option> hull = [];
        foreach (Option option in menu)
        {
            while (hull.Count > 1 && Ratio.Between(hull[^2], hull[^1]).CompareTo(Ratio.Between(hull[^1], option)) <= 0)
            {
                hull.RemoveAt(hull.Count - 1);
            }

            hull.Add(option);
        }

        return [.. hull];
    }

    /// <summary>The best choice where one beats what is known; null where none does.</summary>
    private static Partial? Exact(Option[][] menus, long budget, Ratio multiplier, long known, long knownBytes, int mostStates, out long givenUp)
    {
        givenUp = long.MaxValue;

        // Everything is multiplied with the multiplier's bytes, so that bounds are whole numbers.
        Int128[] least = [.. menus.Select(menu => menu.Min(multiplier.Priced))];
        Int128 price = multiplier.Price(budget), limit = multiplier.Scaled(known), rest = least.Aggregate(Int128.Zero, (sum, value) => sum + value);
        Option[][] open = [.. menus.Select((menu, unit) => menu.Where(option => rest - least[unit] + multiplier.Priced(option) - price <= limit).ToArray())];
        List<Partial> states = [new Partial(null, default, 0, 0)];
        for (int unit = 0; unit < menus.Length; unit++)
        {
            rest -= least[unit];
            List<Partial> next = [];
            foreach (Partial state in states)
            {
                foreach (Option option in open[unit])
                {
                    long bytes = state.Bytes + option.Bytes, cost = state.Cost + option.Cost;
                    if (bytes <= budget && BoundOf(bytes, cost, rest) <= limit)
                    {
                        next.Add(new Partial(state, option, bytes, cost));
                    }
                }
            }

            states = Undominated(next);
            if (states.Count > mostStates)
            {
                Int128 after = rest;
                states = [.. states.OrderBy(state => BoundOf(state.Bytes, state.Cost, after))];
                givenUp = Math.Min(givenUp, multiplier.Unscaled(BoundOf(states[mostStates].Bytes, states[mostStates].Cost, rest)));
                states = [.. states.Take(mostStates).OrderBy(state => state.Bytes)];
            }
        }

        // Undominated states have falling costs: the last is the best, and the one of fewest bytes at its cost.
        return states.Count > 0 && (states[^1].Cost < known || (states[^1].Cost == known && states[^1].Bytes < knownBytes)) ? states[^1] : null;

        Int128 BoundOf(long bytes, long cost, Int128 rest) => multiplier.Priced(new Option(0, bytes, cost)) + rest - price;
    }

    private static List<Partial> Undominated(List<Partial> states)
    {
        List<Partial> kept = [];
        foreach (Partial state in states.OrderBy(state => state.Bytes).ThenBy(state => state.Cost))
        {
            if (kept.Count == 0 || state.Cost < kept[^1].Cost)
            {
                kept.Add(state);
            }
        }

        return kept;
    }

    private readonly record struct Option(int Index, long Bytes, long Cost);

    /// <summary>Options of the first units.</summary>
    private sealed record Partial(Partial? Before, Option Last, long Bytes, long Cost);

    /// <summary>What a step saves in cost for its bytes, exactly.</summary>
    private readonly record struct Ratio(long Cost, long Bytes) : IComparable<Ratio>
    {
        public static Ratio Between(Option from, Option to) => new(from.Cost - to.Cost, to.Bytes - from.Bytes);

        public int CompareTo(Ratio other) => ((Int128)Cost * other.Bytes).CompareTo((Int128)other.Cost * Bytes);

        /// <summary>Cost plus what the bytes cost at the margin, times <see cref="Bytes"/>.</summary>
        public Int128 Priced(Option option) => Scaled(option.Cost) + Price(option.Bytes);

        public Int128 Price(long bytes) => (Int128)Cost * bytes;

        public Int128 Scaled(long cost) => (Int128)cost * Math.Max(1, Bytes);

        /// <summary>The whole cost at or below a scaled one.</summary>
        public long Unscaled(Int128 scaled) => (long)(scaled / Math.Max(1, Bytes));
    }
}
