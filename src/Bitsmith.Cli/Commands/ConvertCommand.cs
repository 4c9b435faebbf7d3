using System.CommandLine;
using System.Text.Json;
using System.Text.Json.Serialization;
using Bitsmith.Checkpoints.Gguf;
using Bitsmith.Cli.Rendering;
using Bitsmith.Quantization.Conversion;
using Bitsmith.Quantization.Jobs;
using Bitsmith.Tensors.ElementTypes;

namespace Bitsmith.Cli.Commands;

/// <summary><c>bitsmith convert</c>.</summary>
internal static class ConvertCommand
{
    public static Command Create(Terminal terminal)
    {
        Argument<string> model = new("MODEL") { Description = "A Hugging Face model folder (original weights or FP8 blocks), or a .gguf file." };
        Option<string> output = new("--output", "-o") { Description = "What to write: a .gguf file from a folder, a folder from a .gguf file.", Required = true };
        Option<string> type = new("--type") { Description = "The type of matrices; in .gguf files norms, biases and routers are F32.", DefaultValueFactory = _ => "bf16" };
        type.AcceptOnlyFromAmong("f32", "f16", "bf16");
        Option<long?> split = CommonOptions.Size("--split-max-size", "Split into files NAME-00001-of-0000N.gguf of at most so much tensor data, for example 40GB.");
        Option<string?> mmproj = new("--mmproj")
        {
            Description = "From a folder: write the vision tower instead of the language model, the file that llama.cpp takes as --mmproj. To a folder: the file with the vision tower.", Arity = ArgumentArity.ZeroOrOne, HelpName = "FILE",
        };
        Option<bool> force = new("--force") { Description = "Replace existing files." };
        Option<bool> json = CommonOptions.Json();
        Command command = new("convert", "Convert a checkpoint to a GGUF file that llama.cpp loads, or a GGUF file to a folder that transformers loads.\n\n  bitsmith convert ./GLM-4-9B-0414 -o GLM-4-9B-0414-BF16.gguf --type bf16\n  bitsmith convert ./GLM-4.6V-Flash -o mmproj-GLM-4.6V-Flash-F16.gguf --type f16 --mmproj\n  bitsmith convert GLM-4-9B-0414-Q8_0.gguf -o ./GLM-4-9B-0414-decoded --type bf16\n  bitsmith convert GLM-4.6V-Flash-Q4_K_M.gguf -o ./GLM-4.6V-Flash-decoded --mmproj mmproj-GLM-4.6V-Flash-F16.gguf");
        command.Arguments.Add(model);
        foreach (Option option in (Option[])[output, type, mmproj, split, force, json])
        {
            command.Options.Add(option);
        }

        command.SetAction((parsed, cancellationToken) =>
        {
            string source = parsed.GetRequiredValue(model);
            if (File.Exists(source))
            {
                return Task.FromResult(ToFolder(terminal, parsed, source, cancellationToken));
            }

            if (parsed.GetValue(mmproj) is { } tower)
            {
                throw new RequestException($"--mmproj {tower}: {source} is a folder, which holds its vision tower itself. Leave the file out: {parsed.GetRequiredValue(output)} becomes the tower's.");
            }

            GgufConversionOptions options = new()
            {
                Model = source,
                Output = parsed.GetRequiredValue(output),
                Type = GgufTensorType.All.Single(known => known.Name.Equals(parsed.GetRequiredValue(type), StringComparison.OrdinalIgnoreCase)),
                Mmproj = parsed.GetResult(mmproj) is not null,
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

        int ToFolder(Terminal terminal, ParseResult parsed, string source, CancellationToken cancellationToken)
        {
            string target = parsed.GetRequiredValue(output);
            if (target.EndsWith(".gguf", StringComparison.OrdinalIgnoreCase))
            {
                throw new RequestException($"{source} is no folder: from a .gguf file, convert writes a folder. For another .gguf file take quantize, with --scheme f16 for example.");
            }

            if (parsed.GetResult(mmproj) is not null && parsed.GetValue(mmproj) is null)
            {
                throw new RequestException($"--mmproj: {source} is no folder. Name the file with its vision tower, or leave the option out.");
            }

            SafetensorsConversionOptions options = new() { Model = source, Mmproj = parsed.GetValue(mmproj), Output = target, Type = TypeOf(parsed.GetRequiredValue(type)), Force = parsed.GetValue(force) };
            options = parsed.GetValue(split) is long most ? options with { MaxShardBytes = most } : options;
            SafetensorsConversionResult result = ProgressDisplay.Run(terminal, "convert", progress => SafetensorsConversion.Run(options, progress, cancellationToken));
            foreach (string note in result.Notes)
            {
                terminal.Error.WriteLine($"note: {note}");
            }

            terminal.Out.WriteLine(parsed.GetValue(json)
                ? JsonSerializer.Serialize(result, ConversionJson.Default.SafetensorsConversionResult)
                : $"{result.Folder}: {result.ModelType}, {result.Tensors} tensors, {result.Type}, {Units.Bytes(result.Bytes)}");
            return ExitCode.Done;
        }
    }

    private static ElementType TypeOf(string name) => name switch { "f32" => ElementType.F32, "f16" => ElementType.F16, _ => ElementType.BF16 };
}

[JsonSourceGenerationOptions(WriteIndented = true, PropertyNamingPolicy = JsonKnownNamingPolicy.SnakeCaseLower)]
[JsonSerializable(typeof(GgufConversionResult))]
[JsonSerializable(typeof(SafetensorsConversionResult))]
internal sealed partial class ConversionJson : JsonSerializerContext;
