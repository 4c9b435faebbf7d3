using System.Buffers.Binary;
using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;
using Bitsmith.Tensors.ElementTypes;
using Bitsmith.Tensors.Formats.Ggml;
using Bitsmith.Tensors.Formats.Ggml.Search;
using Bitsmith.Tensors.InstructionSets;

namespace Bitsmith.Tensors.Formats;

/// <summary>
/// Encodes rows in an <see cref="IGroupFormat"/>. Sixteen groups of a row stand side by side, one to a lane, so that every operation is that of the definition and bytes and sums are
/// the same on every instruction set. Eight consecutive codes make a little-endian 32-bit word, the first in its lowest bits; sums are binary32 by column within a group, binary64 by group.
/// </summary>
internal static class GroupEncoding
{
    /// <summary>The largest group.</summary>
    public const int MostColumns = 256;

    private const int Width = LaneMath.Width, CodesInWord = 8;
    private const uint Magnitude = 0x7FFF_FFFF, Infinity = 0x7F80_0000;

    /// <summary>Encodes rows; lengths have been checked.</summary>
    /// <param name="format">The format.</param>
    /// <param name="encoder">How scales and codes are chosen.</param>
    /// <param name="type">Of the weights.</param>
    /// <param name="weights">rows × columns.</param>
    /// <param name="importance">How much each column counts.</param>
    /// <param name="packed">Receives half a byte for each weight.</param>
    /// <param name="scales">Receives a scale for each group.</param>
    /// <param name="zeroPoints">Where the format has zero points: receives them, packed; see <see cref="ZeroPoints"/>. Otherwise empty.</param>
    /// <param name="errors">Receives the loss of each row.</param>
    /// <param name="libraryErrors">With <see cref="WeightEncoder.Best"/>: receives what the library would have lost.</param>
    /// <param name="set">Kernels.</param>
    public static void Encode<TFormat>(
        TFormat format, WeightEncoder encoder, ElementType type, ReadOnlySpan<byte> weights, ColumnWeights importance,
        Span<byte> packed, Span<byte> scales, Span<byte> zeroPoints, Span<QuantizationError> errors, Span<QuantizationError> libraryErrors, InstructionSet set)
        where TFormat : struct, IGroupFormat
    {
        errors.Clear();
        libraryErrors.Clear();
        zeroPoints.Clear();
        bool best = encoder == WeightEncoder.Best;
        switch (set)
        {
            case InstructionSet.Avx512:
                Rows<TFormat, Lanes512>(format, best, type, weights, importance, packed, scales, zeroPoints, errors, libraryErrors, set);
                break;
            case InstructionSet.Avx2:
                Rows<TFormat, Lanes256>(format, best, type, weights, importance, packed, scales, zeroPoints, errors, libraryErrors, set);
                break;
            case InstructionSet.Vector128:
                Rows<TFormat, Lanes128>(format, best, type, weights, importance, packed, scales, zeroPoints, errors, libraryErrors, set);
                break;
            case InstructionSet.Scalar when best:
                Rows<TFormat, ScalarLanes>(format, best, type, weights, importance, packed, scales, zeroPoints, errors, libraryErrors, set);
                break;
            default:
                Define(format, type, weights, importance.Columns, packed, scales, zeroPoints, errors);
                break;
        }
    }

    /// <summary>The library's encoder, weight by weight.</summary>
    private static void Define<TFormat>(
        TFormat format, ElementType type, ReadOnlySpan<byte> weights, int columns, Span<byte> packed, Span<byte> scales, Span<byte> zeroPoints, Span<QuantizationError> errors)
        where TFormat : struct, IGroupFormat
    {
        float[] group = new float[format.GroupSize];
        packed.Clear();
        for (int first = 0; first < packed.Length * 2; first += group.Length)
        {
            int row = first / columns;
            ElementConversion.ToSingle(type, weights.Slice(first * type.Bytes(), group.Length * type.Bytes()), group, InstructionSet.Scalar);
            float largest = 0;
            foreach (float weight in group)
            {
                largest = MathF.Max(largest, MathF.Abs(weight)); // NaN wins
            }

            Require(float.IsFinite(largest), group, row, first % columns);
            (uint stored, float scale, float zero) = format.LibraryScale(group, largest);
            format.WriteScales([stored], scales.Slice(first / group.Length * format.ScaleBytes, format.ScaleBytes));
            if (format.HasZeroPoints)
            {
                ZeroPoints.Write(zeroPoints, columns / group.Length, row, first % columns / group.Length, [zero]);
            }

            float inverseUnit = 1 / LaneGroups.Unit(largest), error = 0, signal = 0, most = 0;
            for (int i = 0; i < group.Length; i++)
            {
                (int code, float value) = format.LibraryNearest(group[i] / scale, zero);
                packed[(first + i) / 2] |= (byte)(code << ((first + i) % 2 * 4));
                float difference = group[i] - (value * scale), inUnits = difference * inverseUnit, weight = group[i] * inverseUnit;
                error += inUnits * inUnits;
                signal += weight * weight;
                most = MathF.Max(most, MathF.Abs(difference));
            }

            errors[row] += Loss(error, signal, most, inverseUnit, group.Length);
        }
    }

    [SkipLocalsInit]
    private static void Rows<TFormat, TLanes>(
        TFormat format, bool best, ElementType type, ReadOnlySpan<byte> weights, ColumnWeights importance,
        Span<byte> packed, Span<byte> scales, Span<byte> zeroPoints, Span<QuantizationError> errors, Span<QuantizationError> libraryErrors, InstructionSet set)
        where TFormat : struct, IGroupFormat
        where TLanes : struct, ILanes16<TLanes>
    {
        int columns = importance.Columns, size = format.GroupSize, room = size * Width, groupsOfRow = columns / size;
        Span<float> source = stackalloc float[room], raw = stackalloc float[room], laneValues = stackalloc float[room], laneWeights = stackalloc float[room], units = stackalloc float[Width], zeros = stackalloc float[Width];
        Span<uint> words = stackalloc uint[room / CodesInWord], libraryWords = stackalloc uint[room / CodesInWord], stored = stackalloc uint[Width];
        LaneGroups lanes = new(size, 1, laneValues, laneWeights, units);
        raw.Clear();

        // Rows within columns: the importance is brought into lanes once for all rows.
        for (int start = 0; start < columns; start += room)
        {
            int length = Math.Min(room, columns - start), count = length / size;
            if (count < Width)
            {
                raw.Clear();
            }

            lanes.LoadWeights(importance.Values.Slice(start, length));
            for (int row = 0; row < errors.Length; row++)
            {
                Span<float> part = source[..length];
                ElementConversion.ToSingle(type, weights.Slice(((row * columns) + start) * type.Bytes(), length * type.Bytes()), part, set);
                lanes.Transpose(part, raw);
                TLanes largest = Largest<TLanes>(raw);
                Require(TLanes.MaxLane(largest) < Infinity, part, row, start);
                TLanes inverseUnit = TLanes.DivideF(LaneMath.Single<TLanes>(1), LaneGroups.Unit(largest));
                GroupScales<TLanes> chosen = format.LibraryScale(raw, largest);
                Sums<TLanes> sums = Write(format, raw, laneWeights, chosen, inverseUnit, fromLibrary: true, words);
                if (best)
                {
                    Add(libraryErrors, row, sums, inverseUnit, count, size);
                    words.CopyTo(libraryWords);
                    lanes.LoadValues<TLanes>(part);
                    GroupScales<TLanes> found = format.Search(lanes, chosen);
                    Sums<TLanes> foundSums = Write(format, raw, laneWeights, found, inverseUnit, fromLibrary: false, words);
                    TLanes better = TLanes.LessF(foundSums.Weighted, sums.Weighted);
                    Merge(better, words, libraryWords);
                    chosen = new(TLanes.Select(better, found.Stored, chosen.Stored), chosen.Scale, TLanes.Select(better, found.Zero, chosen.Zero));
                    sums = Sums<TLanes>.Select(better, foundSums, sums);
                }

                Add(errors, row, sums, inverseUnit, count, size);
                TLanes.Store32(chosen.Stored, ref Unsafe.As<uint, float>(ref stored[0]));
                format.WriteScales(stored[..count], scales.Slice(((row * groupsOfRow) + (start / size)) * format.ScaleBytes, count * format.ScaleBytes));
                if (format.HasZeroPoints)
                {
                    TLanes.Store32(chosen.Zero, ref zeros[0]);
                    ZeroPoints.Write(zeroPoints, groupsOfRow, row, start / size, zeros[..count]);
                }

                Scatter(words, size / CodesInWord, packed.Slice(((row * columns) + start) / 2, length / 2));
            }
        }
    }

    [MethodImpl(LaneGroups.Kernel)]
    private static TLanes Largest<TLanes>(ReadOnlySpan<float> raw)
        where TLanes : struct, ILanes16<TLanes>
    {
        // Magnitudes of binary32, infinities and NaN included, are ordered as integers are.
        TLanes largest = TLanes.Broadcast(0);
        for (int i = 0; i < raw.Length; i += Width)
        {
            largest = TLanes.Max(largest, TLanes.Load32(in raw[i]) & TLanes.Broadcast(Magnitude));
        }

        return largest;
    }

    /// <summary>Makes the codes of sixteen groups with given scales, eight to a word, and sums up what they lose.</summary>
    [MethodImpl(LaneGroups.Kernel)]
    private static Sums<TLanes> Write<TFormat, TLanes>(
        TFormat format, ReadOnlySpan<float> raw, ReadOnlySpan<float> weights, in GroupScales<TLanes> chosen, TLanes inverseUnit, bool fromLibrary, Span<uint> words)
        where TFormat : struct, IGroupFormat
        where TLanes : struct, ILanes16<TLanes>
    {
        TLanes error = TLanes.Broadcast(0), weighted = error, signal = error, largest = error, word = error, scale = chosen.Scale, zero = chosen.Zero;
        ref float x = ref MemoryMarshal.GetReference(raw), w = ref MemoryMarshal.GetReference(weights), target = ref Unsafe.As<uint, float>(ref MemoryMarshal.GetReference(words));
        for (int i = 0; i < raw.Length; i += Width)
        {
            TLanes value = TLanes.Load32(in Unsafe.Add(ref x, i)), quotient = TLanes.DivideF(value, scale);
            (TLanes code, TLanes level) = fromLibrary ? format.LibraryNearest(quotient, zero) : format.Nearest(quotient, zero);
            int place = i / Width % CodesInWord;
            word |= code << (4 * place);
            if (place == CodesInWord - 1)
            {
                TLanes.Store32(word, ref Unsafe.Add(ref target, i / (Width * CodesInWord) * Width));
                word = TLanes.Broadcast(0);
            }

            TLanes difference = TLanes.SubtractF(value, TLanes.MultiplyF(level, scale)), inUnits = TLanes.MultiplyF(difference, inverseUnit), square = TLanes.MultiplyF(inUnits, inUnits);
            TLanes valueInUnits = TLanes.MultiplyF(value, inverseUnit);
            error = TLanes.AddF(error, square);
            weighted = TLanes.AddF(weighted, TLanes.MultiplyF(TLanes.Load32(in Unsafe.Add(ref w, i)), square));
            signal = TLanes.AddF(signal, TLanes.MultiplyF(valueInUnits, valueInUnits));
            largest = TLanes.Max(largest, difference & TLanes.Broadcast(Magnitude));
        }

        return new Sums<TLanes>(error, weighted, signal, largest);
    }

    [MethodImpl(LaneGroups.Kernel)]
    private static void Merge<TLanes>(TLanes takeFirst, Span<uint> words, ReadOnlySpan<uint> others)
        where TLanes : struct, ILanes16<TLanes>
    {
        ref float first = ref Unsafe.As<uint, float>(ref MemoryMarshal.GetReference(words)), second = ref Unsafe.As<uint, float>(ref MemoryMarshal.GetReference(others));
        for (int i = 0; i < words.Length; i += Width)
        {
            TLanes.Store32(TLanes.Select(takeFirst, TLanes.Load32(in Unsafe.Add(ref first, i)), TLanes.Load32(in Unsafe.Add(ref second, i))), ref Unsafe.Add(ref first, i));
        }
    }

    /// <summary>Writes word j of group g, which stands at 16 j + g, to its place.</summary>
    private static void Scatter(ReadOnlySpan<uint> words, int wordsOfGroup, Span<byte> packed)
    {
        for (int group = 0; !packed.IsEmpty; group++, packed = packed[(wordsOfGroup * sizeof(uint))..])
        {
            for (int j = 0; j < wordsOfGroup; j++)
            {
                BinaryPrimitives.WriteUInt32LittleEndian(packed[(j * sizeof(uint))..], words[(j * Width) + group]);
            }
        }
    }

    [SkipLocalsInit]
    private static void Add<TLanes>(Span<QuantizationError> errors, int row, Sums<TLanes> sums, TLanes inverseUnit, int count, int size)
        where TLanes : struct, ILanes16<TLanes>
    {
        Span<float> error = stackalloc float[Width], signal = stackalloc float[Width], largest = stackalloc float[Width], inverse = stackalloc float[Width];
        TLanes.Store32(sums.Error, ref error[0]);
        TLanes.Store32(sums.Signal, ref signal[0]);
        TLanes.Store32(sums.Largest, ref largest[0]);
        TLanes.Store32(inverseUnit, ref inverse[0]);
        for (int group = 0; group < count; group++)
        {
            errors[row] += Loss(error[group], signal[group], largest[group], inverse[group], size);
        }
    }

    private static QuantizationError Loss(float error, float signal, float largest, float inverseUnit, int count)
    {
        double unit = 1 / (double)inverseUnit, square = unit * unit;
        return new QuantizationError(error * square, signal * square, largest, count);
    }

    private static void Require(bool isFinite, ReadOnlySpan<float> values, int row, int firstColumn)
    {
        for (int i = 0; i < values.Length && !isFinite; i++)
        {
            if (!float.IsFinite(values[i]))
            {
                throw new NonFiniteWeightException(row, firstColumn + i, values[i]);
            }
        }
    }

    /// <summary>What each of sixteen groups loses, in units of the group.</summary>
    private readonly struct Sums<TLanes>(TLanes error, TLanes weighted, TLanes signal, TLanes largest)
        where TLanes : struct, ILanes16<TLanes>
    {
        public readonly TLanes Error = error, Weighted = weighted, Signal = signal, Largest = largest;

        public static Sums<TLanes> Select(TLanes mask, in Sums<TLanes> whenSet, in Sums<TLanes> whenClear) => new(
            TLanes.Select(mask, whenSet.Error, whenClear.Error), TLanes.Select(mask, whenSet.Weighted, whenClear.Weighted),
            whenSet.Signal, TLanes.Select(mask, whenSet.Largest, whenClear.Largest));
    }
}
