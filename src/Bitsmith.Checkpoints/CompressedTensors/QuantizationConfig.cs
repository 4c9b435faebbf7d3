using System.Text;
using System.Text.Encodings.Web;
using System.Text.Json;
using Bitsmith.Checkpoints.Json;

namespace Bitsmith.Checkpoints.CompressedTensors;

/// <summary>One entry of <c>config_groups</c>: which modules, and how.</summary>
/// <param name="Targets">Class names, module names or <c>re:</c> patterns.</param>
/// <param name="Weights">How weights are quantized.</param>
/// <param name="InputActivations">How inputs are quantized at run time, or null.</param>
/// <param name="Format">The storage format, for example <c>float-quantized</c>.</param>
public sealed record QuantizationGroup(
    IReadOnlyList<string> Targets, QuantizationArgs Weights, QuantizationArgs? InputActivations, string Format);

/// <summary>
/// The <c>quantization_config</c> of config.json as compressed-tensors defines it. Written like the library's own: every key present, sorted.
/// </summary>
/// <param name="Groups">The groups; written as group_0, group_1, …</param>
/// <param name="Ignore">Modules that stay as they are: names or <c>re:</c> patterns.</param>
/// <param name="Status"><c>quantization_status</c>; a file without <c>compressed</c> loads as garbage.</param>
public sealed record QuantizationConfig(IReadOnlyList<QuantizationGroup> Groups, IReadOnlyList<string> Ignore, string Status = QuantizationConfig.Compressed)
{
    /// <summary>The key in config.json.</summary>
    public const string Key = "quantization_config";

    /// <summary>The status of a checkpoint whose weights are stored quantized.</summary>
    public const string Compressed = "compressed";

    /// <summary>The version of the compressed-tensors library whose output this reproduces.</summary>
    public const string LibraryVersion = "0.17.1";

    private static readonly JsonWriterOptions WriterOptions =
        new() { Indented = true, Encoder = JavaScriptEncoder.UnsafeRelaxedJsonEscaping, NewLine = "\n" };

    /// <summary>The format of the whole: the groups' common one, or <c>mixed-precision</c>.</summary>
    public string Format => Groups.Select(group => group.Format).Distinct().ToArray() switch
    {
        [string only] => only,
        [] => "dense",
        _ => "mixed-precision",
    };

    /// <summary>Tells which group a module belongs to.</summary>
    /// <exception cref="ModulePatternException">An entry is no usable regular expression.</exception>
    public ModuleMatcher<QuantizationGroup> CreateMatcher() => new(Groups, group => group.Targets, Ignore);

    /// <summary>The object's JSON, indented by two spaces.</summary>
    public string ToJson()
    {
        using MemoryStream json = new();
        using (Utf8JsonWriter writer = new(json, WriterOptions))
        {
            writer.WriteStartObject();
            writer.WriteStartObject("config_groups");
            for (int i = 0; i < Groups.Count; i++)
            {
                WriteGroup(writer, $"group_{i}", Groups[i]);
            }

            writer.WriteEndObject();
            writer.WriteString("format", Format);
            writer.WriteNull("global_compression_ratio");
            WriteStrings(writer, "ignore", Ignore);
            writer.WriteNull("kv_cache_scheme");
            writer.WriteString("quant_method", "compressed-tensors");
            writer.WriteString("quantization_status", Status);
            WriteEmptyObject(writer, "sparsity_config");
            WriteEmptyObject(writer, "transform_config");
            writer.WriteString("version", LibraryVersion);
            writer.WriteEndObject();
        }

        return Encoding.UTF8.GetString(json.ToArray());
    }

    /// <summary>Reads the <c>quantization_config</c> of a config.json.</summary>
    /// <returns>The object, or null where there is none.</returns>
    /// <exception cref="CheckpointException">It is another method's, or is not well formed.</exception>
    public static QuantizationConfig? Read(JsonText config, string path)
    {
        ArgumentNullException.ThrowIfNull(config);
        if (config.Get(Key) is not { ValueKind: JsonValueKind.Object } root)
        {
            return null;
        }

        string? method = Text(root, "quant_method");
        if (method != "compressed-tensors")
        {
            throw new CheckpointException(path, $"{Key}.quant_method is '{method}'; Bitsmith reads compressed-tensors.");
        }

        List<QuantizationGroup> groups = [];
        foreach (JsonProperty entry in root.TryGetProperty("config_groups", out JsonElement all) && all.ValueKind == JsonValueKind.Object
            ? all.EnumerateObject().ToArray() : [])
        {
            string place = $"{Key}.config_groups.{entry.Name}";
            if (entry.Value.ValueKind != JsonValueKind.Object)
            {
                throw new CheckpointException(path, $"{place} is a JSON {entry.Value.ValueKind}, expected an object.");
            }

            QuantizationArgs weights = ReadArgs(entry.Value, "weights", path, place)
                ?? throw new CheckpointException(path, $"{place} has no 'weights'.");
            groups.Add(new QuantizationGroup(
                Strings(entry.Value, "targets"),
                weights,
                ReadArgs(entry.Value, "input_activations", path, place),
                Text(entry.Value, "format") ?? Text(root, "format") ?? "dense"));
        }

        return new QuantizationConfig(groups, Strings(root, "ignore"), Text(root, "quantization_status") ?? "initialized");
    }

    private static QuantizationArgs? ReadArgs(JsonElement group, string key, string path, string place)
    {
        if (!group.TryGetProperty(key, out JsonElement args) || args.ValueKind == JsonValueKind.Null)
        {
            return null;
        }

        try
        {
            return new QuantizationArgs
            {
                NumBits = args.GetProperty("num_bits").GetInt32(),
                Type = args.GetProperty("type").GetString() ?? throw new FormatException("type is null."),
                Strategy = args.GetProperty("strategy").GetString() ?? throw new FormatException("strategy is null."),
                Symmetric = !args.TryGetProperty("symmetric", out JsonElement symmetric) || symmetric.GetBoolean(),
                GroupSize = args.TryGetProperty("group_size", out JsonElement size) && size.ValueKind == JsonValueKind.Number ? size.GetInt32() : null,
                BlockStructure = args.TryGetProperty("block_structure", out JsonElement block) && block.ValueKind == JsonValueKind.Array
                    ? [.. block.EnumerateArray().Select(side => side.GetInt32())] : null,
                Dynamic = args.TryGetProperty("dynamic", out JsonElement dynamic)
                    ? dynamic.ValueKind == JsonValueKind.String ? dynamic.GetString()! : dynamic.GetBoolean() ? "true" : "false" : "false",
                ActOrder = Text(args, "actorder"),
                ScaleDtype = Text(args, "scale_dtype"),
                ZeroPointDtype = Text(args, "zp_dtype"),
                Observer = Text(args, "observer"),
            };
        }
        catch (Exception problem) when (problem is KeyNotFoundException or InvalidOperationException or FormatException)
        {
            throw new CheckpointException(path, $"{place}.{key}: {problem.Message} It needs num_bits, type and strategy.", problem);
        }
    }

    private static string? Text(JsonElement parent, string key) =>
        parent.TryGetProperty(key, out JsonElement value) && value.ValueKind == JsonValueKind.String ? value.GetString() : null;

    private static string[] Strings(JsonElement parent, string key) =>
        parent.TryGetProperty(key, out JsonElement value) && value.ValueKind == JsonValueKind.Array
            ? [.. value.EnumerateArray().Where(item => item.ValueKind == JsonValueKind.String).Select(item => item.GetString()!)]
            : [];

    private static void WriteGroup(Utf8JsonWriter writer, string name, QuantizationGroup group)
    {
        writer.WriteStartObject(name);
        writer.WriteString("format", group.Format);
        writer.WritePropertyName("input_activations");
        if (group.InputActivations is null)
        {
            writer.WriteNullValue();
        }
        else
        {
            group.InputActivations.Write(writer);
        }

        writer.WriteNull("output_activations");
        WriteStrings(writer, "targets", group.Targets);
        writer.WritePropertyName("weights");
        group.Weights.Write(writer);
        writer.WriteEndObject();
    }

    private static void WriteStrings(Utf8JsonWriter writer, string name, IReadOnlyList<string> values)
    {
        writer.WriteStartArray(name);
        foreach (string value in values)
        {
            writer.WriteStringValue(value);
        }

        writer.WriteEndArray();
    }

    private static void WriteEmptyObject(Utf8JsonWriter writer, string name)
    {
        writer.WriteStartObject(name);
        writer.WriteEndObject();
    }
}
