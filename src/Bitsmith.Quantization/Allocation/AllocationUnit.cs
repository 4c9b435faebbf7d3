namespace Bitsmith.Quantization.Allocation;

/// <summary>What one decision may be.</summary>
/// <param name="Name">What it is called: the type of the unit's tensors.</param>
/// <param name="Bytes">Bytes that it takes.</param>
/// <param name="Cost">What it loses; finite, not negative, on one scale for all units.</param>
public readonly record struct AllocationOption(string Name, long Bytes, double Cost);

/// <summary>One decision of a plan: the tensors that share a type.</summary>
/// <param name="Name">The unit, by its first tensor.</param>
/// <param name="Options">What there is to choose from, in any order; at least one.</param>
public sealed record AllocationUnit(string Name, IReadOnlyList<AllocationOption> Options);

/// <summary>A choice for every unit.</summary>
/// <param name="Chosen">The index of the option of each unit.</param>
/// <param name="Bytes">Bytes of all.</param>
/// <param name="Cost">Cost of all.</param>
/// <param name="LowerBound">No choice within the budget costs less; equal to <paramref name="Cost"/> where the choice is proved to be the best.</param>
public sealed record AllocationSolution(IReadOnlyList<int> Chosen, long Bytes, double Cost, double LowerBound);
