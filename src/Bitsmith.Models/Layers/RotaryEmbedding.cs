namespace Bitsmith.Models.Layers;

/// <summary>Which channels of a head form a pair.</summary>
public enum RotaryPairing
{
    /// <summary>(2i, 2i+1): glm, glm4 and dense glm4v.</summary>
    Interleaved,

    /// <summary>(i, i + R/2): the mixture-of-experts models and the vision tower.</summary>
    Halves,
}

/// <summary>Cosines and sines of a run of tokens: [tokens × R/2].</summary>
/// <param name="Cosines">Cosines.</param>
/// <param name="Sines">Sines.</param>
/// <param name="Half">R/2.</param>
public sealed record RotaryAngles(float[] Cosines, float[] Sines, int Half);

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

    /// <summary>The angles of tokens.</summary>
    /// <param name="positions">One array of positions for each axis; all of one length.</param>
    public RotaryAngles Angles(IReadOnlyList<int[]> positions)
    {
        int tokens = positions[0].Length, half = frequencies.Length;
        RotaryAngles angles = new(new float[tokens * half], new float[tokens * half], half);
        for (int token = 0; token < tokens; token++)
        {
            for (int j = 0; j < half; j++)
            {
                float angle = positions[axes[j]][token] * frequencies[j];
                angles.Cosines[(token * half) + j] = MathF.Cos(angle);
                angles.Sines[(token * half) + j] = MathF.Sin(angle);
            }
        }

        return angles;
    }

    /// <summary>Rotates the first R channels of one head of one token.</summary>
    public static void Rotate(Span<float> head, RotaryAngles angles, int token, RotaryPairing pairing)
    {
        int half = angles.Half;
        for (int j = 0; j < half; j++)
        {
            (int a, int b) = pairing == RotaryPairing.Interleaved ? (2 * j, (2 * j) + 1) : (j, j + half);
            (float cos, float sin) = (angles.Cosines[(token * half) + j], angles.Sines[(token * half) + j]);
            (head[a], head[b]) = ((head[a] * cos) - (head[b] * sin), (head[b] * cos) + (head[a] * sin));
        }
    }
}
