namespace Bitsmith.Quantization.Tests;

/// <summary>A clock on which every look is a second later: what is measured until time is up is measured once.</summary>
internal sealed class LeapingClock : TimeProvider
{
    private long looks;

    public override long GetTimestamp() => TimestampFrequency * Interlocked.Increment(ref looks);
}
