namespace Bitsmith.Models.Images.Jpeg;

/// <summary>
/// Delivers the rows of one component in the size of the picture. Factors of two are filled by libjpeg's "fancy" triangle filter, where a new sample
/// is 3/4 of the nearer old one and 1/4 of the farther, with its alternating rounding; other whole factors repeat samples, as libjpeg does.
/// </summary>
internal sealed class JpegUpsampler
{
    /// <summary>libjpeg repeats samples where a row has no more than two of them.</summary>
    private const int NarrowestFancy = 3;
    private readonly JpegComponent component;
    private readonly int horizontal;
    private readonly int vertical;
    private readonly bool fancyRows;
    private readonly bool fancyColumns;
    private readonly byte[] row;
    private readonly int[] columnSums;

    public JpegUpsampler(JpegFrame frame, JpegComponent component, string source)
    {
        this.component = component;
        if (frame.MaxHorizontal % component.Horizontal != 0 || frame.MaxVertical % component.Vertical != 0)
        {
            throw ImageException.NotSupported(source,
                $"is a JPEG with a component of sampling {component.Horizontal} x {component.Vertical} beside one of {frame.MaxHorizontal} x {frame.MaxVertical}; one must divide the other.");
        }

        horizontal = frame.MaxHorizontal / component.Horizontal;
        vertical = frame.MaxVertical / component.Vertical;
        fancyColumns = horizontal == 2 && vertical <= 2 && component.Width >= NarrowestFancy;
        fancyRows = vertical == 2 && (horizontal == 1 || fancyColumns);
        row = new byte[component.Width * horizontal];
        columnSums = new int[fancyRows && fancyColumns ? component.Width : 0];
    }

    /// <summary>One row of the picture; at least as long as the picture is wide. Valid until the next call.</summary>
    /// <param name="y">The row, from the top.</param>
    public ReadOnlySpan<byte> Row(int y)
    {
        int nearer = y / vertical;
        ReadOnlySpan<byte> near = Samples(nearer);
        if (!fancyRows)
        {
            return horizontal == 1 ? near : fancyColumns ? Triangle(near) : Repeat(near);
        }

        bool lower = (y & 1) != 0;
        ReadOnlySpan<byte> far = Samples(Math.Clamp(lower ? nearer + 1 : nearer - 1, 0, component.Height - 1));
        return fancyColumns ? Triangle(near, far) : TriangleOfRows(near, far, lower ? 2 : 1);
    }

    private ReadOnlySpan<byte> Samples(int y) => component.Samples.AsSpan(y * component.Stride, component.Width);

    private ReadOnlySpan<byte> Repeat(ReadOnlySpan<byte> near)
    {
        for (int x = 0; x < near.Length; x++)
        {
            row.AsSpan(x * horizontal, horizontal).Fill(near[x]);
        }

        return row;
    }

    /// <summary>Twice as wide.</summary>
    private ReadOnlySpan<byte> Triangle(ReadOnlySpan<byte> near)
    {
        int last = near.Length - 1;
        for (int x = 0; x <= last; x++)
        {
            int center = 3 * near[x];
            row[2 * x] = x == 0 ? near[0] : (byte)((center + near[x - 1] + 1) >> 2);
            row[(2 * x) + 1] = x == last ? near[last] : (byte)((center + near[x + 1] + 2) >> 2);
        }

        return row;
    }

    /// <summary>Twice as high.</summary>
    private ReadOnlySpan<byte> TriangleOfRows(ReadOnlySpan<byte> near, ReadOnlySpan<byte> far, int rounding)
    {
        for (int x = 0; x < near.Length; x++)
        {
            row[x] = (byte)(((3 * near[x]) + far[x] + rounding) >> 2);
        }

        return row;
    }

    /// <summary>Twice as wide and twice as high.</summary>
    private ReadOnlySpan<byte> Triangle(ReadOnlySpan<byte> near, ReadOnlySpan<byte> far)
    {
        for (int x = 0; x < near.Length; x++)
        {
            columnSums[x] = (3 * near[x]) + far[x];
        }

        int last = near.Length - 1;
        for (int x = 0; x <= last; x++)
        {
            int center = columnSums[x];
            row[2 * x] = (byte)(x == 0 ? ((4 * center) + 8) >> 4 : ((3 * center) + columnSums[x - 1] + 8) >> 4);
            row[(2 * x) + 1] = (byte)(x == last ? ((4 * center) + 7) >> 4 : ((3 * center) + columnSums[x + 1] + 7) >> 4);
        }

        return row;
    }
}
