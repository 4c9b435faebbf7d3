using System.Text.Json;
using System.Text.Json.Serialization;

namespace Bitsmith.Quantization.Verification;

/// <summary>A verification report as JSON, under stable names.</summary>
[JsonSourceGenerationOptions(
    WriteIndented = true,
    PropertyNamingPolicy = JsonKnownNamingPolicy.SnakeCaseLower,
    DefaultIgnoreCondition = JsonIgnoreCondition.WhenWritingNull,
    UseStringEnumConverter = true)]
[JsonSerializable(typeof(VerificationReport))]
public sealed partial class VerificationJson : JsonSerializerContext
{
    /// <summary>Writes a report.</summary>
    public static string Write(VerificationReport report) => JsonSerializer.Serialize(report, Default.VerificationReport);
}
