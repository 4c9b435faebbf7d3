using System.CommandLine;
using System.Text.Json;
using System.Text.Json.Serialization;
using Bitsmith.Checkpoints.Gguf;
using Bitsmith.Cli.Rendering;
using Bitsmith.Quantization.Conversion;

namespace Bitsmith.Cli.Commands;

/// <summary><c>bitsmith convert</c>.</summary>
internal static class ConvertCommand
{
    public static Command Create(Terminal terminal)
    {
        Argument<string> model = new("MODEL") { Description = "A Hugging Face model folder: original weights or FP8 blocks." };
        Option<string> output = new("--output", "-o") { Description = "The .gguf file to write.", Required = true };
        Option<string> type = new("--type") { Description = "The type of matrices; norms, biases and routers are F32.", DefaultValueFactory = _ => "bf16" };
        type.AcceptOnlyFromAmong("f32", "f16", "bf16");
        Option<long?> split = CommonOptions.Size("--split-max-size", "Split into files NAME-00001-of-0000N.gguf of at most so much tensor data, for example 40GB.");
        Option<bool> mmproj = new("--mmproj") { Description = "Write the vision tower instead of the language model: the file that llama.cpp takes as --mmproj." };
        Option<bool> force = new("--force") { Description = "Replace existing files." };
        Option<bool> json = CommonOptions.Json();
        Command command = new("convert", "Convert a checkpoint to a GGUF file that llama.cpp loads.\n\n  bitsmith convert ./GLM-4-9B-0414 -o GLM-4-9B-0414-BF16.gguf --type bf16\n  bitsmith convert ./GLM-4.6V-Flash -o mmproj-GLM-4.6V-Flash-F16.gguf --type f16 --mmproj");
        command.Arguments.Add(model);
        foreach (Option option in (Option[])[output, type, mmproj, split, force, json])
        {
            command.Options.Add(option);
        }

        command.SetAction((parsed, cancellationToken) =>
        {
            GgufConversionOptions options = new()
            {
                Model = parsed.GetRequiredValue(model),
                Output = parsed.GetRequiredValue(output),
                Type = GgufTensorType.All.Single(known => known.Name.Equals(parsed.GetRequiredValue(type), StringComparison.OrdinalIgnoreCase)),
                Mmproj = parsed.GetValue(mmproj),
                MaxFileBytes = parsed.GetValue(split),
                Force = parsed.GetValue(force),
            };
            using GgufConversion conversion = GgufConversion.Prepare(options);
            foreach (string note in conversion.Notes)
            {
                terminal.Error.WriteLine($"note: {note}");
            }

            GgufConversionResult result = ProgressDisplay.Run(terminal, "convert", progress => conversion.Run(progress, cancellationToken));
            terminal.Out.WriteLine(parsed.GetValue(json)
                ? JsonSerializer.Serialize(result, ConversionJson.Default.GgufConversionResult)
                : $"{result.Files[0]}{(result.Files.Count > 1 ? $" and {result.Files.Count - 1} more" : string.Empty)}: {result.Architecture}, {result.Tensors} tensors, {result.Type}, {Units.Bytes(result.Bytes)}");
            return Task.FromResult(ExitCode.Done);
        });
        return command;
    }
}

[JsonSourceGenerationOptions(WriteIndented = true, PropertyNamingPolicy = JsonKnownNamingPolicy.SnakeCaseLower)]
[JsonSerializable(typeof(GgufConversionResult))]
internal sealed partial class ConversionJson : JsonSerializerContext;
