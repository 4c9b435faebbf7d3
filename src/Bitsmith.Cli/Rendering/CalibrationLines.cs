using Bitsmith.Quantization.Calibration.Statistics;
using Bitsmith.Quantization.Calibration.Weights;
using Bitsmith.Quantization.Manifests;
using Spectre.Console;

namespace Bitsmith.Cli.Rendering;

/// <summary>What calibration did and gained, for people.</summary>
internal static class CalibrationLines
{
    private const int Worst = 5;

    public static void Write(Terminal terminal, Manifest manifest)
    {
        if (manifest.Calibration is not { } calibration)
        {
            return;
        }

        Table table = Tables.Create("outputs that lost most on the samples", ">relative error", ">gain dB");
        foreach (TensorReport tensor in manifest.Tensors.Where(tensor => tensor.Outputs?.RelativeError is not null).OrderByDescending(tensor => tensor.Outputs!.RelativeError).Take(Worst))
        {
            table.Row(tensor.Name, $"{tensor.Outputs!.RelativeError:0.00000}", tensor.Outputs.GainDb?.ToString("0.000") ?? "-");
        }

        table.AddTo(terminal);
        terminal.Out.WriteLine($"calibrated by {CalibrationMethods.NameOf(calibration.Method.Method)} on {calibration.Samples} samples, {calibration.Tokens} tokens of {string.Join(", ", calibration.Sources.Select(source => source.Location))}");
        if (calibration.OutputGainDb is { } gain)
        {
            terminal.Out.WriteLine($"outputs are {gain:0.00} dB closer to the original's than with the library's min-max rounding, in the mean over all Linears");
        }

        foreach (ExpertTokens layer in calibration.Experts)
        {
            terminal.Out.WriteLine(layer.ToString());
        }
    }
}
