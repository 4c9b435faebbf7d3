using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;
using Bitsmith.Tensors.ElementTypes;
using Bitsmith.Tensors.InstructionSets;

namespace Bitsmith.Tensors.Formats;

public static partial class Fp8Block
{
    /// <summary>Picks the kernels of an instruction set.</summary>
    private static class Dispatch
    {
        public static float Largest<T, TWeights>(ReadOnlySpan<T> matrix, Area area, InstructionSet set)
            where T : unmanaged
            where TWeights : struct, IWeights<T> => set switch
            {
                InstructionSet.Avx512 => Vector<Lanes512, T, TWeights>.Largest(matrix, area),
                InstructionSet.Avx2 => Vector<Lanes256, T, TWeights>.Largest(matrix, area),
                InstructionSet.Vector128 => Vector<Lanes128, T, TWeights>.Largest(matrix, area),
                _ => Scalar<T, TWeights>.Largest(matrix, area),
            };

        public static QuantizationError Encode<T, TWeights>(
            ReadOnlySpan<T> matrix, Area area, BlockScale scale, Span<byte> codes, InstructionSet set)
            where T : unmanaged
            where TWeights : struct, IWeights<T>
        {
            // Whole steps of sixteen columns first, then what is left: each has a loop of its own, and its own sums.
            int rest = area.Width % LaneMath.Width;
            Area whole = area with { Width = area.Width - rest }, tail = area with { Column = area.Column + whole.Width, Width = rest };
            QuantizationError error = whole.Width > 0 ? EncodePart<T, TWeights>(matrix, whole, scale, codes, set) : default;
            return rest > 0 ? error + EncodePart<T, TWeights>(matrix, tail, scale, codes, set) : error;
        }

        private static QuantizationError EncodePart<T, TWeights>(
            ReadOnlySpan<T> matrix, Area area, BlockScale scale, Span<byte> codes, InstructionSet set)
            where T : unmanaged
            where TWeights : struct, IWeights<T> => set switch
            {
                InstructionSet.Avx512 => Vector<Lanes512, T, TWeights>.Encode(matrix, area, scale, codes),
                InstructionSet.Avx2 => Vector<Lanes256, T, TWeights>.Encode(matrix, area, scale, codes),
                InstructionSet.Vector128 => Vector<Lanes128, T, TWeights>.Encode(matrix, area, scale, codes),
                _ => Scalar<T, TWeights>.Encode(matrix, area, scale, codes),
            };
    }

    /// <summary>What encoding a block needs besides its weights.</summary>
    private readonly struct BlockScale
    {
        private const float LargestPowerOfTwo = 8.507059e37f; // 2^126
        private const float SmallestNormal = 1.17549435e-38f;

        public BlockScale(float scale, float largest, bool roundQuotient)
        {
            Scale = scale;
            RoundQuotient = roundQuotient;
            float reciprocal = 1 / scale;
            Factor = Math.Min(largest > 0 && largest < scale ? Float8E4M3.MaxValue / largest : reciprocal, LargestPowerOfTwo);
            HasReciprocal = Factor == reciprocal && reciprocal >= SmallestNormal;
        }

        /// <summary>The block's scale.</summary>
        public float Scale { get; }

        /// <summary>Round the quotient to T before it becomes a code, as the library does.</summary>
        public bool RoundQuotient { get; }

        /// <summary>
        /// Errors are summed in units in which the block's largest weight is about 448, so that squares of small weights do not vanish in binary32: the
        /// factor into those units. It is 1 / scale, except where that overflows or where the scale is only a stand-in for one that rounded to zero.
        /// </summary>
        public float Factor { get; }

        /// <summary>The square of the unit that <see cref="Factor"/> leads to.</summary>
        public double SquaredUnit => 1 / ((double)Factor * Factor);

        /// <summary>True where <see cref="Factor"/> is 1 / scale and a normal number.</summary>
        public bool HasReciprocal { get; }
    }

    /// <summary>The definition.</summary>
    private static class Scalar<T, TWeights>
        where T : unmanaged
        where TWeights : struct, IWeights<T>
    {
        public static float Largest(ReadOnlySpan<T> matrix, Area area)
        {
            float largest = 0;
            for (int row = area.Row; row < area.Row + area.Height; row++)
            {
                foreach (T weight in matrix.Slice((row * area.Stride) + area.Column, area.Width))
                {
                    largest = MathF.Max(largest, MathF.Abs(TWeights.ToSingle(weight))); // NaN wins
                }
            }

            return largest;
        }

        public static QuantizationError Encode(
            ReadOnlySpan<T> matrix, Area area, BlockScale scale, Span<byte> codes)
        {
            float factor = scale.Factor;
            double[] errors = new double[LaneMath.Width], signals = new double[LaneMath.Width];
            float[] rowErrors = new float[LaneMath.Width], rowSignals = new float[LaneMath.Width];
            float largest = 0;
            for (int row = area.Row; row < area.Row + area.Height; row++)
            {
                Array.Clear(rowErrors);
                Array.Clear(rowSignals);
                for (int column = 0; column < area.Width; column++)
                {
                    int place = (row * area.Stride) + area.Column + column;
                    float weight = TWeights.ToSingle(matrix[place]);
                    float quotient = weight / scale.Scale;
                    Float8E4M3 code = Float8E4M3.FromSingle(scale.RoundQuotient ? TWeights.Round(quotient) : quotient);
                    codes[place] = code.Bits;

                    float error = weight - (code.ToSingle() * scale.Scale);
                    largest = MathF.Max(largest, MathF.Abs(error));
                    int lane = column % LaneMath.Width;
                    rowErrors[lane] += error * factor * (error * factor);
                    rowSignals[lane] += weight * factor * (weight * factor);
                }

                for (int lane = 0; lane < LaneMath.Width; lane++)
                {
                    errors[lane] += rowErrors[lane];
                    signals[lane] += rowSignals[lane];
                }
            }

            return new(Sum(errors) * scale.SquaredUnit, Sum(signals) * scale.SquaredUnit, largest, area.Count);
        }
    }

    /// <summary>The same, sixteen elements at a time.</summary>
    private static class Vector<TLanes, T, TWeights>
        where TLanes : struct, ILanes16<TLanes>
        where T : unmanaged
        where TWeights : struct, IWeights<T>
    {
        public static float Largest(ReadOnlySpan<T> matrix, Area area)
        {
            // Magnitudes of binary32, infinities and NaN included, are ordered as integers are.
            TLanes mask = TLanes.Broadcast(0x7FFF_FFFF);
            TLanes largest = TLanes.Broadcast(0);
            for (int row = area.Row; row < area.Row + area.Height; row++)
            {
                ReadOnlySpan<T> line = matrix.Slice((row * area.Stride) + area.Column, area.Width);
                ref T first = ref MemoryMarshal.GetReference(line);
                int i = 0;
                for (; i <= line.Length - LaneMath.Width; i += LaneMath.Width)
                {
                    TLanes weights = TWeights.ToSingle(LaneMath.Load<TLanes, T>(in Unsafe.Add(ref first, i)));
                    largest = TLanes.Max(largest, weights & mask);
                }

                if (i < line.Length)
                {
                    largest = TLanes.Max(largest, TWeights.ToSingle(LaneMath.LoadTail<TLanes, T>(line[i..])) & mask);
                }
            }

            return BitConverter.UInt32BitsToSingle(TLanes.MaxLane(largest));
        }

        public static QuantizationError Encode(ReadOnlySpan<T> matrix, Area area, BlockScale scale, Span<byte> codes) =>
            area.Width < LaneMath.Width ? EncodeTail(matrix, area, scale, codes) : EncodeSteps(matrix, area, scale, codes);

        /// <summary>A width that is a multiple of sixteen. Holds no call, so that sums stay in registers.</summary>
        private static QuantizationError EncodeSteps(ReadOnlySpan<T> matrix, Area area, BlockScale scale, Span<byte> codes)
        {
            Step step = new(scale);
            Span<double> errors = stackalloc double[LaneMath.Width], signals = stackalloc double[LaneMath.Width];
            errors.Clear();
            signals.Clear();
            TLanes largest = TLanes.Broadcast(0);
            for (int row = area.Row; row < area.Row + area.Height; row++)
            {
                int place = (row * area.Stride) + area.Column;
                ref T weights = ref MemoryMarshal.GetReference(matrix.Slice(place, area.Width));
                ref byte target = ref MemoryMarshal.GetReference(codes.Slice(place, area.Width));
                TLanes rowErrors = TLanes.Broadcast(0), rowSignals = TLanes.Broadcast(0);
                for (int i = 0; i < area.Width; i += LaneMath.Width)
                {
                    TLanes values = TWeights.ToSingle(LaneMath.Load<TLanes, T>(in Unsafe.Add(ref weights, i)));
                    TLanes.Store8(step.Encode(values, ref rowErrors, ref rowSignals, ref largest), ref Unsafe.Add(ref target, i));
                }

                TLanes.AddToDoubles(rowErrors, ref MemoryMarshal.GetReference(errors));
                TLanes.AddToDoubles(rowSignals, ref MemoryMarshal.GetReference(signals));
            }

            return Sums(errors, signals, largest, area, scale);
        }

        /// <summary>A width below sixteen; the lanes outside hold zeros, which add nothing.</summary>
        private static QuantizationError EncodeTail(ReadOnlySpan<T> matrix, Area area, BlockScale scale, Span<byte> codes)
        {
            Step step = new(scale);
            Span<double> errors = stackalloc double[LaneMath.Width], signals = stackalloc double[LaneMath.Width];
            errors.Clear();
            signals.Clear();
            TLanes largest = TLanes.Broadcast(0);
            for (int row = area.Row; row < area.Row + area.Height; row++)
            {
                int place = (row * area.Stride) + area.Column;
                TLanes rowErrors = TLanes.Broadcast(0), rowSignals = TLanes.Broadcast(0);
                TLanes values = TWeights.ToSingle(LaneMath.LoadTail<TLanes, T>(matrix.Slice(place, area.Width)));
                LaneMath.StoreTail(step.Encode(values, ref rowErrors, ref rowSignals, ref largest), codes.Slice(place, area.Width));
                TLanes.AddToDoubles(rowErrors, ref MemoryMarshal.GetReference(errors));
                TLanes.AddToDoubles(rowSignals, ref MemoryMarshal.GetReference(signals));
            }

            return Sums(errors, signals, largest, area, scale);
        }

        private static QuantizationError Sums(ReadOnlySpan<double> errors, ReadOnlySpan<double> signals, TLanes largest, Area area, BlockScale scale) => new(
            Sum(errors) * scale.SquaredUnit,
            Sum(signals) * scale.SquaredUnit,
            BitConverter.UInt32BitsToSingle(TLanes.MaxLane(largest)),
            area.Count);

        /// <summary>What is constant over a block.</summary>
        private readonly struct Step(BlockScale scale)
        {
            private readonly bool multiply = TWeights.ReciprocalIsExact && scale is { RoundQuotient: true, HasReciprocal: true };
            private readonly bool roundQuotient = scale.RoundQuotient;
            private readonly TLanes scales = LaneMath.Single<TLanes>(scale.Scale);
            private readonly TLanes factors = LaneMath.Single<TLanes>(scale.Factor);

            [MethodImpl(MethodImplOptions.AggressiveInlining)]
            public TLanes Encode(TLanes weights, ref TLanes errors, ref TLanes signals, ref TLanes largest)
            {
                TLanes scaled = TLanes.MultiplyF(weights, factors);
                TLanes quotient = multiply ? scaled : TLanes.DivideF(weights, scales);
                if (roundQuotient)
                {
                    quotient = TWeights.Round(quotient);
                }

                TLanes sign = quotient & TLanes.Broadcast(0x8000_0000);
                TLanes magnitude = TLanes.Min(quotient & TLanes.Broadcast(0x7FFF_FFFF), LaneMath.Single<TLanes>(Float8E4M3.MaxValue));
                (TLanes code, TLanes value) = LaneMath.RoundToE4M3(magnitude);

                TLanes error = TLanes.SubtractF(weights, TLanes.MultiplyF(value | sign, scales));
                largest = TLanes.Max(largest, error & TLanes.Broadcast(0x7FFF_FFFF));
                TLanes scaledError = TLanes.MultiplyF(error, factors);
                errors = TLanes.AddF(errors, TLanes.MultiplyF(scaledError, scaledError));
                signals = TLanes.AddF(signals, TLanes.MultiplyF(scaled, scaled));
                return code | (sign >>> 24);
            }
        }
    }

    private static double Sum(ReadOnlySpan<double> lanes)
    {
        double sum = 0;
        foreach (double lane in lanes)
        {
            sum += lane;
        }

        return sum;
    }
}
