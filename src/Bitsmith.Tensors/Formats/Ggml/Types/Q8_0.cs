using Bitsmith.Tensors.Formats.Ggml.Search;
using Bitsmith.Tensors.InstructionSets;

namespace Bitsmith.Tensors.Formats.Ggml.Types;

/// <summary>d (binary16), 32 signed bytes. x = d code.</summary>
internal sealed class Q8_0() : GgmlFormat(GgmlType.Q8_0, 32, 34), ILaneDecoder
{
    private protected override void DecodeBlock(ReadOnlySpan<byte> block, Span<float> values)
    {
        float d = HalfScale.Read(block);
        for (int i = 0; i < 32; i++)
        {
            values[i] = d * (sbyte)block[2 + i];
        }
    }

    private protected override bool DecodeByLanes(ReadOnlySpan<byte> blocks, Span<float> values, InstructionSet set) =>
        LaneDecoding.Decode<Q8_0>(this, blocks, values, set);

    static void ILaneDecoder.DecodeBlock<TLanes>(ReadOnlySpan<byte> block, Span<float> values)
    {
        TLanes d = LaneMath.Single<TLanes>(HalfScale.Read(block)), sign = TLanes.Broadcast(0x80);
        for (int i = 0; i < 32; i += LaneMath.Width)
        {
            TLanes code = LaneDecoding.ToSingle(TLanes.Load8(in block[2 + i]) ^ sign, 128);
            TLanes.Store32(TLanes.MultiplyF(d, code), ref values[i]);
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
