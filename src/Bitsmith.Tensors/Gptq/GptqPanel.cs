using System.Buffers.Binary;
using System.Runtime.CompilerServices;
using Bitsmith.Tensors.Formats;
using Bitsmith.Tensors.Formats.Ggml.Search;
using Bitsmith.Tensors.InstructionSets;
using Bitsmith.Tensors.Matrices;

namespace Bitsmith.Tensors.Gptq;

/// <summary>
/// Up to 64 rows of weights while GPTQ works on them, side by side: number c of all rows stands together at 64 c. Missing rows are zeros, which stay what they are.
/// </summary>
/// <remarks>
/// With d = w - q, the error of a row is d H dᵀ. G = d H is what it grows with: <c>sums</c> holds it for the columns of one block, kept up to date while these change.
/// </remarks>
internal readonly unsafe struct GptqPanel<TFormat, TLanes>
    where TFormat : struct, IGroupFormat
    where TLanes : struct, ILanes16<TLanes>
{
    private const int Rows = PanelProduct.Width, Width = LaneMath.Width, CodesInWord = 8, ScalesAtOnce = 256;
    private const uint Magnitude = 0x7FFF_FFFF, Infinity = 0x7F80_0000;

    private readonly TFormat format;
    private readonly MomentFactor factor;
    private readonly int columns, groupSize, block, rows;

    // By columns: w - q, what codes stand for, and w - q again in the factor's order. By groups: scales, their bits as they are stored, and zero points. By columns of a block: G, and working memory.
    private readonly float* difference, level, ordered, scale, stored, zero, sums, work;

    /// <param name="format">The format.</param>
    /// <param name="factor">Of the inputs.</param>
    /// <param name="memory">64 numbers for three times the columns, three times the groups and twice the block; zeros.</param>
    /// <param name="block">Columns of a block: whole groups.</param>
    /// <param name="rows">Rows that are there.</param>
    public GptqPanel(TFormat format, MomentFactor factor, float* memory, int block, int rows)
    {
        (this.format, this.factor, this.block, this.rows, columns, groupSize) = (format, factor, block, rows, factor.Columns, format.GroupSize);
        nint plane = (nint)columns * Rows, groups = plane / groupSize;
        difference = memory;
        level = difference + plane;
        ordered = level + plane;
        scale = ordered + plane;
        stored = scale + groups;
        zero = stored + groups;
        sums = zero + groups;
        work = sums + (block * Rows);
        new Span<float>(scale, checked((int)groups)).Fill(1);
    }

    /// <summary>Takes over weights; every code is zero.</summary>
    public void Load(ReadOnlySpan<float> source)
    {
        for (int row = 0; row < rows; row++)
        {
            ReadOnlySpan<float> values = source.Slice(row * columns, columns);
            for (int column = 0; column < columns; column++)
            {
                difference[(column * Rows) + row] = values[column];
            }
        }

        new Span<float>(level, columns * Rows).Clear();
    }

    /// <summary>Takes over scales and zero points as they are stored.</summary>
    [SkipLocalsInit]
    public void LoadScales(ReadOnlySpan<byte> source, ReadOnlySpan<byte> zeroPoints)
    {
        int groups = columns / groupSize;
        Span<uint> bits = stackalloc uint[ScalesAtOnce];
        Span<float> values = stackalloc float[ScalesAtOnce];
        for (int row = 0; row < rows; row++)
        {
            for (int first = 0; first < groups; first += ScalesAtOnce)
            {
                int count = Math.Min(ScalesAtOnce, groups - first);
                format.ReadScales(source.Slice(((row * groups) + first) * format.ScaleBytes, count * format.ScaleBytes), bits[..count], values[..count]);
                for (int i = 0; i < count; i++)
                {
                    scale[((first + i) * Rows) + row] = values[i];
                    stored[((first + i) * Rows) + row] = BitConverter.UInt32BitsToSingle(bits[i]);
                }

                if (format.HasZeroPoints)
                {
                    ZeroPoints.Read(zeroPoints, groups, row, first, values[..count]);
                    for (int i = 0; i < count; i++)
                    {
                        zero[((first + i) * Rows) + row] = values[i];
                    }
                }
            }
        }
    }

    /// <summary>Takes over codes, which belong to the scales and weights that are there.</summary>
    public void LoadCodes(ReadOnlySpan<byte> source)
    {
        ReadOnlySpan<float> levels = format.Levels;
        for (int row = 0; row < rows; row++)
        {
            ReadOnlySpan<byte> codes = source.Slice(row * columns / 2, columns / 2);
            for (int column = 0; column < columns; column++)
            {
                int place = (column * Rows) + row, group = (column / groupSize * Rows) + row;
                level[place] = levels[(codes[column / 2] >> (column % 2 * 4)) & 15] - zero[group];
                difference[place] -= level[place] * scale[group];
            }
        }
    }

    /// <summary>Rounds column by column and carries the errors on.</summary>
    public void Round()
    {
        ReadOnlySpan<int> order = factor.Order;
        for (int end = columns, begin; end > 0; end = begin)
        {
            begin = Math.Max(0, end - block);
            for (int place = begin; place < end; place++)
            {
                new ReadOnlySpan<float>(difference + (order[place] * Rows), Rows).CopyTo(new Span<float>(sums + ((place - begin) * Rows), Rows));
            }

            PanelProduct.Add<TLanes>(factor.Factor + ((nint)begin * columns) + end, columns, 1, end - begin, ordered + ((nint)end * Rows), columns - end, sums);
            for (int place = end - 1; place >= begin; place--)
            {
                RoundColumn(place, order[place], end, sums + ((place - begin) * Rows));
            }
        }
    }

    /// <summary>Makes the scale and the codes of each group the best that they can be with all others as they are.</summary>
    /// <returns>Whether something changed.</returns>
    public bool Sweep()
    {
        bool changed = false;
        for (int first = 0; first < columns; first += block)
        {
            int height = Math.Min(block, columns - first);
            Gradient(first, height);
            for (int group = first; group < first + height; group += groupSize)
            {
                for (int lane = 0; lane < Rows; lane += Width)
                {
                    changed |= FitScale(first, height, group, lane);
                    for (int column = group; column < group + groupSize; column++)
                    {
                        changed |= FitCode(first, height, column, lane);
                    }
                }
            }
        }

        return changed;
    }

    /// <summary>Σ d H dᵀ of all rows with H as it was before it was damped.</summary>
    [SkipLocalsInit]
    public double Square()
    {
        Span<double> totals = stackalloc double[Width];
        totals.Clear();
        TLanes damping = LaneMath.Single<TLanes>((float)factor.Damping);
        for (int first = 0; first < columns; first += block)
        {
            int height = Math.Min(block, columns - first);
            Gradient(first, height);
            float* d = difference + ((nint)first * Rows);
            for (int i = 0; i < height * Rows; i += Width)
            {
                TLanes value = TLanes.Load32(in d[i]);
                TLanes.AddToDoubles(TLanes.MultiplyF(value, TLanes.SubtractF(TLanes.Load32(in sums[i]), TLanes.MultiplyF(damping, value))), ref totals[0]);
            }
        }

        double total = 0;
        foreach (double lane in totals)
        {
            total += lane;
        }

        return Math.Max(0, total) * factor.Unit;
    }

    /// <summary>Writes codes, scales and zero points.</summary>
    [SkipLocalsInit]
    public void Store(Span<byte> codes, Span<byte> scales, Span<byte> zeroPoints)
    {
        zeroPoints.Clear();
        Span<uint> words = stackalloc uint[Width];
        for (int column = 0; column < columns; column += CodesInWord)
        {
            for (int lane = 0; lane < rows; lane += Width)
            {
                TLanes word = TLanes.Broadcast(0), shift = TLanes.Load32(in zero[(column / groupSize * Rows) + lane]);
                for (int i = 0; i < CodesInWord; i++)
                {
                    word |= format.Nearest(TLanes.Load32(in level[((column + i) * Rows) + lane]), shift).Code << (4 * i);
                }

                TLanes.Store32(word, ref Unsafe.As<uint, float>(ref words[0]));
                for (int row = lane; row < Math.Min(rows, lane + Width); row++)
                {
                    BinaryPrimitives.WriteUInt32LittleEndian(codes[(((row * columns) + column) / 2)..], words[row - lane]);
                }
            }
        }

        int groups = columns / groupSize;
        Span<uint> bits = stackalloc uint[ScalesAtOnce];
        Span<float> zeros = stackalloc float[ScalesAtOnce];
        for (int row = 0; row < rows; row++)
        {
            for (int first = 0; first < groups; first += ScalesAtOnce)
            {
                int count = Math.Min(ScalesAtOnce, groups - first);
                for (int i = 0; i < count; i++)
                {
                    bits[i] = BitConverter.SingleToUInt32Bits(stored[((first + i) * Rows) + row]);
                    zeros[i] = zero[((first + i) * Rows) + row];
                }

                format.WriteScales(bits[..count], scales.Slice(((row * groups) + first) * format.ScaleBytes, count * format.ScaleBytes));
                if (format.HasZeroPoints)
                {
                    ZeroPoints.Write(zeroPoints, groups, row, first, zeros[..count]);
                }
            }
        }
    }

    /// <summary>G for the columns of a block.</summary>
    private void Gradient(int first, int height)
    {
        new Span<float>(sums, height * Rows).Clear();
        PanelProduct.Add<TLanes>(factor.Moments + ((nint)first * columns), columns, 1, height, difference, columns, sums);
    }

    /// <summary>Rounds a column, those behind it in its block included in its sum here.</summary>
    [MethodImpl(LaneGroups.Kernel)]
    private void RoundColumn(int place, int column, int end, float* sum)
    {
        float* coefficients = factor.Factor + ((nint)place * columns), done = ordered, group = scale + (column / groupSize * Rows), shift = zero + (column / groupSize * Rows), weight = difference + ((nint)column * Rows), code = level + ((nint)column * Rows);
        for (int lane = 0; lane < Rows; lane += Width)
        {
            TLanes wanted = TLanes.Load32(in sum[lane]);
            for (int behind = place + 1; behind < end; behind++)
            {
                wanted = TLanes.MultiplyAddF(LaneMath.Single<TLanes>(coefficients[behind]), TLanes.Load32(in done[(behind * Rows) + lane]), wanted);
            }

            TLanes step = TLanes.Load32(in group[lane]), value = format.Nearest(TLanes.DivideF(wanted, step), TLanes.Load32(in shift[lane])).Value;
            TLanes rest = TLanes.SubtractF(TLanes.Load32(in weight[lane]), TLanes.MultiplyF(value, step));
            TLanes.Store32(value, ref code[lane]);
            TLanes.Store32(rest, ref weight[lane]);
            TLanes.Store32(rest, ref done[(place * Rows) + lane]);
        }
    }

    /// <summary>
    /// Least squares for the scale of a group, s + Σ c G / Σ c H c, or what can be stored next to that. With zero points also for all codes' levels c one higher and one lower: whichever lowers the error most.
    /// </summary>
    [MethodImpl(LaneGroups.Kernel)]
    private bool FitScale(int first, int height, int group, int lane)
    {
        float* moments = factor.Moments, codes = level + ((nint)group * Rows) + lane;
        TLanes product = TLanes.Broadcast(0), square = product;
        ShiftSums shifts = default;
        for (int i = 0; i < height; i++)
        {
            float* row = moments + ((nint)(first + i) * columns) + group;
            TLanes sum = TLanes.Broadcast(0);
            for (int j = 0; j < groupSize; j++)
            {
                sum = TLanes.MultiplyAddF(LaneMath.Single<TLanes>(row[j]), TLanes.Load32(in codes[j * Rows]), sum);
            }

            TLanes.Store32(sum, ref work[(i * Rows) + lane]);
            int inGroup = first + i - group;
            if (inGroup >= 0 && inGroup < groupSize)
            {
                TLanes code = TLanes.Load32(in codes[inGroup * Rows]), gradient = TLanes.Load32(in sums[(i * Rows) + lane]);
                product = TLanes.MultiplyAddF(code, gradient, product);
                square = TLanes.MultiplyAddF(code, sum, square);
                if (format.HasZeroPoints)
                {
                    shifts.Add(gradient, sum, RowSum(row));
                }
            }
        }

        ref float place = ref scale[(group / groupSize * Rows) + lane];
        ref float bits = ref stored[(group / groupSize * Rows) + lane];
        TLanes present = TLanes.Load32(in place), shift = TLanes.Broadcast(0);
        GroupScales<TLanes> found = format.NearestScale(TLanes.AddF(present, TLanes.DivideF(product, square)));
        if (format.HasZeroPoints)
        {
            (found, shift) = Shifted(found, present, TLanes.Load32(in zero[(group / groupSize * Rows) + lane]), product, square, shifts);
        }

        TLanes magnitude = found.Scale & TLanes.Broadcast(Magnitude);

        // Codes that are all zeros tell of no scale; NaN and infinity are above all numbers.
        TLanes usable = TLanes.LessF(TLanes.Broadcast(0), square) & TLanes.Less(TLanes.Broadcast(0), magnitude) & TLanes.Less(magnitude, TLanes.Broadcast(Infinity));
        shift &= usable;
        TLanes step = TLanes.SubtractF(found.Scale, present) & usable, added = TLanes.MultiplyF(found.Scale, shift) & usable;
        if (TLanes.MaxLane((step | shift) & TLanes.Broadcast(Magnitude)) == 0)
        {
            return false;
        }

        TLanes.Store32(TLanes.Select(usable, found.Scale, present), ref place);
        TLanes.Store32(TLanes.Select(usable, found.Stored, TLanes.Load32(in bits)), ref bits);
        float* rest = difference + ((nint)group * Rows) + lane;
        for (int j = 0; j < groupSize; j++)
        {
            Subtract(step, TLanes.Load32(in codes[j * Rows]), ref rest[j * Rows]);
        }

        for (int i = 0; i < height; i++)
        {
            Subtract(step, TLanes.Load32(in work[(i * Rows) + lane]), ref sums[(i * Rows) + lane]);
        }

        if (TLanes.MaxLane(shift & TLanes.Broadcast(Magnitude)) != 0)
        {
            Shift(first, height, group, lane, shift, added);
        }

        return true;
    }

    private float RowSum(float* row)
    {
        float sum = 0;
        for (int j = 0; j < groupSize; j++)
        {
            sum += row[j];
        }

        return sum;
    }

    /// <summary>Of the group's levels as they are, one higher and one lower, each with its scale of least squares as it can be stored, those that lower the error most.</summary>
    [MethodImpl(LaneGroups.Kernel)]
    private (GroupScales<TLanes> Found, TLanes Shift) Shifted(GroupScales<TLanes> found, TLanes present, TLanes zeroPoint, TLanes product, TLanes square, in ShiftSums shifts)
    {
        TLanes best = TLanes.Broadcast(0), least = Change(found.Scale, present, best, product, square, shifts);
        for (int direction = -1; direction <= 1; direction += 2)
        {
            // u = c + k: Σ u G, Σ u H c and Σ u H u.
            TLanes k = LaneMath.Single<TLanes>(direction), twice = TLanes.AddF(k, k);
            TLanes gradient = TLanes.AddF(product, TLanes.MultiplyF(k, shifts.Gradient)), mixed = TLanes.AddF(square, TLanes.MultiplyF(k, shifts.Mixed));
            TLanes whole = TLanes.AddF(TLanes.AddF(square, TLanes.MultiplyF(twice, shifts.Mixed)), shifts.Square);
            GroupScales<TLanes> other = format.NearestScale(TLanes.DivideF(TLanes.AddF(gradient, TLanes.MultiplyF(present, mixed)), whole));
            TLanes change = Change(other.Scale, present, k, product, square, shifts), target = TLanes.SubtractF(zeroPoint, k);
            TLanes possible = TLanes.LessF(LaneMath.Single<TLanes>(Int4Group.Lowest - 0.5f), target) & TLanes.LessF(target, LaneMath.Single<TLanes>(Int4Group.Highest + 0.5f))
                & TLanes.LessF(TLanes.Broadcast(0), other.Scale) & TLanes.Less(other.Scale, TLanes.Broadcast(Infinity));
            TLanes better = TLanes.LessF(change, least) & possible;
            found = new(TLanes.Select(better, other.Stored, found.Stored), TLanes.Select(better, other.Scale, found.Scale));
            (best, least) = (TLanes.Select(better, k, best), TLanes.Select(better, change, least));
        }

        return (found, best);
    }

    /// <summary>What becomes of the error with another scale, and levels that are k higher: a² Σ c H c + 2 a b Σ c H 1 + b² Σ 1 H 1 - 2 (a Σ c G + b Σ 1 G), a the scale's change and b = scale · k.</summary>
    private static TLanes Change(TLanes scale, TLanes present, TLanes k, TLanes product, TLanes square, in ShiftSums shifts)
    {
        TLanes a = TLanes.SubtractF(scale, present), b = TLanes.MultiplyF(scale, k);
        TLanes ofA = TLanes.SubtractF(TLanes.AddF(TLanes.MultiplyF(a, square), TLanes.MultiplyF(TLanes.AddF(b, b), shifts.Mixed)), TLanes.AddF(product, product));
        TLanes ofB = TLanes.SubtractF(TLanes.MultiplyF(b, shifts.Square), TLanes.AddF(shifts.Gradient, shifts.Gradient));
        return TLanes.AddF(TLanes.MultiplyF(a, ofA), TLanes.MultiplyF(b, ofB));
    }

    /// <summary>Lowers the zero point of a group, so that all its levels are higher, the codes being what they are.</summary>
    [MethodImpl(LaneGroups.Kernel)]
    private void Shift(int first, int height, int group, int lane, TLanes shift, TLanes added)
    {
        ref float place = ref zero[(group / groupSize * Rows) + lane];
        TLanes.Store32(TLanes.SubtractF(TLanes.Load32(in place), shift), ref place);
        for (int j = 0; j < groupSize; j++)
        {
            ref float code = ref level[((nint)(group + j) * Rows) + lane];
            TLanes.Store32(TLanes.AddF(TLanes.Load32(in code), shift), ref code);
            Subtract(added, LaneMath.Single<TLanes>(1), ref difference[((nint)(group + j) * Rows) + lane]);
        }

        for (int i = 0; i < height; i++)
        {
            Subtract(added, LaneMath.Single<TLanes>(RowSum(factor.Moments + ((nint)(first + i) * columns) + group)), ref sums[(i * Rows) + lane]);
        }
    }

    /// <summary>The code nearest to q + G / H, in units of the scale.</summary>
    [MethodImpl(LaneGroups.Kernel)]
    private bool FitCode(int first, int height, int column, int lane)
    {
        float* row = factor.Moments + ((nint)column * columns) + first;
        ref float place = ref level[((nint)column * Rows) + lane];
        TLanes step = TLanes.Load32(in scale[(column / groupSize * Rows) + lane]), code = TLanes.Load32(in place);
        TLanes gain = TLanes.DivideF(TLanes.Load32(in sums[((column - first) * Rows) + lane]), TLanes.MultiplyF(step, LaneMath.Single<TLanes>(row[column - first])));
        TLanes value = format.Nearest(TLanes.AddF(code, gain), TLanes.Load32(in zero[(column / groupSize * Rows) + lane])).Value, change = TLanes.SubtractF(value, code);
        if (TLanes.MaxLane(change & TLanes.Broadcast(Magnitude)) == 0)
        {
            return false;
        }

        change = TLanes.MultiplyF(change, step);
        TLanes.Store32(value, ref place);
        Subtract(change, LaneMath.Single<TLanes>(1), ref difference[((nint)column * Rows) + lane]);
        for (int i = 0; i < height; i++)
        {
            Subtract(change, LaneMath.Single<TLanes>(row[i]), ref sums[(i * Rows) + lane]);
        }

        return true;
    }

    /// <summary>target -= left · right.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static void Subtract(TLanes left, TLanes right, ref float target) =>
        TLanes.Store32(TLanes.SubtractF(TLanes.Load32(in target), TLanes.MultiplyF(left, right)), ref target);

    /// <summary>Sums over a group that tell what becomes of the error when all levels are shifted: Σ 1 G, Σ 1 H c and Σ 1 H 1.</summary>
    private struct ShiftSums
    {
        public TLanes Gradient, Mixed, Square;

        public void Add(TLanes gradient, TLanes mixed, float square)
        {
            Gradient = TLanes.AddF(Gradient, gradient);
            Mixed = TLanes.AddF(Mixed, mixed);
            Square = TLanes.AddF(Square, LaneMath.Single<TLanes>(square));
        }
    }
}
