namespace Bitsmith.Tensors.Formats.Ggml.Search;

/// <summary>Blocks of one group with a scale of its own.</summary>
internal static class LevelBlock
{
    /// <summary>Returns the scale as binary16 holds it, and the code of each weight.</summary>
    public static float Encode<TLevels>(ReadOnlySpan<float> values, ReadOnlySpan<float> weights, Span<int> codes)
        where TLevels : struct, ILevels
    {
        LevelGroups<TLevels> groups = new(values, weights, values.Length);
        float d = ScaleSearch.Find(ref groups, ScaleCodes.One, stackalloc int[1]);
        groups.Codes(0, d, codes);
        return d;
    }

    /// <summary>Returns the common scale as binary16 holds it, the scale code of each group, and the code of each weight.</summary>
    public static float Encode<TLevels>(
        ReadOnlySpan<float> values, ReadOnlySpan<float> weights, int groupSize, ScaleCodes scaleCodes, Span<int> scales, Span<int> codes)
        where TLevels : struct, ILevels
    {
        LevelGroups<TLevels> groups = new(values, weights, groupSize);
        float d = ScaleSearch.Find(ref groups, scaleCodes, scales);
        for (int group = 0; group < scales.Length; group++)
        {
            groups.Codes(group, d * scaleCodes.Factor(scales[group]), codes.Slice(group * groupSize, groupSize));
        }

        return d;
    }
}
