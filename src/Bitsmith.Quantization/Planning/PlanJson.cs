using System.Text;
using System.Text.Json;

namespace Bitsmith.Quantization.Planning;

/// <summary>A plan as JSON, under stable names.</summary>
public static class PlanJson
{
    /// <summary>Writes the plan.</summary>
    /// <param name="plan">The plan.</param>
    /// <param name="estimate">What the job will need.</param>
    public static string Write(QuantizationPlan plan, ResourceEstimate estimate)
    {
        ArgumentNullException.ThrowIfNull(plan);
        return Write(
            writer => writer.WriteString("model_type", plan.Modules.Config.ModelType),
            writer =>
            {
                writer.WriteNumber("tensors", plan.Rows.Count);
                writer.WriteNumber("encoded_linears", plan.EncodedModules);
                writer.WriteNumber("bytes_before", plan.BytesBefore);
                writer.WriteNumber("bytes_after", plan.BytesAfter);
            },
            estimate,
            plan.Warnings,
            plan.Rows.Select(row => new PlanLine(
                row.Source.Name, row.IsEncoded, row.Rule, row.Source.Describe(), string.Join(" + ", row.Outputs.Select(output => output.Describe())), row.Source.Bytes, row.BytesAfter,
                [("module", row.Module.Name), ("kind", row.Module.Kind.ToString()), ("part", row.Module.Part.ToString())])),
            writer =>
            {
                writer.WritePropertyName("quantization_config");
                writer.WriteRawValue(plan.Config.ToJson());
            });
    }

    /// <summary>Writes the plan of a GGUF result.</summary>
    /// <param name="plan">The plan.</param>
    /// <param name="estimate">What the job will need.</param>
    public static string Write(GgufPlan plan, ResourceEstimate estimate)
    {
        ArgumentNullException.ThrowIfNull(plan);
        return Write(
            writer =>
            {
                writer.WriteString("architecture", plan.Architecture);
                writer.WriteString("scheme", plan.Mix.Name);
            },
            writer =>
            {
                writer.WriteNumber("tensors", plan.Rows.Count);
                writer.WriteNumber("encoded_tensors", plan.EncodedTensors);
                writer.WriteNumber("bytes_before", plan.BytesBefore);
                writer.WriteNumber("bytes_after", plan.BytesAfter);
                writer.WriteNumber("bits_per_weight", plan.BitsPerWeight);
            },
            estimate,
            plan.Warnings,
            plan.Rows.Select(row => new PlanLine(
                row.Output.Name, row.IsEncoded, row.Rule, row.Source.Describe(), row.Output.Describe(), row.Source.Bytes, row.Output.Bytes,
                row.MatricesWithoutData > 0
                    ? [("importance", JsonNamingPolicy.SnakeCaseLower.ConvertName(row.Importance.ToString())), ("matrices_without_data", row.MatricesWithoutData)]
                    : [("importance", JsonNamingPolicy.SnakeCaseLower.ConvertName(row.Importance.ToString()))])),
            _ => { });
    }

    private static string Write(
        Action<Utf8JsonWriter> beginning, Action<Utf8JsonWriter> totals, ResourceEstimate estimate, IReadOnlyList<string> warnings, IEnumerable<PlanLine> rows, Action<Utf8JsonWriter> end)
    {
        ArgumentNullException.ThrowIfNull(estimate);
        using MemoryStream json = new();
        using (Utf8JsonWriter writer = new(json, new JsonWriterOptions { Indented = true, NewLine = "\n" }))
        {
            writer.WriteStartObject();
            beginning(writer);
            writer.WriteStartObject("totals");
            totals(writer);
            writer.WriteNumber("peak_memory_bytes", estimate.PeakMemoryBytes);
            writer.WriteNumber("disk_bytes", estimate.DiskBytes);
            writer.WriteNumber("read_bytes", estimate.ReadBytes);
            writer.WriteNumber("shards", estimate.Shards);
            if (estimate.Seconds is { } seconds)
            {
                writer.WriteNumber("seconds", seconds);
            }

            writer.WriteEndObject();
            writer.WriteStartArray("warnings");
            foreach (string warning in warnings)
            {
                writer.WriteStringValue(warning);
            }

            writer.WriteEndArray();
            writer.WriteStartArray("rows");
            foreach (PlanLine row in rows)
            {
                row.Write(writer);
            }

            writer.WriteEndArray();
            end(writer);
            writer.WriteEndObject();
        }

        return Encoding.UTF8.GetString(json.ToArray());
    }

    /// <summary>One row, whatever the container.</summary>
    private sealed record PlanLine(
        string Tensor, bool IsEncoded, string Rule, string Before, string After, long BytesBefore, long BytesAfter, IReadOnlyList<(string Name, object Value)> Further)
    {
        public void Write(Utf8JsonWriter writer)
        {
            writer.WriteStartObject();
            writer.WriteString("tensor", Tensor);
            foreach ((string name, object value) in Further)
            {
                writer.WritePropertyName(name);
                if (value is int number)
                {
                    writer.WriteNumberValue(number);
                }
                else
                {
                    writer.WriteStringValue((string)value);
                }
            }

            writer.WriteString("decision", IsEncoded ? "encode" : "keep");
            writer.WriteString("rule", Rule);
            writer.WriteString("before", Before);
            writer.WriteString("after", After);
            writer.WriteNumber("bytes_before", BytesBefore);
            writer.WriteNumber("bytes_after", BytesAfter);
            writer.WriteEndObject();
        }
    }
}
