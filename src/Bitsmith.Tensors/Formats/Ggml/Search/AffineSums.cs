using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;
using Bitsmith.Tensors.InstructionSets;

namespace Bitsmith.Tensors.Formats.Ggml.Search;

/// <summary>
/// Weighted sums over sixteen groups of weights x with codes q from 0 to a highest one, from which the scale and the offset of x ~ scale q + offset
/// follow by least squares.
/// </summary>
internal readonly ref struct AffineSums<TLanes>
    where TLanes : struct, ILanes16<TLanes>
{
    private const int Width = LaneMath.Width;

    private readonly ReadOnlySpan<float> values;
    private readonly ReadOnlySpan<float> weights;
    private readonly float highest;
    private readonly TLanes inverseWeight;

    /// <summary>Adds up what no code changes.</summary>
    [MethodImpl(LaneGroups.Kernel)]
    public AffineSums(LaneGroups lanes, int highest)
    {
        values = lanes.Values;
        weights = lanes.Weights;
        this.highest = highest;
        TLanes weight = TLanes.Broadcast(0), value = weight;
        for (int i = 0; i < values.Length; i += Width)
        {
            TLanes w = TLanes.Load32(in weights[i]);
            weight = TLanes.AddF(weight, w);
            value = TLanes.AddF(value, TLanes.MultiplyF(w, TLanes.Load32(in values[i])));
        }

        (Weight, Value, inverseWeight) = (weight, value, TLanes.DivideF(LaneMath.Single<TLanes>(1), weight));
    }

    /// <summary>Sum w of each group.</summary>
    public TLanes Weight { get; }

    /// <summary>Sum w x of each group.</summary>
    public TLanes Value { get; }

    /// <summary>Sums w q, w q^2 and w x q for the codes nearest to (x - offset) * inverse.</summary>
    [MethodImpl(LaneGroups.Kernel)]
    public void Sum(TLanes inverse, TLanes offset, out TLanes code, out TLanes square, out TLanes product)
    {
        ref float x = ref MemoryMarshal.GetReference(values), w = ref MemoryMarshal.GetReference(weights);
        TLanes codes = TLanes.Broadcast(0), squares = codes, products = codes, start = TLanes.MultiplyF(TLanes.SubtractF(codes, offset), inverse);
        for (int i = 0; i < values.Length; i += Width)
        {
            TLanes value = TLanes.Load32(in Unsafe.Add(ref x, i));
            TLanes q = IntegerLevels.Nearest(value, inverse, start, highest);
            TLanes weighted = TLanes.MultiplyF(TLanes.Load32(in Unsafe.Add(ref w, i)), q);
            codes = TLanes.AddF(codes, weighted);
            squares = TLanes.FusedF(weighted, q, squares);
            products = TLanes.FusedF(weighted, value, products);
        }

        (code, square, product) = (codes, squares, products);
    }

    /// <summary>Scale and offset of least squares for sums of codes, and what they take off sum w x^2; the offset at most zero where that is asked.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public void Solve(TLanes code, TLanes square, TLanes product, bool negativeOffset, out TLanes scale, out TLanes offset, out TLanes gain)
    {
        TLanes zero = TLanes.Broadcast(0), whole = TLanes.MultiplyF(Weight, square);
        TLanes determinant = TLanes.SubtractF(whole, TLanes.MultiplyF(code, code));
        TLanes solved = TLanes.DivideF(TLanes.SubtractF(TLanes.MultiplyF(Weight, product), TLanes.MultiplyF(Value, code)), determinant);
        // Where all codes are equal there is an offset only.
        scale = TLanes.Select(TLanes.LessF(TLanes.MultiplyF(whole, LaneMath.Single<TLanes>(1e-6f)), determinant), solved, zero);
        offset = TLanes.MultiplyF(TLanes.SubtractF(Value, TLanes.MultiplyF(scale, code)), inverseWeight);
        if (negativeOffset)
        {
            TLanes beyond = TLanes.LessF(zero, offset);
            scale = TLanes.Select(beyond, TLanes.MultiplyF(product, HalfScale.Inverse(square)), scale);
            offset = TLanes.Select(beyond, zero, offset);
        }

        gain = TLanes.AddF(TLanes.MultiplyF(scale, product), TLanes.MultiplyF(offset, Value));
    }

    /// <summary>The error at a scale and an offset, less sum w x^2.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public TLanes Error(TLanes scale, TLanes offset, TLanes code, TLanes square, TLanes product)
    {
        // s^2 sum w q^2 - 2 s sum w x q + 2 s o sum w q + o^2 sum w - 2 o sum w x
        TLanes inner = TLanes.SubtractF(TLanes.MultiplyF(offset, code), product);
        TLanes outer = TLanes.SubtractF(TLanes.MultiplyF(offset, Weight), TLanes.AddF(Value, Value));
        return TLanes.AddF(TLanes.MultiplyF(scale, TLanes.AddF(TLanes.MultiplyF(scale, square), TLanes.AddF(inner, inner))), TLanes.MultiplyF(offset, outer));
    }

    /// <summary>The scale of least squares for a given offset.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static TLanes ScaleFor(TLanes offset, TLanes code, TLanes square, TLanes product) =>
        TLanes.MultiplyF(TLanes.SubtractF(product, TLanes.MultiplyF(offset, code)), HalfScale.Inverse(square));
}
