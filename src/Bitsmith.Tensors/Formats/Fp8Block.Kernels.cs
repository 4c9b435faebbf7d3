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
            ReadOnlySpan<T> matrix, Area area, float scale, bool roundQuotient, Span<byte> codes, InstructionSet set)
            where T : unmanaged
            where TWeights : struct, IWeights<T> => set switch
            {
                InstructionSet.Avx512 => Vector<Lanes512, T, TWeights>.Encode(matrix, area, scale, roundQuotient, codes),
                InstructionSet.Avx2 => Vector<Lanes256, T, TWeights>.Encode(matrix, area, scale, roundQuotient, codes),
                InstructionSet.Vector128 => Vector<Lanes128, T, TWeights>.Encode(matrix, area, scale, roundQuotient, codes),
                _ => Scalar<T, TWeights>.Encode(matrix, area, scale, roundQuotient, codes),
            };
    }

    /// <summary>
    /// Errors are summed in units of the scale, so that squares of small weights do not vanish in binary32: the factor into
    /// those units, and its square's inverse. A scale whose reciprocal overflows gets the largest power of two instead.
    /// </summary>
    private static (float Factor, double Unit) ErrorUnit(float scale)
    {
        float factor = Math.Min(1 / scale, 8.507059e37f); // 2^126
        double unit = 1 / (double)factor;
        return (factor, unit * unit);
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
            ReadOnlySpan<T> matrix, Area area, float scale, bool roundQuotient, Span<byte> codes)
        {
            (float factor, double unit) = ErrorUnit(scale);
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
                    float quotient = weight / scale;
                    Float8E4M3 code = Float8E4M3.FromSingle(roundQuotient ? TWeights.Round(quotient) : quotient);
                    codes[place] = code.Bits;

                    float error = weight - (code.ToSingle() * scale);
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

            return new(Sum(errors) * unit, Sum(signals) * unit, largest, area.Count);
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

        [SkipLocalsInit]
        public static QuantizationError Encode(
            ReadOnlySpan<T> matrix, Area area, float scale, bool roundQuotient, Span<byte> codes)
        {
            (float factor, double unit) = ErrorUnit(scale);
            Step step = new(scale, factor, roundQuotient);
            Span<double> errors = stackalloc double[LaneMath.Width], signals = stackalloc double[LaneMath.Width];
            errors.Clear();
            signals.Clear();
            TLanes largest = TLanes.Broadcast(0);
            for (int row = area.Row; row < area.Row + area.Height; row++)
            {
                int place = (row * area.Stride) + area.Column;
                ReadOnlySpan<T> line = matrix.Slice(place, area.Width);
                Span<byte> target = codes.Slice(place, area.Width);
                ref T first = ref MemoryMarshal.GetReference(line);
                ref byte firstCode = ref MemoryMarshal.GetReference(target);
                TLanes rowErrors = TLanes.Broadcast(0), rowSignals = TLanes.Broadcast(0);
                int i = 0;
                for (; i <= line.Length - LaneMath.Width; i += LaneMath.Width)
                {
                    TLanes weights = TWeights.ToSingle(LaneMath.Load<TLanes, T>(in Unsafe.Add(ref first, i)));
                    TLanes code = step.Encode(weights, ref rowErrors, ref rowSignals, ref largest);
                    TLanes.Store8(code, ref Unsafe.Add(ref firstCode, i));
                }

                if (i < line.Length)
                {
                    TLanes weights = TWeights.ToSingle(LaneMath.LoadTail<TLanes, T>(line[i..]));
                    LaneMath.StoreTail(step.Encode(weights, ref rowErrors, ref rowSignals, ref largest), target[i..]);
                }

                TLanes.AddToDoubles(rowErrors, ref MemoryMarshal.GetReference(errors));
                TLanes.AddToDoubles(rowSignals, ref MemoryMarshal.GetReference(signals));
            }

            double maximum = BitConverter.UInt32BitsToSingle(TLanes.MaxLane(largest));
            return new(Sum(errors) * unit, Sum(signals) * unit, maximum, area.Count);
        }

        /// <summary>What is constant over a block.</summary>
        private readonly struct Step(float scale, float factor, bool roundQuotient)
        {
            // 1/scale must be a normal number, or the product is not exact (and may be infinite).
            private readonly bool multiply =
                TWeights.ReciprocalIsExact && roundQuotient && scale is >= 1.17549435e-38f and <= 8.5e37f;

            private readonly TLanes scales = LaneMath.Single<TLanes>(scale);
            private readonly TLanes factors = LaneMath.Single<TLanes>(factor);

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
