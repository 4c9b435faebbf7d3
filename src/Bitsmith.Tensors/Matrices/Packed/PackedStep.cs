using System.Runtime.Intrinsics;
using System.Runtime.Intrinsics.X86;

namespace Bitsmith.Tensors.Matrices.Packed;

/// <summary>
/// The form in which integer products meet weights and inputs: steps of 256 columns, sixteen groups of sixteen. A group's four quarters of four bytes stand in the same 32-bit lane of four
/// vectors, so that dot products of four bytes add up to a group's sum in its lane.
/// </summary>
/// <remarks>
/// Of weights a step holds the codes as unsigned bytes (code + 128), the factor of each lane and, where the type has them, its offset. Of inputs it holds the codes as signed bytes,
/// -128 times each lane's sum of codes, that sum as binary32, and each lane's factor.
/// </remarks>
internal static unsafe class PackedStep
{
    public const int Columns = 256, Lanes = 16, Codes = 256, LaneBytes = 64;

    /// <summary>Where the parts of weights begin.</summary>
    public const int WeightScalesAt = Codes, WeightMinimaAt = WeightScalesAt + LaneBytes;

    /// <summary>Where the parts of inputs begin.</summary>
    public const int CorrectionsAt = Codes, SumsAt = CorrectionsAt + LaneBytes, InputScalesAt = SumsAt + LaneBytes;

    /// <summary>Bytes of a step of inputs.</summary>
    public const int InputBytes = InputScalesAt + LaneBytes;

    /// <summary>Bytes of a step of weights.</summary>
    public static int WeightBytes(bool hasMinima) => hasMinima ? WeightMinimaAt + LaneBytes : WeightMinimaAt;

    /// <summary>Steps of a row; the last may be partly empty.</summary>
    public static int Count(int columns) => (columns + Columns - 1) / Columns;

    /// <summary>The lane of a group: rows and columns of a square of four by four change places, which takes few instructions.</summary>
    public static int LaneOf(int group) => (group % 4 * 4) + (group / 4);

    /// <summary>Puts 256 codes into their places.</summary>
    /// <param name="codes">In the order of columns.</param>
    /// <param name="target">Receives 256 bytes; aligned to 64.</param>
    /// <param name="flip">0x80 makes code + 128 of each, 0 leaves them.</param>
    public static void Interleave(ReadOnlySpan<sbyte> codes, byte* target, byte flip)
    {
        ArgumentOutOfRangeException.ThrowIfNotEqual(codes.Length, Codes);
        fixed (sbyte* source = codes)
        {
            if (Avx512F.IsSupported)
            {
                Interleave512((byte*)source, target, Vector512.Create(flip));
            }
            else if (Sse2.IsSupported)
            {
                Interleave128((byte*)source, target, Vector128.Create(flip));
            }
            else
            {
                for (int i = 0; i < Codes; i++)
                {
                    target[(i / 4 % 4 * LaneBytes) + (4 * LaneOf(i / 16)) + (i % 4)] = (byte)((byte)source[i] ^ flip);
                }
            }
        }
    }

    /// <summary>Puts sixteen values, one for each group, into their lanes.</summary>
    public static void Interleave(ReadOnlySpan<float> values, float* target)
    {
        if (Avx512F.IsSupported)
        {
            Avx512F.PermuteVar16x32(Vector512.Create(values), Vector512.Create(0, 4, 8, 12, 1, 5, 9, 13, 2, 6, 10, 14, 3, 7, 11, 15)).Store(target);
            return;
        }

        for (int group = 0; group < Lanes; group++)
        {
            target[LaneOf(group)] = values[group];
        }
    }

    private static void Interleave512(byte* source, byte* target, Vector512<byte> flip)
    {
        Vector512<int> a = (Vector512.Load(source) ^ flip).AsInt32(), b = (Vector512.Load(source + 64) ^ flip).AsInt32();
        Vector512<int> c = (Vector512.Load(source + 128) ^ flip).AsInt32(), d = (Vector512.Load(source + 192) ^ flip).AsInt32();
        Vector512<long> ab = Avx512F.UnpackLow(a, b).AsInt64(), cd = Avx512F.UnpackLow(c, d).AsInt64();
        Vector512<long> upperAb = Avx512F.UnpackHigh(a, b).AsInt64(), upperCd = Avx512F.UnpackHigh(c, d).AsInt64();
        Avx512F.UnpackLow(ab, cd).AsByte().Store(target);
        Avx512F.UnpackHigh(ab, cd).AsByte().Store(target + 64);
        Avx512F.UnpackLow(upperAb, upperCd).AsByte().Store(target + 128);
        Avx512F.UnpackHigh(upperAb, upperCd).AsByte().Store(target + 192);
    }

    private static void Interleave128(byte* source, byte* target, Vector128<byte> flip)
    {
        for (int lanes = 0; lanes < LaneBytes; lanes += 16)
        {
            Vector128<int> a = (Vector128.Load(source + lanes) ^ flip).AsInt32(), b = (Vector128.Load(source + lanes + 64) ^ flip).AsInt32();
            Vector128<int> c = (Vector128.Load(source + lanes + 128) ^ flip).AsInt32(), d = (Vector128.Load(source + lanes + 192) ^ flip).AsInt32();
            Vector128<long> ab = Sse2.UnpackLow(a, b).AsInt64(), cd = Sse2.UnpackLow(c, d).AsInt64();
            Vector128<long> upperAb = Sse2.UnpackHigh(a, b).AsInt64(), upperCd = Sse2.UnpackHigh(c, d).AsInt64();
            Sse2.UnpackLow(ab, cd).AsByte().Store(target + lanes);
            Sse2.UnpackHigh(ab, cd).AsByte().Store(target + lanes + 64);
            Sse2.UnpackLow(upperAb, upperCd).AsByte().Store(target + lanes + 128);
            Sse2.UnpackHigh(upperAb, upperCd).AsByte().Store(target + lanes + 192);
        }
    }
}
