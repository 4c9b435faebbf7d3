using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;
using System.Runtime.Intrinsics;
using Bitsmith.Tensors.InstructionSets;

namespace Bitsmith.Tensors.Measurement;

/// <summary>Measures how fast memory can be read, the limit of generating tokens one by one.</summary>
public static unsafe class MemoryBandwidth
{
    private const int Line = 64;

    /// <summary>Reads an array over and over, each thread its own part from start to end.</summary>
    /// <param name="bytes">Size of the array; far more than the last-level cache.</param>
    /// <param name="threads">Threads.</param>
    /// <param name="passes">Timed passes, behind one that is not.</param>
    /// <param name="instructionSet">Width of the loads.</param>
    /// <param name="clock">Tells the time.</param>
    /// <param name="cancellationToken">Stops between passes.</param>
    /// <returns>Bytes per second.</returns>
    /// <exception cref="OutOfMemoryException">There is no room for the array.</exception>
    public static Rate Measure(long bytes, int threads, int passes, InstructionSet instructionSet, TimeProvider clock, CancellationToken cancellationToken)
    {
        ArgumentNullException.ThrowIfNull(clock);
        ArgumentOutOfRangeException.ThrowIfLessThan(threads, 1);
        ArgumentOutOfRangeException.ThrowIfLessThan(passes, 1);
        long part = bytes / threads / Line * Line;
        ArgumentOutOfRangeException.ThrowIfLessThan(part, Line, nameof(bytes));
        byte* array = (byte*)NativeMemory.AlignedAlloc((nuint)(part * threads), Line);
        try
        {
            // Pages come into being where they are first written, near the thread that will read them.
            bool[] written = new bool[threads];
            ulong[] sums = new ulong[threads];
            double[] seconds = TimedTeam.Run(
                threads,
                passes,
                thread =>
                {
                    byte* start = array + (thread * part);
                    if (!written[thread])
                    {
                        NativeMemory.Fill(start, (nuint)part, 1);
                        written[thread] = true;
                    }

                    sums[thread] = Read(start, part, instructionSet);
                },
                clock,
                cancellationToken);
            return Rate.Of(threads, (double)part * threads, seconds);
        }
        finally
        {
            NativeMemory.AlignedFree(array);
        }
    }

    /// <summary>Reads all of an array.</summary>
    /// <param name="start">Aligned to 64 bytes.</param>
    /// <param name="bytes">A multiple of 64.</param>
    /// <param name="instructionSet">Width of the loads.</param>
    /// <returns>The exclusive or of its 64-bit words, so that no load can be left out.</returns>
    internal static ulong Read(byte* start, long bytes, InstructionSet instructionSet) => instructionSet switch
    {
        InstructionSet.Avx512 => Read512(start, bytes),
        InstructionSet.Avx2 => Read256(start, bytes),
        InstructionSet.Vector128 => Read128(start, bytes),
        _ => Read64(start, bytes),
    };

    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    private static ulong Read512(byte* start, long bytes)
    {
        Vector512<ulong> a = default, b = default, c = default, d = default;
        byte* end = start + bytes, p = start;
        for (; p + (4 * Line) <= end; p += 4 * Line)
        {
            a ^= Vector512.Load((ulong*)p);
            b ^= Vector512.Load((ulong*)(p + Line));
            c ^= Vector512.Load((ulong*)(p + (2 * Line)));
            d ^= Vector512.Load((ulong*)(p + (3 * Line)));
        }

        for (; p < end; p += Line)
        {
            a ^= Vector512.Load((ulong*)p);
        }

        a ^= b ^ c ^ d;
        return Fold(a.GetLower() ^ a.GetUpper());
    }

    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    private static ulong Read256(byte* start, long bytes)
    {
        Vector256<ulong> a = default, b = default, c = default, d = default;
        byte* end = start + bytes, p = start;
        for (; p + (2 * Line) <= end; p += 2 * Line)
        {
            a ^= Vector256.Load((ulong*)p);
            b ^= Vector256.Load((ulong*)(p + 32));
            c ^= Vector256.Load((ulong*)(p + 64));
            d ^= Vector256.Load((ulong*)(p + 96));
        }

        for (; p < end; p += 32)
        {
            a ^= Vector256.Load((ulong*)p);
        }

        return Fold(a ^ b ^ c ^ d);
    }

    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    private static ulong Read128(byte* start, long bytes)
    {
        Vector128<ulong> a = default, b = default, c = default, d = default;
        byte* end = start + bytes;
        for (byte* p = start; p < end; p += Line)
        {
            a ^= Vector128.Load((ulong*)p);
            b ^= Vector128.Load((ulong*)(p + 16));
            c ^= Vector128.Load((ulong*)(p + 32));
            d ^= Vector128.Load((ulong*)(p + 48));
        }

        return Fold(Vector256.Create(a ^ b, c ^ d));
    }

    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    private static ulong Read64(byte* start, long bytes)
    {
        ulong a = 0, b = 0, c = 0, d = 0;
        byte* end = start + bytes;
        for (byte* p = start; p < end; p += 32)
        {
            a ^= *(ulong*)p;
            b ^= *(ulong*)(p + 8);
            c ^= *(ulong*)(p + 16);
            d ^= *(ulong*)(p + 24);
        }

        return a ^ b ^ c ^ d;
    }

    private static ulong Fold(Vector256<ulong> words) => words[0] ^ words[1] ^ words[2] ^ words[3];
}
