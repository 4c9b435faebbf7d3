namespace Bitsmith.Models.Vision;

/// <summary>
/// Learned positions of a square grid, resampled to a picture's grid: 4×4 bicubic with A = -0.75 at source coordinate (i + 0.5) · side / size - 0.5, neighbours clamped to the table,
/// in binary32.
/// </summary>
/// <param name="table">side² × width values.</param>
/// <param name="side">Side of the learned grid.</param>
/// <param name="width">Width of a state.</param>
internal sealed class PositionTable(float[] table, int side, int width)
{
    private const float A = -0.75f;

    /// <summary>Adds the position of patch (row, column) of a rows × columns grid to a state.</summary>
    public void Add(Span<float> state, int row, int column, int rows, int columns)
    {
        Span<float> vertical = stackalloc float[4], horizontal = stackalloc float[4];
        int top = Taps(row, rows, vertical), left = Taps(column, columns, horizontal);
        Span<float> position = stackalloc float[width];
        position.Clear();
        for (int y = 0; y < 4; y++)
        {
            for (int x = 0; x < 4; x++)
            {
                float weight = vertical[y] * horizontal[x];
                int place = (Math.Clamp(top + y, 0, side - 1) * side) + Math.Clamp(left + x, 0, side - 1);
                ReadOnlySpan<float> entry = table.AsSpan(place * width, width);
                for (int i = 0; i < width; i++)
                {
                    position[i] += weight * entry[i];
                }
            }
        }

        for (int i = 0; i < width; i++)
        {
            state[i] += position[i];
        }
    }

    /// <summary>The weights of the four neighbours; returns the index of the first, which may lie outside.</summary>
    private int Taps(int index, int size, Span<float> weights)
    {
        float source = ((index + 0.5f) * side / size) - 0.5f;
        float whole = MathF.Floor(source), t = source - whole;
        weights[0] = Far(t + 1);
        weights[1] = Near(t);
        weights[2] = Near(1 - t);
        weights[3] = Far(2 - t);
        return (int)whole - 1;
    }

    private static float Near(float x) => ((((A + 2) * x) - (A + 3)) * x * x) + 1;

    private static float Far(float x) => (((((A * x) - (5 * A)) * x) + (8 * A)) * x) - (4 * A);
}
