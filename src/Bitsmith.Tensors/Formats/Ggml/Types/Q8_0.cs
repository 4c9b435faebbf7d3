using Bitsmith.Tensors.Formats.Ggml.Search;

namespace Bitsmith.Tensors.Formats.Ggml.Types;

/// <summary>d (binary16), 32 signed bytes. x = d code.</summary>
internal sealed class Q8_0() : GgmlFormat(GgmlType.Q8_0, 32, 34)
{
    private protected override void DecodeBlock(ReadOnlySpan<byte> block, Span<float> values)
    {
        float d = HalfScale.Read(block);
        for (int i = 0; i < 32; i++)
        {
            values[i] = d * (sbyte)block[2 + i];
        }
    }

    private protected override void EncodeBlock(ReadOnlySpan<float> values, ReadOnlySpan<float> weights, Span<byte> block)
    {
        Span<int> codes = stackalloc int[32];
        HalfScale.Write(block, LevelBlock.Encode<Int8Levels>(values, weights, codes));
        for (int i = 0; i < 32; i++)
        {
            block[2 + i] = (byte)(codes[i] - 127);
        }
    }
}
