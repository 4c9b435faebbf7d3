using System.Globalization;
using System.Text;
using Bitsmith.Evaluation.Comparison.Rendering;
using Bitsmith.Quantization.Calibration;
using Bitsmith.Quantization.Calibration.Statistics;
using Bitsmith.Quantization.Calibration.Weights;
using Bitsmith.Quantization.Manifests;

namespace Bitsmith.Publishing.Cards;

/// <summary>The part of a card that tells how weights were fitted to samples, and what their outputs lost on them.</summary>
internal static class CalibrationSection
{
    /// <summary>Writes it; a sentence for results without calibration.</summary>
    /// <param name="text">The card.</param>
    /// <param name="manifest">How the result was made.</param>
    public static void Write(StringBuilder text, Manifest manifest)
    {
        if (manifest.Calibration is not { } calibration)
        {
            text.Append("No calibration data were used.\n\n");
            return;
        }

        WeightCalibrationOptions method = calibration.Method;
        text.Append($"Calibrated on {calibration.Samples} samples of at most {calibration.MaxLength} tokens, {Number(calibration.Tokens)} tokens in all, of {string.Join(", ", calibration.Sources.Select(source => $"`{source.Location}`"))}");
        text.Append($"{(calibration.Lengths.Count == 0 ? string.Empty : $" ({string.Join(", ", calibration.Lengths)})")}{(calibration.Seed is { } seed ? $", drawn with seed {seed}" : string.Empty)}. ");
        text.Append($"{Describe(method)} Each layer saw what the {(calibration.Propagation == Propagation.Quantized ? "quantized" : "original")} layers before it compute.\n\n");
        if (calibration.Changed.Count > 0)
        {
            text.Append($"Scales were folded into {calibration.Changed.Count} tensors that are not quantized (norms, routers); together with the weights they compute what the original does.\n\n");
        }

        Outputs(text, manifest);
        Experts(text, calibration, method);
    }

    private static string Describe(WeightCalibrationOptions method)
    {
        string scales = $"{(method.Encoder == Bitsmith.Tensors.Formats.WeightEncoder.Best ? "searched" : "min-max")} scales{(method.Clip ? ", weights limited where that costs less" : string.Empty)}";
        string rounding = string.Create(CultureInfo.InvariantCulture, $"GPTQ: each weight makes good the errors of those rounded before it, by the second moments of the inputs (damping {method.Damping}, {method.Rounding.Sweeps} sweeps).");
        return method.Method switch
        {
            CalibrationMethod.Rtn => "Weights were rounded to nearest with min-max scales; the samples gave the inputs' scales.",
            CalibrationMethod.Search => "Scales were searched, columns weighted by the mean squares of their inputs.",
            CalibrationMethod.Awq => $"AWQ: channels were scaled by what their inputs weigh, with {scales}.",
            CalibrationMethod.Gptq => rounding,
            _ => $"AWQ, then {rounding}",
        };
    }

    /// <summary>Errors of outputs by kind of Linear.</summary>
    private static void Outputs(StringBuilder text, Manifest manifest)
    {
        TensorReport[] measured = [.. manifest.Tensors.Where(tensor => tensor.Outputs?.RelativeError is not null)];
        if (measured.Length == 0)
        {
            return;
        }

        ReportTable table = ReportTable.Create(
            "outputs",
            ["Linears", ">number", ">error of the outputs, mean, %", ">largest, %", ">below min-max rounding, dB"],
            measured.GroupBy(tensor => KindOf(tensor.Name)).OrderBy(kind => kind.Key, StringComparer.Ordinal).Select(kind => (IReadOnlyList<string>)
            [
                kind.Key,
                Number(kind.Count()),
                Percent(kind.Average(tensor => tensor.Outputs!.RelativeError!.Value)),
                Percent(kind.Max(tensor => tensor.Outputs!.RelativeError!.Value)),
                kind.Average(tensor => tensor.Outputs!.GainDb)?.ToString("0.00", CultureInfo.InvariantCulture) ?? "–",
            ]));
        text.Append(table.ToMarkdown()).Append("\nThe error is the root mean square of what quantized weights change in a Linear's outputs on the samples, over that of the outputs. Activations count as exact.\n\n");
    }

    private static void Experts(StringBuilder text, ManifestCalibration calibration, WeightCalibrationOptions method)
    {
        if (calibration.Experts.Count == 0)
        {
            return;
        }

        long least = calibration.Experts.Min(layer => layer.Routed.Min()), most = calibration.Experts.Max(layer => layer.Routed.Max());
        ExpertTokens[] fallen = [.. calibration.Experts.Where(layer => layer.FallenBack.Count > 0)];
        text.Append($"The router gave an expert {Number(least)} to {Number(most)} of the tokens. ");
        text.Append(method.AllExperts ? "For the statistics every token went through every expert, so that rarely chosen ones are calibrated too; what flowed on was what the router chose" : "Experts were calibrated on these alone");
        text.Append(method.Weighting == TokenWeighting.Router ? "; tokens counted by the square of the router's weight. " : ". ");
        text.Append(fallen.Length == 0 ? string.Empty : $"{fallen.Sum(layer => layer.FallenBack.Count)} experts that no token was routed to were calibrated on all tokens. ");
        text.Append("Routers are not quantized: the model's class has no Linear there, and clients read their weights as they are. (Cards of other INT4 releases of this family count routers among the quantized layers.)\n\n");
    }

    /// <summary>A weight's name without layer and expert.</summary>
    private static string KindOf(string name)
    {
        string[] parts = name.Split('.');
        return string.Join('.', parts[..^1].SkipWhile(part => !int.TryParse(part, out _)).Skip(1).Select(part => int.TryParse(part, out _) ? "*" : part));
    }

    private static string Percent(double share) => (100 * share).ToString("0.000", CultureInfo.InvariantCulture);

    private static string Number(long value) => value.ToString("N0", CultureInfo.InvariantCulture);
}
