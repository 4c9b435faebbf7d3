using Bitsmith.Tensors.Elementwise;
using Bitsmith.Tensors.InstructionSets;
using Bitsmith.Tensors.Matrices;

namespace Bitsmith.Models.Layers;

/// <summary>Which channels of a head form a pair.</summary>
public enum RotaryPairing
{
    /// <summary>(2i, 2i+1): glm, glm4 and dense glm4v.</summary>
    Interleaved,

    /// <summary>(i, i + R/2): the mixture-of-experts models and the vision tower.</summary>
    Halves,
}

/// <summary>Cosines and sines of a run of tokens: [tokens × R/2]. Kept between runs.</summary>
internal sealed class RotaryAngles
{
    private float[] cosines = [], sines = [];

    /// <summary>They are rounded to BF16, as everything that they are multiplied by and every product.</summary>
    public bool IsRounded { get; private set; }

    /// <summary>R/2.</summary>
    public int Half { get; private set; }

    /// <summary>Makes room.</summary>
    public void Resize(int tokens, int half)
    {
        Half = half;
        if (cosines.Length < tokens * half)
        {
            (cosines, sines) = (new float[tokens * half], new float[tokens * half]);
        }
    }

    /// <summary>Rounds those of so many tokens to BF16.</summary>
    public void Round(int tokens, InstructionSet instructionSet)
    {
        ElementwiseKernels.RoundToBFloat16(cosines.AsSpan(0, tokens * Half), instructionSet);
        ElementwiseKernels.RoundToBFloat16(sines.AsSpan(0, tokens * Half), instructionSet);
        IsRounded = true;
    }

    /// <summary>Cosines of a token.</summary>
    public Span<float> Cosines(int token) => cosines.AsSpan(token * Half, Half);

    /// <summary>Sines of a token.</summary>
    public Span<float> Sines(int token) => sines.AsSpan(token * Half, Half);
}

/// <summary>
/// Rotary position embedding: frequency j of R/2 is θ^(-2j/R), the angle is position × frequency, in binary32. With sections, runs of frequencies follow the time, height and
/// width position in turn (M-RoPE); without, all follow the one position.
/// </summary>
internal sealed class RotaryEmbedding
{
    private readonly float[] frequencies;
    private readonly int[] axes;

    public RotaryEmbedding(int width, float theta, IReadOnlyList<int>? sections)
    {
        frequencies = new float[width / 2];
        for (int j = 0; j < frequencies.Length; j++)
        {
            frequencies[j] = 1 / MathF.Pow(theta, 2f * j / width);
        }

        axes = sections is null
            ? new int[frequencies.Length]
            : [.. sections.SelectMany((length, run) => Enumerable.Repeat(run % 3, length))];
    }

    /// <summary>The angles of the new tokens of sequences.</summary>
    public void Fill(RotaryAngles angles, ReadOnlySpan<SequenceRun> runs, int tokens, ComputeOptions compute)
    {
        angles.Resize(tokens, frequencies.Length);
        int token = 0;
        foreach (SequenceRun run in runs)
        {
            for (int i = 0; i < run.Tokens; i++, token++)
            {
                Span<float> cosines = angles.Cosines(token), sines = angles.Sines(token);
                for (int j = 0; j < cosines.Length; j++)
                {
                    int position = run.Positions is null ? run.Cache.Length + run.Offset + i : run.Positions[axes[j]][run.Offset + i];
                    (sines[j], cosines[j]) = SinCos(position * frequencies[j], compute);
                }
            }
        }

        if (compute.BFloat16Results)
        {
            angles.Round(tokens, compute.InstructionSet);
        }
    }

    /// <summary>Sine and cosine of an angle.</summary>
    public static (float Sine, float Cosine) SinCos(float angle, ComputeOptions compute) => compute.BFloat16Results ? VectorFunctions.SinCos(angle) : MathF.SinCos(angle);

    /// <summary>Rotates the first R channels of each head of one token.</summary>
    public static void Rotate(Span<float> heads, int headDim, RotaryAngles angles, int token, RotaryPairing pairing, ComputeOptions compute)
    {
        if (compute.BFloat16Results)
        {
            RotaryKernel.BFloat16(heads, headDim, angles.Cosines(token), angles.Sines(token), pairing == RotaryPairing.Interleaved, angles.IsRounded);
        }
        else if (pairing == RotaryPairing.Interleaved)
        {
            RotaryKernel.Interleaved(heads, headDim, angles.Cosines(token), angles.Sines(token), compute.InstructionSet);
        }
        else
        {
            RotaryKernel.Halves(heads, headDim, angles.Cosines(token), angles.Sines(token), compute.InstructionSet);
        }
    }
}
