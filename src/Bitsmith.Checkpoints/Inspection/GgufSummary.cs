using System.Text.Json.Nodes;
using Bitsmith.Checkpoints.Gguf;

namespace Bitsmith.Checkpoints.Inspection;

/// <summary>What is in a GGUF model, as a <see cref="CheckpointSummary"/>.</summary>
internal static class GgufSummary
{
    // The token table of a model has 151 552 entries.
    private const int ItemsShown = 8;

    public static CheckpointSummary Create(string path)
    {
        using GgufModel model = GgufModel.Open(path);
        GgufTensor[] tensors = [.. model.Tensors];
        long parameters = tensors.Sum(tensor => tensor.Elements), bytes = tensors.Sum(tensor => tensor.Bytes);
        return new CheckpointSummary(
            path,
            model.Metadata.Find("general.architecture")?.Content as string ?? model.Metadata.Find("general.type")?.Content as string ?? "gguf",
            [],
            parameters,
            0,
            bytes,
            parameters == 0 ? 0 : 8.0 * bytes / parameters,
            [.. tensors.GroupBy(tensor => tensor.Type).OrderByDescending(group => group.Sum(tensor => tensor.Bytes))
                .Select(group => new TypeSummary(group.Key.Name, group.Count(), group.Sum(tensor => tensor.Elements), group.Sum(tensor => tensor.Bytes)))],
            [.. model.Files.Select(file => new FileSummary(
                Path.GetFileName(file.Path), file.Length, file.Header.Tensors.Count,
                new Dictionary<string, string> { ["version"] = $"{file.Header.Version}", ["alignment"] = $"{file.Header.Alignment}" }))],
            [],
            tensors.Any(tensor => tensor.Type.BlockValues > 1) ? [$"file type {FileType(model.Metadata)}"] : [],
            [.. model.Files.SelectMany(file => file.Header.Tensors.Select(tensor =>
                new TensorSummary(tensor.Name, tensor.Type.Name, tensor.Shape, tensor.Bytes, Path.GetFileName(file.Path))))],
            [.. model.Metadata.Select(pair => new MetadataSummary(pair.Key, pair.Value.Describe(), Json(pair.Value.Content)))]);
    }

    private static string FileType(GgufMetadata metadata) =>
        metadata.Find(GgufFileType.Key) is null ? "not stated" : GgufFileType.NameOf(metadata.Integer(GgufFileType.Key)) ?? $"{metadata.Integer(GgufFileType.Key)}";

    private static JsonNode Json(object content) => content switch
    {
        GgufValue inner => Json(inner.Content),
        Array items => new JsonArray([.. items.Cast<object>().Take(ItemsShown).Select(Json)]),
        string text => JsonValue.Create(text),
        bool flag => JsonValue.Create(flag),
        float number when float.IsFinite(number) => JsonValue.Create(number),
        double number when double.IsFinite(number) => JsonValue.Create(number),
        float or double => JsonValue.Create(content.ToString()!), // JSON has no NaN
        ulong number => JsonValue.Create(number),
        _ => JsonValue.Create(Convert.ToInt64(content, System.Globalization.CultureInfo.InvariantCulture)),
    };
}
