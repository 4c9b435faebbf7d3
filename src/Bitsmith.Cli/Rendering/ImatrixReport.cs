using System.Globalization;
using System.Text.Json;
using System.Text.Json.Serialization;
using Bitsmith.Checkpoints.Imatrix;
using Spectre.Console;

namespace Bitsmith.Cli.Rendering;

/// <summary>An importance matrix for people and programs: what it was made of and, if asked for, the statistics that llama-imatrix 0.7.0 shows.</summary>
internal static class ImatrixReport
{
    public static void Write(Terminal terminal, string? file, ImportanceMatrix matrix, bool statistics, bool json)
    {
        ImatrixStatistics? found = statistics ? ImatrixStatistics.Of(matrix) : null;
        TensorStatistics[] tensors = [.. (found?.Tensors.Values ?? []).OrderBy(tensor => tensor.Layer ?? int.MaxValue).ThenBy(tensor => tensor.Tensor, StringComparer.Ordinal)];
        if (json)
        {
            terminal.Out.WriteLine(JsonSerializer.Serialize(
                new ImatrixSummary(file, matrix.Datasets, matrix.ChunkCount, matrix.ChunkSize, matrix.Entries.Count, statistics ? [.. tensors.Select(TensorRow)] : null, found is null ? null : [.. found.Layers.Select(LayerRow)]),
                ImatrixJson.Default.ImatrixSummary));
            return;
        }

        if (found is not null)
        {
            Table table = Tables.Create("layer", "tensor", ">mean", ">std dev", ">skew", ">kurtosis", ">h norm %", ">Σ E[a²]", ">gain", ">L2 dist", ">PCC", ">cov");
            foreach (TensorStatistics row in tensors)
            {
                table.Row(
                    Label(row.Layer, found), row.Tensor, Number(row.Mean), Number(row.StandardDeviation), Number(row.Skewness), Number(row.Kurtosis), Number(row.Entropy, 2),
                    Number(row.SumSquares), Number(row.Change?.Gain, 2), Number(row.Change?.Distance), Number(row.Change?.Pearson), Number(row.Change?.Covariance));
            }

            table.AddTo(terminal);
            Table layers = Tables.Create("layer", ">Σ E[a²]", ">gain", ">L2 dist", ">cos sim", ">PCC", ">cov");
            foreach (LayerStatistics row in found.Layers)
            {
                layers.Row(
                    Label(row.Layer, found), Number(row.SumSquares), Number(row.Change?.Gain, 2), Number(row.Change?.Distance), Number(row.Change?.Cosine), Number(row.Change?.Pearson), Number(row.Change?.Covariance));
            }

            layers.AddTo(terminal);
        }

        terminal.Out.WriteLine(
            $"{file ?? "(not written)"}: {matrix.Entries.Count} tensors, {matrix.ChunkCount} chunks{(matrix.ChunkSize is int size ? $" of {size} tokens" : string.Empty)}, {string.Join(", ", matrix.Datasets)}");
    }

    private static string Label(int? layer, ImatrixStatistics statistics) =>
        layer is not int number ? "-" : number >= statistics.FirstNextnLayer ? $"mtp{number - statistics.FirstNextnLayer}" : number.ToString(CultureInfo.InvariantCulture);

    private static string Number(double? value, int digits = 4) => value is double number && double.IsFinite(number) ? number.ToString($"F{digits}", CultureInfo.InvariantCulture) : "-";

    private static ImatrixTensorRow TensorRow(TensorStatistics row) => new(
        row.Tensor, row.Layer, row.Elements, row.OfSquares, row.SumSquares, row.Mean, row.StandardDeviation, row.Skewness, row.Kurtosis, Finite(row.Entropy),
        Finite(row.Change?.Gain), Finite(row.Change?.Distance), Finite(row.Change?.Cosine), Finite(row.Change?.Pearson), Finite(row.Change?.Covariance));

    private static ImatrixLayerRow LayerRow(LayerStatistics row) => new(
        row.Layer, row.SumSquares, Finite(row.Change?.Gain), Finite(row.Change?.Distance), Finite(row.Change?.Cosine), Finite(row.Change?.Pearson), Finite(row.Change?.Covariance));

    private static float? Finite(float? value) => value is float number && float.IsFinite(number) ? number : null;
}

internal sealed record ImatrixSummary(
    string? File, IReadOnlyList<string> Datasets, int ChunkCount, int? ChunkSize, int TensorCount, IReadOnlyList<ImatrixTensorRow>? Tensors, IReadOnlyList<ImatrixLayerRow>? Layers);

internal sealed record ImatrixTensorRow(
    string Tensor, int? Layer, long Elements, bool OfSquares, double SumSq, float Mean, float StdDeviation, float Skewness, float Kurtosis, float? HNorm, float? Gain, float? L2Dist, float? Cossim, float? Pearson, float? Covariance);

internal sealed record ImatrixLayerRow(int Layer, float SumSq, float? Gain, float? L2Dist, float? Cossim, float? Pearson, float? Covariance);

[JsonSourceGenerationOptions(WriteIndented = true, PropertyNamingPolicy = JsonKnownNamingPolicy.SnakeCaseLower, DefaultIgnoreCondition = JsonIgnoreCondition.WhenWritingNull)]
[JsonSerializable(typeof(ImatrixSummary))]
internal sealed partial class ImatrixJson : JsonSerializerContext;
