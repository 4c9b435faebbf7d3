using System.CommandLine;
using System.Diagnostics;
using Bitsmith.Cli.Rendering;
using Bitsmith.Quantization.Jobs;
using Bitsmith.Quantization.Manifests;

namespace Bitsmith.Cli.Commands;

/// <summary><c>bitsmith quantize</c>.</summary>
internal static class QuantizeCommand
{
    public const string Name = "quantize";

    public static Command Create(Terminal terminal)
    {
        SharedOptions shared = new();
        Option<string> output = new("--output", "-o") { Description = "The folder to write.", Required = true };
        Option<bool> resume = new("--resume") { Description = "Go on with an interrupted job." };
        Option<bool> force = new("--force") { Description = "Replace an existing output, or start an interrupted job over." };
        Command command = new(Name, "Quantize a checkpoint into a folder that vLLM and transformers load.\n\n  bitsmith quantize ./GLM-4.6V-Flash -o ./GLM-4.6V-Flash-FP8 --scheme fp8-block\n  bitsmith quantize ./GLM-4.5-Air -o ./out --recipe recipes/glm-4.5-air-fp8-32.yaml");
        shared.AddTo(command);
        foreach (Option option in (Option[])[output, resume, force])
        {
            command.Options.Add(option);
        }

        command.Validators.Add(result =>
        {
            if (result.GetValue(resume) && result.GetValue(force))
            {
                result.AddError("--resume and --force exclude each other.");
            }
        });
        command.SetAction((parsed, cancellationToken) =>
        {
            JobOptions options = shared.Read(parsed, parsed.GetRequiredValue(output)) with
            {
                Resume = parsed.GetValue(resume),
                Force = parsed.GetValue(force),
            };
            Manifest manifest = Run(terminal, options, cancellationToken);
            if (parsed.GetValue(shared.Json))
            {
                terminal.Out.Write(System.Text.Encoding.UTF8.GetString(ManifestFile.Write(manifest)));
            }
            else
            {
                ResultTable.Write(terminal, manifest, options.Output);
            }

            return Task.FromResult(ExitCode.Done);
        });
        return command;
    }

    /// <summary>Prepares and runs a job with its progress on standard error.</summary>
    public static Manifest Run(Terminal terminal, JobOptions options, CancellationToken cancellationToken)
    {
        using QuantizationJob job = QuantizationJob.Prepare(options);
        foreach (string warning in job.Plan.Warnings)
        {
            terminal.Error.WriteLine($"warning: {warning}");
        }

        if (job.LeftOut.Count > 0)
        {
            terminal.Error.WriteLine($"left out (other weights): {string.Join(", ", job.LeftOut)}");
        }

        terminal.Error.WriteLine(
            $"{job.Plan.EncodedModules} Linears of {job.Plan.Rows.Count} tensors: {Units.Bytes(job.Plan.BytesBefore)} -> {Units.Bytes(job.Plan.BytesAfter)}; at most {job.Estimate.PeakMemoryBytes >> 20} MiB of memory, {Units.Bytes(job.Estimate.DiskBytes)} of disk");
        Stopwatch clock = Stopwatch.StartNew();
        Manifest manifest = ProgressDisplay.Run(terminal, "quantize", progress => job.Run(progress, cancellationToken));
        double seconds = clock.Elapsed.TotalSeconds;
        terminal.Error.WriteLine($"done in {seconds:0.0} s, {job.Estimate.ReadBytes / seconds / 1e9:0.00} GB/s read");
        return manifest;
    }
}
