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
        ArgumentNullException.ThrowIfNull(estimate);
        using MemoryStream json = new();
        using (Utf8JsonWriter writer = new(json, new JsonWriterOptions { Indented = true, NewLine = "\n" }))
        {
            writer.WriteStartObject();
            writer.WriteString("model_type", plan.Modules.Config.ModelType);
            writer.WriteStartObject("totals");
            writer.WriteNumber("tensors", plan.Rows.Count);
            writer.WriteNumber("encoded_linears", plan.EncodedModules);
            writer.WriteNumber("bytes_before", plan.BytesBefore);
            writer.WriteNumber("bytes_after", plan.BytesAfter);
            writer.WriteNumber("peak_memory_bytes", estimate.PeakMemoryBytes);
            writer.WriteNumber("disk_bytes", estimate.DiskBytes);
            writer.WriteNumber("read_bytes", estimate.ReadBytes);
            writer.WriteNumber("shards", estimate.Shards);
            writer.WriteEndObject();
            writer.WriteStartArray("warnings");
            foreach (string warning in plan.Warnings)
            {
                writer.WriteStringValue(warning);
            }

            writer.WriteEndArray();
            writer.WriteStartArray("rows");
            foreach (PlanRow row in plan.Rows)
            {
                writer.WriteStartObject();
                writer.WriteString("tensor", row.Source.Name);
                writer.WriteString("module", row.Module.Name);
                writer.WriteString("kind", row.Module.Kind.ToString());
                writer.WriteString("part", row.Module.Part.ToString());
                writer.WriteString("decision", row.IsEncoded ? "encode" : "keep");
                writer.WriteString("rule", row.Rule);
                writer.WriteString("before", row.Source.Describe());
                writer.WriteString("after", string.Join(" + ", row.Outputs.Select(output => output.Describe())));
                writer.WriteNumber("bytes_before", row.Source.Bytes);
                writer.WriteNumber("bytes_after", row.BytesAfter);
                writer.WriteEndObject();
            }

            writer.WriteEndArray();
            writer.WritePropertyName("quantization_config");
            writer.WriteRawValue(plan.Config.ToJson());
            writer.WriteEndObject();
        }

        return Encoding.UTF8.GetString(json.ToArray());
    }
}
