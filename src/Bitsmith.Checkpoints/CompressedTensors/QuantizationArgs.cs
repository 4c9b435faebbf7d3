using System.Text.Json;

namespace Bitsmith.Checkpoints.CompressedTensors;

/// <summary>
/// How weights or activations of a group are quantized: one <c>QuantizationArgs</c> object of compressed-tensors. Property names are the file's, in PascalCase.
/// </summary>
public sealed record QuantizationArgs
{
    /// <summary><c>num_bits</c>.</summary>
    public required int NumBits { get; init; }

    /// <summary><c>type</c>: <c>int</c> or <c>float</c>.</summary>
    public required string Type { get; init; }

    /// <summary><c>strategy</c>: tensor, channel, group, block, token, tensor_group.</summary>
    public required string Strategy { get; init; }

    /// <summary><c>symmetric</c>.</summary>
    public bool Symmetric { get; init; } = true;

    /// <summary><c>group_size</c>, in input features.</summary>
    public int? GroupSize { get; init; }

    /// <summary><c>block_structure</c>: rows, columns.</summary>
    public IReadOnlyList<int>? BlockStructure { get; init; }

    /// <summary><c>dynamic</c>: <c>false</c>, <c>true</c> or <c>local</c>.</summary>
    public string Dynamic { get; init; } = "false";

    /// <summary><c>actorder</c>, or null.</summary>
    public string? ActOrder { get; init; }

    /// <summary><c>scale_dtype</c>, or null for the weight's own.</summary>
    public string? ScaleDtype { get; init; }

    /// <summary><c>zp_dtype</c>; null when symmetric.</summary>
    public string? ZeroPointDtype { get; init; }

    /// <summary><c>observer</c>: how ranges are found, or null.</summary>
    public string? Observer { get; init; }

    /// <inheritdoc/>
    public bool Equals(QuantizationArgs? other) =>
        other is not null && NumBits == other.NumBits && Type == other.Type && Strategy == other.Strategy && Symmetric == other.Symmetric
        && GroupSize == other.GroupSize && Dynamic == other.Dynamic && ActOrder == other.ActOrder && ScaleDtype == other.ScaleDtype
        && ZeroPointDtype == other.ZeroPointDtype && Observer == other.Observer
        && (BlockStructure ?? []).SequenceEqual(other.BlockStructure ?? []);

    /// <inheritdoc/>
    public override int GetHashCode() => HashCode.Combine(NumBits, Type, Strategy, Symmetric, GroupSize, Dynamic, ScaleDtype, Observer);

    /// <summary>Writes the object as the library does: every key, sorted.</summary>
    internal void Write(Utf8JsonWriter writer)
    {
        writer.WriteStartObject();
        writer.WriteString("actorder", ActOrder);
        writer.WritePropertyName("block_structure");
        if (BlockStructure is null)
        {
            writer.WriteNullValue();
        }
        else
        {
            writer.WriteStartArray();
            foreach (int size in BlockStructure)
            {
                writer.WriteNumberValue(size);
            }

            writer.WriteEndArray();
        }

        writer.WritePropertyName("dynamic");
        if (Dynamic is "true" or "false")
        {
            writer.WriteBooleanValue(Dynamic == "true");
        }
        else
        {
            writer.WriteStringValue(Dynamic);
        }

        writer.WritePropertyName("group_size");
        if (GroupSize is null)
        {
            writer.WriteNullValue();
        }
        else
        {
            writer.WriteNumberValue(GroupSize.Value);
        }

        writer.WriteNumber("num_bits", NumBits);
        writer.WriteString("observer", Observer);
        writer.WriteStartObject("observer_kwargs");
        writer.WriteEndObject();
        writer.WriteString("scale_dtype", ScaleDtype);
        writer.WriteString("strategy", Strategy);
        writer.WriteBoolean("symmetric", Symmetric);
        writer.WriteString("type", Type);
        writer.WriteString("zp_dtype", ZeroPointDtype);
        writer.WriteEndObject();
    }
}
