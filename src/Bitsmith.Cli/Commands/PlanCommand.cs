using System.CommandLine;
using Bitsmith.Cli.Rendering;
using Bitsmith.Quantization.Allocation;
using Bitsmith.Quantization.Jobs;
using Bitsmith.Quantization.Planning;

namespace Bitsmith.Cli.Commands;

/// <summary><c>bitsmith plan</c>.</summary>
internal static class PlanCommand
{
    public static Command Create(Terminal terminal)
    {
        SharedOptions shared = new();
        GgufOptions gguf = new();
        Option<string?> output = new("--output", "-o") { Description = "The name that the result would get; nothing is written." };
        Option<bool> all = new("--all") { Description = "One row for each tensor instead of one for each kind." };
        Command command = new("plan", "Show what quantize would do: every tensor with decision, rule and bytes; nothing is written.\n\n  bitsmith plan ./GLM-4.6V-Flash --scheme fp8-block\n  bitsmith plan ./GLM-4-9B-0414 --scheme q4_k_m --tensor-type ffn_down=q6_k");
        shared.AddTo(command);
        gguf.AddTo(command, shared);
        command.Options.Add(output);
        command.Options.Add(all);
        command.SetAction((parsed, cancellationToken) =>
        {
            string? target = parsed.GetValue(output);
            if (gguf.MixOf(parsed, shared, target) is { } mix)
            {
                GgufJobOptions wanted = gguf.Read(parsed, shared, mix, target ?? $"{mix.Name}.gguf");
                if (gguf.HasTarget(parsed))
                {
                    AllocationPlan allocation = gguf.Allocate(parsed, shared, wanted, terminal, cancellationToken);
                    if (parsed.GetValue(shared.Json))
                    {
                        terminal.Out.WriteLine(allocation.ToJson());
                        return Task.FromResult(ExitCode.Done);
                    }

                    AllocationTable.Write(terminal, allocation);
                    wanted = GgufAllocator.Apply(allocation, wanted);
                }

                using GgufQuantizationJob planned = GgufQuantizationJob.Prepare(wanted);
                planned.MeasureTime(TimeProvider.System);
                if (parsed.GetValue(shared.Json))
                {
                    terminal.Out.WriteLine(PlanJson.Write(planned.Plan, planned.Estimate));
                }
                else
                {
                    PlanTable.Write(terminal, planned, parsed.GetValue(all));
                }

                return Task.FromResult(ExitCode.Done);
            }

            if (shared.Several(parsed) is { } sizes)
            {
                using QuantizationJobSet set = QuantizationJobSet.Prepare(shared.Read(parsed, target ?? "out"), sizes, cancellationToken);
                if (parsed.GetValue(shared.Json))
                {
                    terminal.Out.WriteLine($"[{string.Join(",\n", set.Members.Select(member => PlanJson.Write(member.Job.Plan, set.Estimate)))}]");
                    return Task.FromResult(ExitCode.Done);
                }

                foreach ((string name, QuantizationJob member) in set.Members)
                {
                    terminal.Out.WriteLine($"{name}:");
                    PlanTable.Write(terminal, member, parsed.GetValue(all));
                }

                terminal.Out.WriteLine($"all of them: {Units.Needs(set.Estimate)}");
                return Task.FromResult(ExitCode.Done);
            }

            using QuantizationJob job = QuantizationJob.Prepare(shared.Read(parsed, string.Empty), cancellationToken);
            if (parsed.GetValue(shared.Json))
            {
                terminal.Out.WriteLine(PlanJson.Write(job.Plan, job.Estimate));
            }
            else
            {
                PlanTable.Write(terminal, job, parsed.GetValue(all));
            }

            return Task.FromResult(ExitCode.Done);
        });
        return command;
    }
}
