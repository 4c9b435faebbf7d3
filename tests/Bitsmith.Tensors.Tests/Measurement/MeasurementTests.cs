using System.Runtime.InteropServices;
using Bitsmith.Tensors.InstructionSets;
using Bitsmith.Tensors.Matrices;
using Bitsmith.Tensors.Measurement;
using Bitsmith.Tensors.Tests.Support;

namespace Bitsmith.Tensors.Tests.Measurement;

/// <summary>What is measured is done: every byte is read, and every loop does the operations it is credited with.</summary>
public sealed unsafe class MeasurementTests
{
    public static TheoryData<InstructionSet> All => Sets.Data;

    [Theory]
    [MemberData(nameof(All))]
    public void Every_word_of_the_array_is_read(InstructionSet set)
    {
        foreach (int bytes in (int[])[64, 128, 192, 256, 320, 64 * 37])
        {
            byte* array = (byte*)NativeMemory.AlignedAlloc((nuint)bytes, 64);
            Span<ulong> words = new(array, bytes / 8);
            Random.Shared.NextBytes(MemoryMarshal.AsBytes(words));
            ulong expected = 0;
            foreach (ulong word in words)
            {
                expected ^= word;
            }

            ulong found = MemoryBandwidth.Read(array, bytes, set);
            NativeMemory.AlignedFree(array);
            Assert.Equal((bytes, expected), (bytes, found));
        }
    }

    [Theory]
    [MemberData(nameof(All))]
    public void A_loop_does_as_many_operations_as_it_is_credited_with(InstructionSet set)
    {
        foreach (PeakLoop loop in PeakCompute.Loops(set))
        {
            foreach (long steps in (long[])[0, 1, 1000])
            {
                Assert.Equal((loop.Instruction, steps * loop.StepOperations), (loop.Instruction, 2 * loop.Run(steps)));
            }
        }
    }

    [Fact]
    public void The_widest_instruction_of_each_kind_is_measured_once()
    {
        string[] kinds = [.. PeakCompute.Loops(Cpu.Default).Select(loop => loop.Kind)];

        Assert.Equal(kinds.Distinct(), kinds);
        Assert.Equal(ComputeOptions.HasBFloat16Dot && Cpu.Default == InstructionSet.Avx512, kinds.Contains("bf16_dot"));
    }

    [Theory]
    [InlineData(1)]
    [InlineData(3)]
    public void A_rate_is_work_over_seconds_best_and_median_and_the_first_pass_does_not_count(int threads)
    {
        Clock clock = new([100, 4, 2, 1]);

        Rate rate = MemoryBandwidth.Measure(6 * 64, threads, 3, Cpu.Default, clock, TestContext.Current.CancellationToken);

        Assert.Equal(new Rate(threads, 6 * 64, 3 * 64, 3), rate);
    }

    [Fact]
    public void All_threads_take_part_in_every_pass_and_a_stop_request_ends_the_work()
    {
        using CancellationTokenSource stop = new();
        int calls = 0;

        Assert.Throws<OperationCanceledException>(() => TimedTeam.Run(
            2,
            100,
            _ =>
            {
                if (Interlocked.Increment(ref calls) == 6)
                {
                    stop.Cancel();
                }
            },
            TimeProvider.System,
            stop.Token));

        Assert.Equal(6, calls);
    }

    /// <summary>Every second look at the clock is the next number of seconds later.</summary>
    private sealed class Clock(double[] seconds) : TimeProvider
    {
        private int looks;
        private long now;

        public override long TimestampFrequency => 1_000_000;

        public override long GetTimestamp() => now += looks++ % 2 == 0 ? 0 : (long)(seconds[(looks / 2) - 1] * TimestampFrequency);
    }
}
