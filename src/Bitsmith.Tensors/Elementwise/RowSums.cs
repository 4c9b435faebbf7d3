using Bitsmith.Tensors.InstructionSets;
using Bitsmith.Tensors.Matrices;

namespace Bitsmith.Tensors.Elementwise;

/// <summary>Sums over rows in binary32, in the order in which PyTorch's CPU kernels add them up. The same bits on every instruction set.</summary>
internal static class RowSums
{
    // PyTorch sums rows with 256-bit vectors, four at a time.
    private const int Lanes = 8, Vectors = 4;

    /// <summary>
    /// Σ x² in the order of PyTorch's sum over contiguous rows: vectors of eight squares go to four running vectors in turn, each a cascade that moves its sum up a level after every 16 vectors (and that after
    /// 16 of these, and so on); vectors left over go to the first; then the four are added, then the squares left over, then the eight lanes.
    /// </summary>
    public static float OfSquares(ReadOnlySpan<float> x)
    {
        const int Levels = 4, Each = Lanes * Vectors;
        Span<float> levels = stackalloc float[Levels * Each];
        levels.Clear();
        int vectors = x.Length / Lanes, rounds = vectors / Vectors, shift = Math.Max(4, CeilingLog2(rounds) / Levels), whole = rounds >> shift << shift;
        for (int round = 0; round < rounds; round++)
        {
            AddSquares(levels[..Each], x.Slice(round * Each, Each));
            int done = round + 1;
            for (int level = 1; level < Levels && done <= whole && done % (1 << (level * shift)) == 0; level++)
            {
                Span<float> lower = levels.Slice((level - 1) * Each, Each);
                Accumulate(levels.Slice(level * Each, Each), lower);
                lower.Clear();
            }
        }

        for (int level = 1; level < Levels; level++)
        {
            Accumulate(levels[..Each], levels.Slice(level * Each, Each));
        }

        Span<float> first = levels[..Lanes];
        for (int vector = rounds * Vectors; vector < vectors; vector++)
        {
            AddSquares(first, x.Slice(vector * Lanes, Lanes));
        }

        for (int vector = 1; vector < Vectors; vector++)
        {
            Accumulate(first, levels.Slice(vector * Lanes, Lanes));
        }

        float sum = 0;
        foreach (float value in x[(vectors * Lanes)..])
        {
            sum += value * value;
        }

        foreach (float lane in first)
        {
            sum += lane;
        }

        return sum;
    }

    /// <summary>Σ x of a softmax: sixteen sums in turn, added in a tree; fewer than sixteen values one by one.</summary>
    public static float OfWeights(ReadOnlySpan<float> x)
    {
        Span<float> sums = stackalloc float[LaneMath.Width];
        sums.Clear();
        int lanes = x.Length < sums.Length ? 1 : sums.Length;
        for (int i = 0; i < x.Length; i++)
        {
            sums[i % lanes] += x[i];
        }

        return DotProduct.Total(sums);
    }

    /// <summary>
    /// Mean and variance (÷ n) of a layer norm, by Welford's update: sixteen running pairs, in each chunk of sixteen values of theirs anew; the chunks' pairs are joined as in Chan, Golub and LeVeque, then
    /// the two halves of the sixteen, then the values left over with the eight pairs. The mean is PyTorch's to the bit; of a hundred variances one or two are a unit in the last place apart.
    /// </summary>
    public static (float Mean, float Variance) Moments(ReadOnlySpan<float> x)
    {
        const int Width = 2 * Lanes, Chunk = 16;
        int rounds = x.Length / Width, chunks = (rounds + Chunk - 1) / Chunk, depth = Math.Max(1, CeilingLog2(chunks));
        Span<RunningMoments> stack = stackalloc RunningMoments[depth * Lanes];
        stack.Clear();
        for (int chunk = 0; chunk < chunks; chunk++)
        {
            int count = Math.Min(Chunk, rounds - (chunk * Chunk));
            ReadOnlySpan<float> values = x.Slice(chunk * Chunk * Width, count * Width);
            for (int lane = 0; lane < Width; lane++)
            {
                RunningMoments moments = default;
                for (int i = 0; i < count; i++)
                {
                    moments.Add(values[(i * Width) + lane]);
                }

                stack[lane % Lanes].Join(moments, inVectors: true);
            }

            for (int level = 1, mask = chunk + 1; level < depth && mask % 2 == 0; level++, mask /= 2)
            {
                for (int lane = 0; lane < Lanes; lane++)
                {
                    stack[(level * Lanes) + lane].Join(stack[((level - 1) * Lanes) + lane], inVectors: true);
                    stack[((level - 1) * Lanes) + lane] = default;
                }
            }
        }

        RunningMoments total = default;
        foreach (float value in x[(rounds * Width)..])
        {
            total.AddLast(value);
        }

        for (int lane = 0; lane < Lanes; lane++)
        {
            for (int level = 1; level < depth; level++)
            {
                stack[lane].Join(stack[(level * Lanes) + lane], inVectors: true);
            }

            total.Join(stack[lane], inVectors: false);
        }

        return (total.Mean, total.Squares / x.Length);
    }

    private static int CeilingLog2(int value) => value <= 1 ? 0 : 32 - int.LeadingZeroCount(value - 1);

    // The squares are rounded before they are added: they are a tensor of their own.
    private static void AddSquares(Span<float> sums, ReadOnlySpan<float> values)
    {
        for (int i = 0; i < sums.Length; i++)
        {
            float square = values[i] * values[i];
            sums[i] += square;
        }
    }

    private static void Accumulate(Span<float> sums, ReadOnlySpan<float> values)
    {
        for (int i = 0; i < sums.Length; i++)
        {
            sums[i] += values[i];
        }
    }

    /// <summary>Count, mean and sum of squared distances from the mean.</summary>
    private struct RunningMoments
    {
        private int count;

        public float Mean { get; private set; }

        public float Squares { get; private set; }

        public void Add(float value)
        {
            float distance = value - Mean;
            Mean = MathF.FusedMultiplyAdd(distance, 1f / ++count, Mean);
            Squares = MathF.FusedMultiplyAdd(distance, value - Mean, Squares);
        }

        /// <summary>As <see cref="Add"/>, but with a division.</summary>
        public void AddLast(float value)
        {
            float distance = value - Mean;
            Mean += distance / ++count;
            Squares = MathF.FusedMultiplyAdd(distance, value - Mean, Squares);
        }

        /// <summary>Takes in the values of another; what is fused differs between vectors and single lanes.</summary>
        public void Join(RunningMoments other, bool inVectors)
        {
            int whole = count + other.count;
            if (whole == 0)
            {
                return;
            }

            float share = (float)other.count / whole, distance = other.Mean - Mean, weight = distance * distance * share;
            float shift = distance * share;
            Mean = inVectors ? Mean + shift : MathF.FusedMultiplyAdd(distance, share, Mean);
            Squares = inVectors ? MathF.FusedMultiplyAdd(weight, count, Squares + other.Squares) : Squares + MathF.FusedMultiplyAdd(weight, count, other.Squares);
            count = whole;
        }
    }
}
