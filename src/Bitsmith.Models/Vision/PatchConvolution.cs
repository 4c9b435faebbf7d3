using Bitsmith.Models.Layers;
using Bitsmith.Models.Weights;
using Bitsmith.Tensors.ElementTypes;
using Bitsmith.Tensors.Matrices;

namespace Bitsmith.Models.Vision;

/// <summary>A convolution that steps by the size of its kernel: a Linear on patches. A patch is a row of values, channel by channel, each with all its places.</summary>
internal sealed class PatchConvolution
{
    private readonly Linear linear;
    private readonly int channels;
    private readonly bool channelsLast;

    /// <summary>Takes the kernel from weights, with its bias.</summary>
    /// <param name="name">The module's path in the checkpoint.</param>
    /// <param name="weights">The weights.</param>
    /// <param name="compute">Where results are rounded to BF16, sums run place by place, as oneDNN's convolutions do, channels in pairs.</param>
    /// <param name="shape">Of the kernel: output channels, input channels, places.</param>
    public PatchConvolution(string name, ModelWeights weights, ComputeOptions compute, params ReadOnlySpan<long> shape)
    {
        WeightMatrix kernel = weights.Kernel(name, shape);
        (channels, channelsLast) = ((int)shape[1], compute.BFloat16Results);
        if (channelsLast)
        {
            float[] values = new float[kernel.Rows * kernel.Columns];
            kernel.Read(0, kernel.Rows, values, compute.InstructionSet);
            float[] ordered = ChannelsLast(values, kernel.Rows, channels);
            byte[] bytes = new byte[ordered.Length * ElementType.BF16.Bytes()];
            ElementConversion.FromSingle(ElementType.BF16, ordered, bytes, compute.InstructionSet);
            kernel = WeightMatrix.Dense(ElementType.BF16, kernel.Rows, ordered.Length / kernel.Rows, TensorBytes.FromArray(bytes), isConvolution: true);
        }

        linear = new Linear(name, kernel, weights.Vector($"{name}.bias", shape[0]));
    }

    /// <summary>output [patches × output channels] = the convolution of each patch.</summary>
    public void Forward(ReadOnlyMemory<float> input, int patches, Memory<float> output, ForwardPass pass) =>
        linear.Forward(channelsLast ? Rounded(ChannelsLast(input.Span, patches, channels)) : input, patches, output, pass);

    /// <summary>Puts the channels of each place together, an odd number of them padded with a zero.</summary>
    private static float[] ChannelsLast(ReadOnlySpan<float> values, int rows, int channels)
    {
        int places = values.Length / rows / channels, even = channels + (channels % 2);
        float[] ordered = new float[rows * places * even];
        for (int row = 0; row < rows; row++)
        {
            for (int channel = 0; channel < channels; channel++)
            {
                for (int place = 0; place < places; place++)
                {
                    ordered[(((row * places) + place) * even) + channel] = values[(((row * channels) + channel) * places) + place];
                }
            }
        }

        return ordered;
    }

    private static float[] Rounded(float[] values)
    {
        foreach (ref float value in values.AsSpan())
        {
            value = BFloat16.Round(value);
        }

        return values;
    }
}
