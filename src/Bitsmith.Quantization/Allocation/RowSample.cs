using System.Text;

namespace Bitsmith.Quantization.Allocation;

/// <summary>Which rows of a matrix stand for all of them.</summary>
/// <param name="First">The first.</param>
/// <param name="Stride">From one to the next.</param>
/// <param name="Count">How many.</param>
internal readonly record struct RowSample(int First, int Stride, int Count)
{
    /// <summary>Every n-th row from a start that the tensor's name decides, so that a sample does not depend on anything else.</summary>
    /// <param name="name">The tensor's name.</param>
    /// <param name="matrix">Which of a stack's matrices.</param>
    /// <param name="rows">Rows that there are.</param>
    /// <param name="wanted">Rows that are wanted.</param>
    public static RowSample Of(string name, int matrix, int rows, int wanted)
    {
        int count = Math.Clamp(wanted, 1, rows), stride = rows / count;
        uint hash = 2166136261;
        foreach (byte letter in Encoding.UTF8.GetBytes($"{name}/{matrix}"))
        {
            hash = (hash ^ letter) * 16777619; // FNV-1a
        }

        // The last sampled row is inside whatever the start is.
        return new RowSample((int)(hash % (uint)(rows - ((count - 1) * stride))), stride, count);
    }
}
