using System.Runtime.CompilerServices;
using System.Runtime.Intrinsics;
using System.Runtime.Intrinsics.Arm;
using System.Runtime.Intrinsics.X86;

namespace Bitsmith.Tensors.Formats.Ggml.Search;

/// <summary>Squares of four rows and four columns.</summary>
internal static class Squares
{
    /// <summary>Writes the transpose of a square; both have four elements in each of four rows, which lie a stride apart.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static void Transpose(ref float source, int sourceStride, ref float target, int targetStride)
    {
        Vector128<float> a = Vector128.LoadUnsafe(in source), b = Vector128.LoadUnsafe(in source, (nuint)sourceStride);
        Vector128<float> c = Vector128.LoadUnsafe(in source, (nuint)(2 * sourceStride)), d = Vector128.LoadUnsafe(in source, (nuint)(3 * sourceStride));
        Vector128<float> evenLow = Low(a, c), evenHigh = High(a, c), oddLow = Low(b, d), oddHigh = High(b, d);
        Low(evenLow, oddLow).StoreUnsafe(ref target);
        High(evenLow, oddLow).StoreUnsafe(ref target, (nuint)targetStride);
        Low(evenHigh, oddHigh).StoreUnsafe(ref target, (nuint)(2 * targetStride));
        High(evenHigh, oddHigh).StoreUnsafe(ref target, (nuint)(3 * targetStride));
    }

    // a0 b0 a1 b1
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static Vector128<float> Low(Vector128<float> a, Vector128<float> b) =>
        Sse.IsSupported ? Sse.UnpackLow(a, b) : AdvSimd.Arm64.IsSupported ? AdvSimd.Arm64.ZipLow(a, b) : Vector128.Create(a[0], b[0], a[1], b[1]);

    // a2 b2 a3 b3
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static Vector128<float> High(Vector128<float> a, Vector128<float> b) =>
        Sse.IsSupported ? Sse.UnpackHigh(a, b) : AdvSimd.Arm64.IsSupported ? AdvSimd.Arm64.ZipHigh(a, b) : Vector128.Create(a[2], b[2], a[3], b[3]);
}
