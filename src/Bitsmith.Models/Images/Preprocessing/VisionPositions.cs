namespace Bitsmith.Models.Images.Preprocessing;

/// <summary>
/// Positions of the tokens of a prompt on the three axes of M-RoPE, as <c>get_rope_index</c> of Glm4vModel gives them.
/// </summary>
public sealed class VisionPositions
{
    private const int Axes = 3;
    private readonly int[] values;

    private VisionPositions(int[] values, int ropeDelta)
    {
        this.values = values;
        RopeDelta = ropeDelta;
    }

    /// <summary>Positions, [3, Count] in row-major order: time, height, width.</summary>
    public ReadOnlySpan<int> Values => values;

    /// <summary>Number of tokens.</summary>
    public int Count => values.Length / Axes;

    /// <summary>Largest position + 1 - number of tokens: a token generated at index n has the position n + this on all axes.</summary>
    public int RopeDelta { get; }

    /// <summary>Time axis.</summary>
    public ReadOnlySpan<int> Time => values.AsSpan(0, Count);

    /// <summary>Height axis.</summary>
    public ReadOnlySpan<int> Height => values.AsSpan(Count, Count);

    /// <summary>Width axis.</summary>
    public ReadOnlySpan<int> Width => values.AsSpan(2 * Count, Count);

    /// <summary>
    /// Computes the positions. Text counts up on all axes. A run of picture tokens stands still in time and counts rows and columns of tokens
    /// from there; behind it the count goes on by the longer side, not by the number of tokens. A video is one run for each frame pair.
    /// </summary>
    /// <param name="modalities">What each token is, see <see cref="VisionPlaceholders.Modalities"/>.</param>
    /// <param name="images">Grids of the pictures, in order.</param>
    /// <param name="videos">Grids of the videos, in order.</param>
    /// <param name="mergeSize">Patches that become one token, along each side.</param>
    /// <exception cref="ArgumentException">The runs of picture and video tokens do not fit the grids.</exception>
    public static VisionPositions Compute(
        ReadOnlySpan<TokenModality> modalities, IReadOnlyList<VisionGrid> images, IReadOnlyList<VisionGrid> videos, int mergeSize)
    {
        ArgumentNullException.ThrowIfNull(images);
        ArgumentNullException.ThrowIfNull(videos);
        ArgumentOutOfRangeException.ThrowIfLessThan(mergeSize, 1);
        List<VisionGrid> pairs = [.. videos.SelectMany(grid => Enumerable.Repeat(grid with { Frames = 1 }, grid.Frames))];
        int[] values = new int[Axes * modalities.Length];
        Span<int> time = values.AsSpan(0, modalities.Length);
        Span<int> height = values.AsSpan(modalities.Length, modalities.Length);
        Span<int> width = values.AsSpan(2 * modalities.Length, modalities.Length);
        int position = 0, image = 0, pair = 0, largest = -1;
        for (int start = 0; start < modalities.Length;)
        {
            TokenModality kind = modalities[start];
            if (kind == TokenModality.Text)
            {
                time[start] = height[start] = width[start] = position;
                largest = Math.Max(largest, position++);
                start++;
                continue;
            }

            int end = start;
            while (end < modalities.Length && modalities[end] == kind)
            {
                end++;
            }

            VisionGrid grid = kind == TokenModality.Image ? Next(images, image++, "picture", start) : Next(pairs, pair++, "frame pair of a video", start);
            if (grid.Tokens(mergeSize) != end - start)
            {
                throw new ArgumentException(
                    $"Tokens {start} to {end - 1} are a run of {end - start} {kind} tokens, "
                    + $"but a grid of {grid.Frames} x {grid.Height} x {grid.Width} patches takes {grid.Tokens(mergeSize)}. "
                    + "Pictures need text between them, such as the end of image token.",
                    nameof(modalities));
            }

            int rows = grid.Height / mergeSize, columns = grid.Width / mergeSize;
            for (int i = start; i < end; i++)
            {
                (int row, int column) = Math.DivRem((i - start) % (rows * columns), columns);
                time[i] = position;
                height[i] = position + row;
                width[i] = position + column;
            }

            largest = Math.Max(largest, position + Math.Max(rows, columns) - 1);
            position += Math.Max(grid.Height, grid.Width) / mergeSize;
            start = end;
        }

        return image == images.Count && pair == pairs.Count
            ? new VisionPositions(values, largest + 1 - modalities.Length)
            : throw new ArgumentException(
                $"The prompt has {image} runs of picture tokens and {pair} of video tokens, "
                + $"but there are {images.Count} pictures and {pairs.Count} frame pairs.",
                nameof(modalities));
    }

    private static VisionGrid Next(IReadOnlyList<VisionGrid> grids, int index, string what, int token) =>
        index < grids.Count
            ? grids[index]
            : throw new ArgumentException($"Token {token} begins a {what}, but only {grids.Count} are given.");
}
