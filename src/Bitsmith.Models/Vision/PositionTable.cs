using Bitsmith.Tensors.ElementTypes;

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
    /// <param name="state">The state.</param>
    /// <param name="row">Row of the patch.</param>
    /// <param name="column">Column of the patch.</param>
    /// <param name="rows">Rows of the grid.</param>
    /// <param name="columns">Columns of the grid.</param>
    /// <param name="rounds">The position is rounded to BF16, and the sum, with the operations of PyTorch's grid_sample before.</param>
    public void Add(Span<float> state, int row, int column, int rows, int columns, bool rounds)
    {
        if (rounds)
        {
            AddBFloat16(state, row, column, rows, columns);
            return;
        }

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

    // grid_sample takes coordinates from -1 to 1, sums each row of neighbours and then these sums, and fuses what a compiler for x86 fuses.
    private void AddBFloat16(Span<float> state, int row, int column, int rows, int columns)
    {
        Span<float> vertical = stackalloc float[4], horizontal = stackalloc float[4], sums = stackalloc float[4];
        int top = FusedTaps(row, rows, vertical), left = FusedTaps(column, columns, horizontal);
        Span<int> places = stackalloc int[16];
        for (int i = 0; i < places.Length; i++)
        {
            places[i] = ((Math.Clamp(top + (i / 4), 0, side - 1) * side) + Math.Clamp(left + (i % 4), 0, side - 1)) * width;
        }

        for (int i = 0; i < width; i++)
        {
            for (int y = 0; y < 4; y++)
            {
                ReadOnlySpan<int> neighbours = places.Slice(4 * y, 4);
                sums[y] = Fused(horizontal, table[neighbours[0] + i], table[neighbours[1] + i], table[neighbours[2] + i], table[neighbours[3] + i]);
            }

            state[i] = BFloat16.Round(state[i] + BFloat16.Round(Fused(vertical, sums[0], sums[1], sums[2], sums[3])));
        }
    }

    private static float Fused(ReadOnlySpan<float> weights, float a, float b, float c, float d) => MathF.FusedMultiplyAdd(
        weights[3], d, MathF.FusedMultiplyAdd(weights[2], c, MathF.FusedMultiplyAdd(weights[1], b, weights[0] * a)));

    private int FusedTaps(int index, int size, Span<float> weights)
    {
        float coordinate = ((index + 0.5f) / size * 2) - 1, source = MathF.FusedMultiplyAdd(coordinate + 1, side / 2f, -0.5f);
        float whole = MathF.Floor(source), t = source - whole;
        weights[0] = Far(t + 1);
        weights[1] = FusedNear(t);
        weights[2] = FusedNear(1 - t);
        weights[3] = Far(2 - t);
        return (int)whole - 1;
    }

    private static float FusedNear(float x) => MathF.FusedMultiplyAdd((((A + 2) * x) - (A + 3)) * x, x, 1);

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
