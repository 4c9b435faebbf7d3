using Bitsmith.Tensors.Formats.Ggml.Search;
using Bitsmith.Tensors.InstructionSets;

namespace Bitsmith.Tensors.Formats;

/// <summary>A scale of each of sixteen groups.</summary>
/// <param name="stored">What is stored for it, as bits.</param>
/// <param name="scale">What codes are multiplied with.</param>
/// <param name="zero">The zero point, which is subtracted from codes before that; 0 where the format has none.</param>
internal readonly struct GroupScales<TLanes>(TLanes stored, TLanes scale, TLanes zero = default)
    where TLanes : struct, ILanes16<TLanes>
{
    public readonly TLanes Stored = stored, Scale = scale, Zero = zero;
}

/// <summary>A format of 4-bit codes with a scale for each group of consecutive columns: the definition, for one weight, and the same on sixteen groups side by side.</summary>
internal interface IGroupFormat
{
    /// <summary>Columns that share a scale; a multiple of 16.</summary>
    int GroupSize { get; }

    /// <summary>Bytes of a stored scale.</summary>
    int ScaleBytes { get; }

    /// <summary>True where each group stores a zero point beside its scale: a code's integer from -8 to 7; see <see cref="ZeroPoints"/>.</summary>
    bool HasZeroPoints { get; }

    /// <summary>The library's scale of a group: what is stored for it, as bits, what codes are multiplied with, and the zero point.</summary>
    /// <param name="group">The weights.</param>
    /// <param name="largest">Their largest magnitude.</param>
    (uint Stored, float Scale, float Zero) LibraryScale(ReadOnlySpan<float> group, float largest);

    /// <summary>The code that the library gives to w / scale, and the number that it stands for, in units of the scale.</summary>
    (int Code, float Value) LibraryNearest(float quotient, float zero);

    /// <summary>The code nearest to w / scale, and the number that it stands for.</summary>
    (int Code, float Value) Nearest(float quotient, float zero);

    /// <inheritdoc cref="LibraryScale(ReadOnlySpan{float}, float)"/>
    GroupScales<TLanes> LibraryScale<TLanes>(ReadOnlySpan<float> groups, TLanes largest) where TLanes : struct, ILanes16<TLanes>;

    /// <inheritdoc cref="LibraryNearest(float, float)"/>
    (TLanes Code, TLanes Value) LibraryNearest<TLanes>(TLanes quotient, TLanes zero) where TLanes : struct, ILanes16<TLanes>;

    /// <inheritdoc cref="Nearest(float, float)"/>
    (TLanes Code, TLanes Value) Nearest<TLanes>(TLanes quotient, TLanes zero) where TLanes : struct, ILanes16<TLanes>;

    /// <summary>The scales of least weighted squared error among those that can be stored, found by search.</summary>
    /// <param name="lanes">The groups.</param>
    /// <param name="library">The library's scales.</param>
    GroupScales<TLanes> Search<TLanes>(in LaneGroups lanes, GroupScales<TLanes> library) where TLanes : struct, ILanes16<TLanes>;

    /// <summary>What each code stands for, in units of the scale and before a zero point is subtracted.</summary>
    ReadOnlySpan<float> Levels { get; }

    /// <summary>The scale that can be stored next to a wanted one; zero or infinite where there is none of its size.</summary>
    GroupScales<TLanes> NearestScale<TLanes>(TLanes wanted) where TLanes : struct, ILanes16<TLanes>;

    /// <summary>Reads scales.</summary>
    /// <param name="source"><see cref="ScaleBytes"/> for each.</param>
    /// <param name="stored">Receives their bits.</param>
    /// <param name="scales">Receives what codes are multiplied with.</param>
    void ReadScales(ReadOnlySpan<byte> source, Span<uint> stored, Span<float> scales);

    /// <summary>Writes scales.</summary>
    /// <param name="stored">What is stored for each, as bits.</param>
    /// <param name="target">Receives <see cref="ScaleBytes"/> for each.</param>
    void WriteScales(ReadOnlySpan<uint> stored, Span<byte> target);
}
