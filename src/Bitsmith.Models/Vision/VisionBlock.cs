using Bitsmith.Models.Images.Preprocessing;
using Bitsmith.Models.Layers;
using Bitsmith.Tensors.Matrices;

namespace Bitsmith.Models.Vision;

/// <summary>
/// A block of the vision tower: x += proj(attention(norm1(x))); x += down(silu(gate n) · up n), n = norm2(x). Attention is full (not causal) inside each frame; all channels of a head
/// rotate by row and column, in halves.
/// </summary>
internal sealed class VisionBlock(int heads)
{
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
        float scale = 1 / MathF.Sqrt(headDim);
        for (int patch = 0; patch < framePatches * frames; patch++)
        {
            for (int head = 0; head < heads; head++)
            {
                RotaryEmbedding.Rotate(Slot(0, patch, head), pass.Rotary, patch, RotaryPairing.Halves);
                RotaryEmbedding.Rotate(Slot(1, patch, head), pass.Rotary, patch, RotaryPairing.Halves);
            }
        }

        pass.Compute.For(frames * heads, task =>
        {
            (int frame, int head) = Math.DivRem(task, heads);
            int start = frame * framePatches;
            float[] scores = new float[framePatches];
            for (int patch = start; patch < start + framePatches; patch++)
            {
                float largest = float.NegativeInfinity, sum = 0;
                for (int other = 0; other < framePatches; other++)
                {
                    scores[other] = DotProduct.Of(Slot(0, patch, head), Slot(1, start + other, head), pass.Compute.InstructionSet) * scale;
                    largest = MathF.Max(largest, scores[other]);
                }

                for (int other = 0; other < framePatches; other++)
                {
                    scores[other] = MathF.Exp(scores[other] - largest);
                    sum += scores[other];
                }

                Span<float> result = attended.AsSpan((patch * width) + (head * headDim), headDim);
                for (int other = 0; other < framePatches; other++)
                {
                    float weight = scores[other] / sum;
                    ReadOnlySpan<float> value = Slot(2, start + other, head);
                    for (int i = 0; i < result.Length; i++)
                    {
                        result[i] += weight * value[i];
                    }
                }
            }
        });

        Span<float> Slot(int which, int patch, int head) => mixed.AsSpan((((patch * 3) + which) * width) + (head * headDim), headDim);
    }
}
