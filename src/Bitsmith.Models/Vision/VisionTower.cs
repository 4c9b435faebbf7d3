using Bitsmith.Checkpoints;
using Bitsmith.Models.Images.Preprocessing;
using Bitsmith.Models.Layers;
using Bitsmith.Models.Weights;
using Bitsmith.Tensors.ElementTypes;
using Bitsmith.Tensors.Elementwise;
using Bitsmith.Tensors.Matrices;

namespace Bitsmith.Models.Vision;

/// <summary>
/// The vision tower of GLM-4.1V and later: patches of pixels to tokens of the language model's width. One picture, or the frame pairs of one video, in a pass.
/// </summary>
public sealed class VisionTower
{
    private const string Prefix = "model.visual.";
    private const float MergerEps = 1e-5f;
    private const float RotaryTheta = 10000;

    private readonly ComputeOptions compute;
    private readonly PatchConvolution patchEmbed, downsample;
    private readonly Linear mergerProjection;
    private readonly RmsNorm postConvNorm, postNorm;
    private readonly PositionTable positions;
    private readonly VisionBlock[] blocks;
    private readonly float[] mergerNormWeight, mergerNormBias;
    private readonly GatedMlp merger;

    private VisionTower(VisionConfig config, ModelWeights weights, ComputeOptions compute)
    {
        Config = config;
        this.compute = compute;
        (int hidden, int output, int merge) = (config.HiddenSize, config.OutHiddenSize, config.SpatialMergeSize);
        int side = config.ImageSize / config.PatchSize;
        patchEmbed = new PatchConvolution(Prefix + "patch_embed.proj", weights, compute, hidden, config.InChannels, config.TemporalPatchSize, config.PatchSize, config.PatchSize);
        postConvNorm = Norm("post_conv_layernorm");
        positions = new PositionTable(weights.Vector(Prefix + "embeddings.position_embedding.weight", side * side, hidden), side, hidden);
        blocks = [.. Enumerable.Range(0, config.Depth).Select(i => new VisionBlock(config.NumHeads)
        {
            Norm1 = Norm($"blocks.{i}.norm1"),
            QueryKeyValue = Plain($"blocks.{i}.attn.qkv", 3 * hidden, hidden),
            Projection = Plain($"blocks.{i}.attn.proj", hidden, hidden),
            Norm2 = Norm($"blocks.{i}.norm2"),
            Mlp = new GatedMlp(Plain($"blocks.{i}.mlp.gate_proj", output, hidden), Plain($"blocks.{i}.mlp.up_proj", output, hidden), Plain($"blocks.{i}.mlp.down_proj", hidden, output)),
        })];
        postNorm = Norm("post_layernorm");
        downsample = new PatchConvolution(Prefix + "downsample", weights, compute, output, hidden, merge, merge);
        mergerProjection = Plain("merger.proj", output, output);
        mergerNormWeight = weights.Vector(Prefix + "merger.post_projection_norm.weight", output);
        mergerNormBias = weights.Vector(Prefix + "merger.post_projection_norm.bias", output);
        merger = new GatedMlp(
            Plain("merger.gate_proj", config.IntermediateSize, output), Plain("merger.up_proj", config.IntermediateSize, output), Plain("merger.down_proj", output, config.IntermediateSize));

        RmsNorm Norm(string name) => new(new LayerVector($"{Prefix}{name}.weight", weights.Vector($"{Prefix}{name}.weight", hidden)), config.RmsNormEps);

        Linear Plain(string name, int rows, int columns) => new(Prefix + name, weights.Matrix(Prefix + name, rows, columns), []);
    }

    /// <summary>The numbers of the tower.</summary>
    public VisionConfig Config { get; }

    /// <summary>Builds the tower over open weights, which must stay open while it is used; null where the model has none.</summary>
    /// <exception cref="CheckpointException">A tensor is missing or has another shape.</exception>
    public static VisionTower? Create(ModelWeights weights, ComputeOptions compute)
    {
        ArgumentNullException.ThrowIfNull(weights);
        return VisionConfig.Read(weights.Config) is { } config ? new VisionTower(config, weights, compute) : null;
    }

    /// <summary>Turns patches into tokens.</summary>
    /// <param name="pixels">patches × <see cref="VisionConfig.PatchValues"/>, merge block by merge block as the image processor orders them.</param>
    /// <param name="grid">The patches; rows and columns are multiples of the merge size.</param>
    /// <returns>patches / merge² × out hidden size.</returns>
    /// <exception cref="ArgumentException">The grid does not fit the pixels or the merge size.</exception>
    public float[] Forward(ReadOnlyMemory<float> pixels, VisionGrid grid)
    {
        int merge = Config.SpatialMergeSize, patches = grid.Patches;
        if (pixels.Length != (long)patches * Config.PatchValues || grid.Height % merge != 0 || grid.Width % merge != 0 || patches == 0)
        {
            throw new ArgumentException($"{pixels.Length} values do not fit a grid of {grid} in merge blocks of {merge}.", nameof(grid));
        }

        (int[] rows, int[] columns) = Places(grid);
        using ForwardPass pass = new(compute, null);
        pass.Begin(patches);
        SetAngles(pass.Rotary, rows, columns);
        float[] hidden = new float[patches * Config.HiddenSize];
        patchEmbed.Forward(pixels, patches, hidden, pass);
        RowWork.Normalize(postConvNorm, hidden, hidden, compute);
        for (int patch = 0; patch < patches; patch++)
        {
            positions.Add(hidden.AsSpan(patch * Config.HiddenSize, Config.HiddenSize), rows[patch], columns[patch], grid.Height, grid.Width, compute.BFloat16Results);
        }

        foreach (VisionBlock block in blocks)
        {
            block.Forward(hidden, grid, pass);
        }

        RowWork.Normalize(postNorm, hidden, hidden, compute);
        return Merge(hidden, patches / (merge * merge), pass);
    }

    /// <summary>Row and column of each patch: merge blocks from left to right and top to bottom, inside a block likewise; each frame alike.</summary>
    private (int[] Rows, int[] Columns) Places(VisionGrid grid)
    {
        int merge = Config.SpatialMergeSize;
        List<int> rows = [], columns = [];
        for (int frame = 0; frame < grid.Frames; frame++)
        {
            for (int top = 0; top < grid.Height; top += merge)
            {
                for (int left = 0; left < grid.Width; left += merge)
                {
                    for (int i = 0; i < merge * merge; i++)
                    {
                        rows.Add(top + (i / merge));
                        columns.Add(left + (i % merge));
                    }
                }
            }
        }

        return ([.. rows], [.. columns]);
    }

    /// <summary>The first half of a head's angles follows the row, the second the column.</summary>
    private void SetAngles(RotaryAngles angles, int[] rows, int[] columns)
    {
        int half = Config.HiddenSize / Config.NumHeads / 2, quarter = half / 2;
        angles.Resize(rows.Length, half);
        for (int patch = 0; patch < rows.Length; patch++)
        {
            Span<float> cosines = angles.Cosines(patch), sines = angles.Sines(patch);
            for (int j = 0; j < half; j++)
            {
                float frequency = 1 / MathF.Pow(RotaryTheta, 2f * (j % quarter) / half);
                (sines[j], cosines[j]) = RotaryEmbedding.SinCos((j < quarter ? rows[patch] : columns[patch]) * frequency, compute);
            }
        }
    }

    /// <summary>Each merge block becomes one token: a convolution over it, a projection, layer norm, exact GELU, and a gated MLP.</summary>
    private float[] Merge(float[] hidden, int tokens, ForwardPass pass)
    {
        int width = Config.HiddenSize, block = Config.SpatialMergeSize * Config.SpatialMergeSize, output = Config.OutHiddenSize;
        float[] gathered = new float[hidden.Length];
        for (int token = 0; token < tokens; token++)
        {
            // The kernel's order: channel, row, column.
            for (int i = 0; i < block; i++)
            {
                for (int channel = 0; channel < width; channel++)
                {
                    gathered[(((token * width) + channel) * block) + i] = hidden[(((token * block) + i) * width) + channel];
                }
            }
        }

        float[] down = new float[tokens * output], state = new float[tokens * output];
        downsample.Forward(gathered, tokens, down, pass);
        mergerProjection.Forward(down, tokens, state, pass);
        for (int token = 0; token < tokens; token++)
        {
            if (compute.BFloat16Results)
            {
                NormAndGeluBFloat16(state.AsSpan(token * output, output));
            }
            else
            {
                NormAndGelu(state.AsSpan(token * output, output));
            }
        }

        merger.Forward(state, tokens, down, pass);
        return down;
    }

    private void NormAndGelu(Span<float> state)
    {
        double mean = 0, variance = 0;
        foreach (float value in state)
        {
            mean += value;
        }

        mean /= state.Length;
        foreach (float value in state)
        {
            variance += (value - mean) * (value - mean);
        }

        double factor = 1 / Math.Sqrt((variance / state.Length) + MergerEps);
        for (int i = 0; i < state.Length; i++)
        {
            double normed = ((state[i] - mean) * factor * mergerNormWeight[i]) + mergerNormBias[i];
            state[i] = (float)(0.5 * normed * (1 + ErrorFunction.Erf(normed / Math.Sqrt(2))));
        }
    }

    /// <summary>
    /// As PyTorch on bfloat16 tensors: the norm's result is rounded before GELU, and GELU's, in which the sum with erf is binary32. (oneDNN's erf is a polynomial of its own: of all bfloat16 values, 24 between
    /// -5.4 and -3.5 come out a few steps apart.)
    /// </summary>
    private void NormAndGeluBFloat16(Span<float> state)
    {
        ElementwiseKernels.LayerNormBFloat16(state, mergerNormWeight, mergerNormBias, MergerEps, state);
        foreach (ref float value in state)
        {
            value = BFloat16.Round(value * 0.5f * (1 + (float)ErrorFunction.Erf(value / Math.Sqrt(2))));
        }
    }

}
