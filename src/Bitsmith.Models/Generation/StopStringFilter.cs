using System.Text;

namespace Bitsmith.Models.Generation;

/// <summary>Ends a stream of text at the first stop string; text that could be the start of one is held back until that is decided.</summary>
/// <param name="stops">The stop strings; empty ones are ignored.</param>
public sealed class StopStringFilter(IReadOnlyList<string> stops)
{
    private readonly StringBuilder held = new();

    /// <summary>True once a stop string has been seen.</summary>
    public bool IsStopped { get; private set; }

    /// <summary>Adds text and returns what is certain to be part of the answer.</summary>
    public string Add(string text)
    {
        if (IsStopped)
        {
            return string.Empty;
        }

        held.Append(text);
        string all = held.ToString();
        int end = stops.Where(stop => stop.Length > 0).Select(stop => all.IndexOf(stop, StringComparison.Ordinal)).Where(index => index >= 0).DefaultIfEmpty(-1).Min();
        if (end >= 0)
        {
            IsStopped = true;
            held.Clear();
            return all[..end];
        }

        int keep = stops.Select(stop => Overlap(all, stop)).DefaultIfEmpty(0).Max();
        held.Clear().Append(all, all.Length - keep, keep);
        return all[..^keep];
    }

    /// <summary>The stream has ended: what was held back belongs to the answer.</summary>
    public string Flush()
    {
        string rest = held.ToString();
        held.Clear();
        return rest;
    }

    /// <summary>The longest end of the text that is a start of the stop string, but not all of it.</summary>
    private static int Overlap(string text, string stop)
    {
        for (int length = Math.Min(text.Length, stop.Length - 1); length > 0; length--)
        {
            if (text.AsSpan(text.Length - length).SequenceEqual(stop.AsSpan(0, length)))
            {
                return length;
            }
        }

        return 0;
    }
}
