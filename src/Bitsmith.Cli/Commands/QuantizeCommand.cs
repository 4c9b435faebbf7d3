using System.CommandLine;
using System.Diagnostics;
using System.Text;
using Bitsmith.Cli.Rendering;
using Bitsmith.Quantization.Allocation;
using Bitsmith.Quantization.Calibration.Data;
using Bitsmith.Quantization.Jobs;
using Bitsmith.Quantization.Manifests;
using Bitsmith.Quantization.Planning;

namespace Bitsmith.Cli.Commands;

/// <summary><c>bitsmith quantize</c>.</summary>
internal static class QuantizeCommand
{
    public const string Name = "quantize";

    public static Command Create(Terminal terminal)
    {
        SharedOptions shared = new();
        GgufOptions gguf = new();
        Option<string> output = new("--output", "-o") { Description = "What to write: a folder, or a file NAME.gguf.", Required = true };
        Option<bool> resume = new("--resume") { Description = "Go on with an interrupted job." };
        Option<bool> force = new("--force") { Description = "Replace an existing output, or start an interrupted job over." };
        Command command = new(Name, "Quantize a checkpoint into a folder that vLLM and transformers load, or into a GGUF file that llama.cpp loads.\n\n  bitsmith quantize ./GLM-4.6V-Flash -o ./GLM-4.6V-Flash-FP8 --scheme fp8-block\n  bitsmith quantize ./GLM-4.5-Air -o ./out --recipe recipes/glm-4.5-air-fp8-32.yaml\n  bitsmith quantize ./GLM-4-9B-0414 -o ./GLM-4-9B-0414-NVFP4 --scheme nvfp4 --calibration chats.jsonl\n  bitsmith quantize ./GLM-4.7 -o ./GLM-4.7-W4A16 --scheme w4a16 --group-size 32,64,128 --calibration chats.jsonl\n  bitsmith quantize ./GLM-4-9B-0414 -o GLM-4-9B-0414-Q4_K_M.gguf --scheme q4_k_m --imatrix imatrix.gguf\n  bitsmith quantize ./GLM-4-9B-0414 -o GLM-4-9B-0414-4.5bpw.gguf --target-bpw 4.5 --imatrix imatrix.gguf");
        shared.AddTo(command);
        gguf.AddTo(command, shared);
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
            string target = parsed.GetRequiredValue(output);
            if (gguf.MixOf(parsed, shared, target) is { } mix)
            {
                GgufJobOptions wanted = gguf.Read(parsed, shared, mix, target) with { Resume = parsed.GetValue(resume), Force = parsed.GetValue(force) };
                if (gguf.HasTarget(parsed))
                {
                    GgufQuantizationJob.CheckPlace(wanted);
                    AllocationPlan plan = gguf.Allocate(parsed, shared, wanted, terminal, cancellationToken);
                    terminal.Error.WriteLine($"allocated: {plan.BitsPerWeight:0.0000} bits per weight of {plan.Target}");
                    plan.Save(AllocationPlan.PathFor(target));
                    if (parsed.GetValue(gguf.TypeFile) is { } types)
                    {
                        plan.SaveTypes(types, wanted.MixOptions);
                    }

                    wanted = GgufAllocator.Apply(plan, wanted);
                }

                GgufManifest written = Run(terminal, wanted, cancellationToken);
                if (parsed.GetValue(shared.Json))
                {
                    terminal.Out.Write(Encoding.UTF8.GetString(ManifestFile.Write(written)));
                }
                else
                {
                    GgufResultTable.Write(terminal, written, target);
                }

                return Task.FromResult(ExitCode.Done);
            }

            JobOptions options = shared.Read(parsed, target) with
            {
                Resume = parsed.GetValue(resume),
                Force = parsed.GetValue(force),
            };
            if (shared.Several(parsed) is { } sizes)
            {
                RunAll(terminal, options, sizes, parsed.GetValue(shared.Json), cancellationToken);
                return Task.FromResult(ExitCode.Done);
            }

            Manifest manifest = Run(terminal, options, cancellationToken);
            if (parsed.GetValue(shared.Json))
            {
                terminal.Out.Write(Encoding.UTF8.GetString(ManifestFile.Write(manifest)));
            }
            else
            {
                ResultTable.Write(terminal, manifest, options.Output);
            }

            return Task.FromResult(ExitCode.Done);
        });
        return command;
    }

    /// <summary>Prepares and runs a job that writes GGUF with its progress on standard error.</summary>
    public static GgufManifest Run(Terminal terminal, GgufJobOptions options, CancellationToken cancellationToken)
    {
        using GgufQuantizationJob job = GgufQuantizationJob.Prepare(options);
        job.MeasureTime(TimeProvider.System);
        foreach (string warning in job.Plan.Warnings)
        {
            terminal.Error.WriteLine($"warning: {warning}");
        }

        terminal.Error.WriteLine($"{job.Plan.EncodedTensors} of {job.Plan.Rows.Count} tensors: {Units.Bytes(job.Plan.BytesBefore)} -> {Units.Bytes(job.Plan.BytesAfter)}, {job.Plan.BitsPerWeight:0.00} bits per weight; {Units.Needs(job.Estimate)}");
        Stopwatch clock = Stopwatch.StartNew();
        GgufManifest manifest = ProgressDisplay.Run(terminal, "quantize", progress => job.Run(progress, cancellationToken));
        terminal.Error.WriteLine($"done in {clock.Elapsed.TotalSeconds:0.0} s");
        return manifest;
    }

    /// <summary>Prepares and runs a job with its progress on standard error.</summary>
    public static Manifest Run(Terminal terminal, JobOptions options, CancellationToken cancellationToken)
    {
        using QuantizationJob job = QuantizationJob.Prepare(options, cancellationToken);
        Announce(terminal, job, job.Estimate);
        Announce(terminal, job.Samples);
        Stopwatch clock = Stopwatch.StartNew();
        Manifest manifest = ProgressDisplay.Run(terminal, "quantize", (progress, calibration) => job.Run(progress, calibration, cancellationToken));
        double seconds = clock.Elapsed.TotalSeconds;
        terminal.Error.WriteLine($"done in {seconds:0.0} s, {job.Estimate.ReadBytes / seconds / 1e9:0.00} GB/s read");
        return manifest;
    }

    /// <summary>Makes a folder for each group size.</summary>
    private static void RunAll(Terminal terminal, JobOptions options, IReadOnlyList<int> groupSizes, bool json, CancellationToken cancellationToken)
    {
        using QuantizationJobSet set = QuantizationJobSet.Prepare(options, groupSizes, cancellationToken);
        foreach ((string name, QuantizationJob job) in set.Members)
        {
            terminal.Error.WriteLine($"{name}:");
            Announce(terminal, job, set.Estimate);
        }

        Announce(terminal, set.Samples);
        Stopwatch clock = Stopwatch.StartNew();
        IReadOnlyList<Manifest> manifests = ProgressDisplay.Run(terminal, "quantize", (progress, calibration) => set.Run(progress, calibration, cancellationToken));
        terminal.Error.WriteLine($"done in {clock.Elapsed.TotalSeconds:0.0} s");
        if (json)
        {
            terminal.Out.WriteLine($"[{string.Join(",\n", manifests.Select(manifest => Encoding.UTF8.GetString(ManifestFile.Write(manifest))))}]");
            return;
        }

        foreach ((Manifest manifest, (string name, _)) in manifests.Zip(set.Members))
        {
            ResultTable.Write(terminal, manifest, Path.Combine(options.Output, name));
        }
    }

    private static void Announce(Terminal terminal, QuantizationJob job, ResourceEstimate estimate)
    {
        foreach (string warning in job.Plan.Warnings)
        {
            terminal.Error.WriteLine($"warning: {warning}");
        }

        if (job.LeftOut.Count > 0)
        {
            terminal.Error.WriteLine($"left out (other weights): {string.Join(", ", job.LeftOut)}");
        }

        terminal.Error.WriteLine(
            $"{job.Plan.EncodedModules} Linears of {job.Plan.Rows.Count} tensors: {Units.Bytes(job.Plan.BytesBefore)} -> {Units.Bytes(job.Plan.BytesAfter)}; {Units.Needs(estimate)}");
    }

    private static void Announce(Terminal terminal, CalibrationData? samples)
    {
        if (samples is null)
        {
            return;
        }

        terminal.Error.WriteLine($"calibration: {samples.Settings}; {samples.Tokens} tokens");
        foreach (string note in samples.Notes)
        {
            terminal.Error.WriteLine($"  {note}");
        }
    }
}
