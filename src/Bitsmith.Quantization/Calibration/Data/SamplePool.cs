using System.Globalization;
using Bitsmith.Quantization.Jobs;
using Bitsmith.Tensors.Matrices;

namespace Bitsmith.Quantization.Calibration.Data;

/// <summary>Draws samples from the rows of one or more sources, whose rows follow each other: in the seed's order the first that a class of lengths has room for.</summary>
/// <param name="name">What messages call the sources.</param>
/// <param name="sources">The sources.</param>
/// <param name="count">Samples to draw.</param>
/// <param name="options">How.</param>
/// <param name="compute">Threads.</param>
internal sealed class SamplePool(string name, SampleRows[] sources, int count, CalibrationOptions options, ComputeOptions compute)
{
    // Rows that become tokens together; their texts are all that is held besides the samples.
    private const int RowsAtOnce = 256;

    private readonly IReadOnlyList<LengthClass> classes = options.Lengths;
    private readonly int[] wanted = options.Lengths.Count == 0 ? [count] : Apportionment.Divide(count, [.. options.Lengths.Select(length => length.Percent)]);

    /// <summary>Draws them, in the order in which they were drawn.</summary>
    /// <exception cref="RequestException">There are too few.</exception>
    public List<CalibrationSample> Draw(List<string> notes, CancellationToken cancellationToken)
    {
        int total = checked(sources.Sum(source => source.Count));
        int[] order = options.Seed is uint seed ? NumPyPermutation.Of(total, seed) : [.. Enumerable.Range(0, total)], ranks = new int[total];
        for (int rank = 0; rank < total; rank++)
        {
            ranks[order[rank]] = rank;
        }

        int[] taken = new int[wanted.Length];
        int seen = 0, empty = 0;
        SortedDictionary<int, int> otherLengths = [];
        List<CalibrationSample> drawn = [];
        for (int next = classes.Count == 0 ? count : 2 * count; drawn.Count < count && seen < total; next = (int)Math.Min(int.MaxValue, 4L * next))
        {
            CalibrationSample[] candidates = Read(ranks, seen, Math.Min(next, total), cancellationToken);
            seen = Math.Min(next, total);
            foreach (CalibrationSample sample in candidates)
            {
                int length = sample.Tokens.Length, place = length == 0 ? -1 : classes.Count == 0 ? 0 : LengthClass.Find(classes, length);
                empty += length == 0 ? 1 : 0;
                if (place >= 0 && taken[place] < wanted[place])
                {
                    taken[place]++;
                    drawn.Add(sample);
                }
                else if (length > 0 && place < 0)
                {
                    int below = classes.Where(one => one.From > length).Select(one => one.From).DefaultIfEmpty(int.MaxValue).Min();
                    otherLengths[below] = otherLengths.GetValueOrDefault(below) + 1;
                }
            }
        }

        string[] shares = [.. wanted.Select((most, i) => $"{taken[i]} of {most}{(classes.Count == 0 ? string.Empty : $" with {classes[i].From} to {classes[i].To} tokens")}")];
        string rest = string.Concat(otherLengths.Select(other => other.Key == int.MaxValue ? $", {other.Value} longer than all classes" : $", {other.Value} below {other.Key} tokens that are in no class")) + (empty > 0 ? $", {empty} empty" : string.Empty);
        if (drawn.Count < count)
        {
            throw new RequestException(string.Create(CultureInfo.InvariantCulture, $"{name}: {total} rows give {drawn.Count} of {count} samples: {string.Join(", ", shares)}{rest}. Add data, ask for fewer samples, or for other lengths."));
        }

        notes.Add($"{name}: {string.Join(", ", shares)}, from {seen} of {total} rows{rest}");
        return drawn;
    }

    /// <summary>The samples whose ranks are in a range, in the order of ranks.</summary>
    private CalibrationSample[] Read(int[] ranks, int from, int to, CancellationToken cancellationToken)
    {
        CalibrationSample[] samples = new CalibrationSample[to - from];
        int first = 0;
        foreach (SampleRows source in sources)
        {
            int start = first;
            foreach (SampleRow[] rows in source.Read(row => ranks[start + row] >= from && ranks[start + row] < to).Chunk(RowsAtOnce))
            {
                cancellationToken.ThrowIfCancellationRequested();
                compute.For(rows.Length, i =>
                {
                    int[] tokens = rows[i].Tokens();
                    samples[ranks[start + rows[i].Row] - from] = new CalibrationSample(rows[i].Place, tokens.Length > options.MaxLength ? tokens[..options.MaxLength] : tokens);
                });
            }

            first += source.Count;
        }

        return samples;
    }
}
