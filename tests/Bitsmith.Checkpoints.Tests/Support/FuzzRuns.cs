using System.Diagnostics;
using System.Globalization;

namespace Bitsmith.Checkpoints.Tests.Support;

/// <summary>
/// Readings of damaged files: each ends with a result or with an error that names the file, and allocates little beside the file's size. BITSMITH_SEED draws the same damage again,
/// BITSMITH_FUZZ_RUNS gives the number of readings, and BITSMITH_MEASUREMENTS names a file to which a line of what was found is added.
/// </summary>
internal sealed class FuzzRuns(string subject, int runs)
{
    // What the objects of a small header may take beside the file's size.
    private const long Objects = 1 << 20;

    private static readonly Lock Gate = new();

    private readonly int seed = int.TryParse(Environment.GetEnvironmentVariable("BITSMITH_SEED"), CultureInfo.InvariantCulture, out int given) ? given : Random.Shared.Next();

    private int read, refused;
    private long beyond = long.MinValue;
    private double longest;

    /// <summary>Damages and reads.</summary>
    /// <param name="path">Where the damaged file is written.</param>
    /// <param name="damage">Makes a damaged file; its second argument counts the runs.</param>
    /// <param name="reading">Reads the file and checks what came out; throws <see cref="CheckpointException"/> for a refusal.</param>
    public void All(string path, Func<Random, int, byte[]> damage, Action reading)
    {
        Random random = new(seed);
        int all = int.TryParse(Environment.GetEnvironmentVariable("BITSMITH_FUZZ_RUNS"), CultureInfo.InvariantCulture, out int given) ? given : runs;
        for (int run = 0; run < all; run++)
        {
            byte[] damaged = damage(random, run);
            File.WriteAllBytes(path, damaged);
            Once(path, damaged.Length, reading, $"{subject}, seed {seed}, run {run}");
        }

        if (Environment.GetEnvironmentVariable("BITSMITH_MEASUREMENTS") is { } measurements)
        {
            lock (Gate)
            {
                File.AppendAllText(measurements, string.Create(CultureInfo.InvariantCulture, $"{subject}\t{all}\t{read}\t{refused}\t{beyond}\t{longest:0}\n"));
            }
        }

        Assert.True(read > 0 && refused > 0, $"{subject}, seed {seed}: {read} of {all} were read, {refused} refused");
    }

    private void Once(string path, int length, Action reading, string about)
    {
        long before = GC.GetAllocatedBytesForCurrentThread(), start = Stopwatch.GetTimestamp();
        try
        {
            reading();
            read++;
        }
        catch (CheckpointException refusal)
        {
            Assert.True(refusal.Message.StartsWith(path, StringComparison.Ordinal), $"{about}: {refusal.Message}");
            refused++;
        }
        catch (Exception other)
        {
            Assert.Fail($"{about}: {other}");
        }

        long allocated = GC.GetAllocatedBytesForCurrentThread() - before;
        beyond = Math.Max(beyond, allocated - length);
        longest = Math.Max(longest, Stopwatch.GetElapsedTime(start).TotalMilliseconds);
        Assert.True(allocated <= length + Objects, $"{about}: {allocated} bytes allocated for a file of {length}");
    }
}
