using Bitsmith.Tensors.InstructionSets;

namespace Bitsmith.Tensors.Tests.InstructionSets;

public sealed class CpuTests
{
    [Fact]
    public void Scalar_always_runs_and_is_the_slowest() => Assert.Equal(InstructionSet.Scalar, Cpu.Available[0]);

    [Fact]
    public void Available_families_are_distinct_and_ordered_by_speed() =>
        Assert.Equal(Cpu.Available.Distinct().Order(), Cpu.Available);

    [Theory]
    [InlineData(null)]
    [InlineData("")]
    public void No_name_means_the_fastest(string? name) => Assert.Equal(Cpu.Available[^1], Cpu.Choose(name));

    [Fact]
    public void Every_available_family_is_chosen_by_its_name_in_any_case()
    {
        foreach (InstructionSet set in Cpu.Available)
        {
            Assert.Equal(set, Cpu.Choose(set.ToString()));
            Assert.Equal(set, Cpu.Choose(set.ToString().ToLowerInvariant()));
            Assert.Equal(set, Cpu.Choose(set.ToString().ToUpperInvariant()));
        }
    }

    [Theory]
    [InlineData("neon")]
    [InlineData("avx")]
    [InlineData("avx2 ")]
    [InlineData(" ")]
    [InlineData("0")]
    [InlineData("99")]
    [InlineData("-1")]
    [InlineData("Scalar,Vector128")]
    public void Anything_that_is_no_name_is_refused_with_the_names_that_work(string name)
    {
        ArgumentException refusal = Assert.Throws<ArgumentException>(() => Cpu.Choose(name));
        Assert.Contains($"{Cpu.Variable}={name}", refusal.Message, StringComparison.Ordinal);
        Assert.Contains("scalar", refusal.Message, StringComparison.Ordinal);
    }

    [Fact]
    public void A_family_that_this_machine_lacks_is_refused()
    {
        foreach (InstructionSet set in Enum.GetValues<InstructionSet>().Except(Cpu.Available))
        {
            Assert.Throws<ArgumentException>(() => Cpu.Choose(set.ToString()));
        }

        Assert.Contains(Cpu.Default, Cpu.Available);
    }
}
