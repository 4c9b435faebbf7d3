using Bitsmith.Models.Layers;

namespace Bitsmith.Quantization.Calibration.Awq;

/// <summary>
/// A place where a layer lets factors be moved: what writes some channels is divided by one factor for each channel, and whatever reads them is multiplied with it, so that the layer computes what it did. What writes
/// them is a norm or a Linear, never both.
/// </summary>
public sealed record AwqMapping
{
    /// <summary>The norm whose weight is divided; null where a Linear writes the channels.</summary>
    public LayerVector? Norm { get; init; }

    /// <summary>The Linear whose last rows, as many as there are channels, are divided, its bias too; null where a norm writes the channels.</summary>
    public Linear? Projection { get; init; }

    /// <summary>The Linears that read the channels: all of them, quantized or not.</summary>
    public required IReadOnlyList<Linear> Balance { get; init; }

    /// <summary>The router's matrix, which is never quantized, where it reads them too.</summary>
    public LayerVector? Router { get; init; }

    /// <summary>How many heads of what is read stand for one head of what is written: 1, but with grouped key/value heads.</summary>
    public int Repeat { get; init; } = 1;

    /// <summary>Channels of a head, where heads are repeated.</summary>
    public int HeadDim { get; init; } = 1;

    /// <summary>Columns of the Linears that read.</summary>
    public int Columns => Balance[0].Weight.Columns;

    /// <summary>Channels, each with a factor.</summary>
    public int Channels => Columns / Repeat;

    /// <summary>What writes the channels, by its name in the checkpoint without <c>.weight</c>.</summary>
    public string Smooth => Projection?.Name ?? Norm!.Name[..^".weight".Length];

    /// <summary>For example <c>model.layers.0.input_layernorm -> q_proj, k_proj, v_proj</c>.</summary>
    public override string ToString()
    {
        string parent = Smooth[..(Smooth.LastIndexOf('.') + 1)];
        IEnumerable<string> readers = (Router is null ? [] : (string[])[Router.Name[..^".weight".Length]]).Concat(Balance.Select(linear => linear.Name));
        return $"{Smooth} -> {string.Join(", ", readers.Select(name => name.StartsWith(parent, StringComparison.Ordinal) ? name[parent.Length..] : name))}";
    }

    /// <summary>The mean over the columns that share a channel.</summary>
    internal double[] OverHeads(ReadOnlySpan<double> columns)
    {
        double[] means = new double[Channels];
        for (int column = 0; column < columns.Length; column++)
        {
            means[ChannelOf(column)] += columns[column] / Repeat;
        }

        return means;
    }

    /// <summary>The channels' numbers, for each column.</summary>
    internal float[] ToColumns(ReadOnlySpan<float> channels)
    {
        float[] columns = new float[Columns];
        for (int column = 0; column < columns.Length; column++)
        {
            columns[column] = channels[ChannelOf(column)];
        }

        return columns;
    }

    private int ChannelOf(int column) => Repeat == 1 ? column : (column / (Repeat * HeadDim) * HeadDim) + (column % HeadDim);
}
