using System.Runtime.InteropServices;
using Bitsmith.Models.Images.Preprocessing;
using Bitsmith.Models.Layers;
using Bitsmith.Tensors.Attention;
using Bitsmith.Tensors.Memory;
using Bitsmith.Tensors.ElementTypes;
using Bitsmith.Tensors.InstructionSets;

namespace Bitsmith.Models.Vision;

/// <summary>
/// A block of the vision tower: x += proj(attention(norm1(x))); x += down(silu(gate n) · up n), n = norm2(x). Attention is full (not causal) inside each frame; all channels of a head
/// rotate by row and column, in halves.
/// </summary>
internal sealed class VisionBlock(int heads)
{
    // Patches whose queries use a block of keys and values before the next block.
    private const int RowsPerRun = 128;

    public required RmsNorm Norm1 { get; init; }

    public required Linear QueryKeyValue { get; init; }

    public required Linear Projection { get; init; }

    public required RmsNorm Norm2 { get; init; }

    public required GatedMlp Mlp { get; init; }

    public void Forward(float[] hidden, VisionGrid grid, ForwardPass pass)
    {
        int width = Norm1.Width, patches = grid.Patches;
        float[] normed = new float[hidden.Length], branch = new float[hidden.Length];
        RowWork.Normalize(Norm1, hidden, normed, pass.Compute);
        float[] mixed = new float[3 * hidden.Length], attended = new float[hidden.Length];
        QueryKeyValue.Forward(normed, patches, mixed, pass);
        Attend(mixed, attended, width, grid.Height * grid.Width, grid.Frames, pass);
        Projection.Forward(attended, patches, branch, pass);
        RowWork.Add(hidden, branch, width, pass.Compute);
        RowWork.Normalize(Norm2, hidden, normed, pass.Compute);
        Mlp.Forward(normed, patches, branch, pass);
        RowWork.Add(hidden, branch, width, pass.Compute);
    }

    // mixed: patches × [3, heads, head width].
    private void Attend(float[] mixed, float[] attended, int width, int framePatches, int frames, ForwardPass pass)
    {
        int headDim = width / heads;
        InstructionSet set = pass.Compute.InstructionSet;
        pass.Compute.For(frames * framePatches, patch =>
            RotaryEmbedding.Rotate(mixed.AsSpan(patch * 3 * width, 2 * width), headDim, pass.Rotary, patch, RotaryPairing.Halves, pass.Compute));
        pass.Compute.For(frames * heads, task =>
        {
            (int frame, int head) = Math.DivRem(task, heads);
            int first = frame * framePatches;
            int keyFloats = (int)KeyValueLayout.KeyBytes(ElementType.F32, headDim, framePatches) / sizeof(float);
            int valueFloats = (int)KeyValueLayout.ValueBytes(ElementType.F32, headDim, framePatches) / sizeof(float);
            int scratchFloats = AttentionArithmetic.ScratchFloats(Math.Min(RowsPerRun, framePatches), framePatches, headDim, ElementType.F32, pass.Compute);
            Span<float> memory = ThreadScratch.Take<float>(keyFloats + valueFloats + scratchFloats), scratch = memory[(keyFloats + valueFloats)..];
            Span<byte> keys = MemoryMarshal.AsBytes(memory[..keyFloats]), values = MemoryMarshal.AsBytes(memory.Slice(keyFloats, valueFloats));
            for (int patch = 0; patch < framePatches; patch++)
            {
                KeyValueLayout.StoreKey(ElementType.F32, keys, patch, mixed.AsSpan(Place(1, first + patch), headDim), set);
                KeyValueLayout.StoreValue(ElementType.F32, values, patch, mixed.AsSpan(Place(2, first + patch), headDim), set);
            }

            for (int patch = 0; patch < framePatches; patch += RowsPerRun)
            {
                AttentionShape shape = new(Math.Min(RowsPerRun, framePatches - patch), 1, headDim, 3 * width, width, framePatches, Causal: false);
                AttentionArithmetic.Attend(
                    shape, mixed.AsSpan(Place(0, first + patch)), ElementType.F32, keys, values, attended.AsSpan(((first + patch) * width) + (head * headDim)), scratch, pass.Compute);
            }

            int Place(int which, int patch) => (((patch * 3) + which) * width) + (head * headDim);
        });
    }
}
