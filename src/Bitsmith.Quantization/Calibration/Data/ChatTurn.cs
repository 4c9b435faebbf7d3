using System.Text.Json.Serialization;

namespace Bitsmith.Quantization.Calibration.Data;

/// <summary>A message in the form that templates read.</summary>
internal sealed record ChatTurn([property: JsonPropertyName("role")] string Role, [property: JsonPropertyName("content")] string Content);

[JsonSerializable(typeof(ChatTurn[]))]
internal sealed partial class SampleJson : JsonSerializerContext;
