using System.CommandLine;
using Bitsmith.Cli.Rendering;
using Bitsmith.Quantization.Jobs;
using Bitsmith.Quantization.Manifests;
using Bitsmith.Quantization.Recipes;
using Bitsmith.Quantization.Verification;

namespace Bitsmith.Cli.Commands;

/// <summary><c>bitsmith demo</c>: the whole tour on the sample model.</summary>
internal static class DemoCommand
{
    private const string Sample = "samples/glm-4.6v-mini";

    public static Command Create(Terminal terminal)
    {
        Option<string?> keep = new("--keep") { Description = "Leave the result in this folder instead of a temporary one." };
        Command command = new("demo", "The tour on the sample model: plan, quantize to FP8, verify.");
        command.Options.Add(keep);
        command.SetAction((parsed, cancellationToken) => Task.FromResult(Run(terminal, parsed.GetValue(keep), cancellationToken)));
        return command;
    }

    private static int Run(Terminal terminal, string? keep, CancellationToken cancellationToken)
    {
        string model = FindSample();
        string temporary = Directory.CreateTempSubdirectory("bitsmith-demo-").FullName;
        string output = keep ?? Path.Combine(temporary, "glm-4.6v-mini-FP8");
        try
        {
            JobOptions options = new() { Model = model, Output = output, Recipe = Presets.Get("fp8-block") };
            Say($"1. bitsmith plan {Sample} --scheme fp8-block");
            using (QuantizationJob job = QuantizationJob.Prepare(options, cancellationToken))
            {
                PlanTable.Write(terminal, job, everyTensor: false);
            }

            Say($"2. bitsmith quantize {Sample} -o {Path.GetFileName(output)} --scheme fp8-block");
            Manifest manifest = QuantizeCommand.Run(terminal, options, cancellationToken);
            ResultTable.Write(terminal, manifest, output);
            Say($"3. bitsmith verify {Path.GetFileName(output)} --base {Sample}");
            VerificationReport report = VerifyCommand.Run(terminal, output, model, fix: false, options.Threads, cancellationToken);
            VerificationTable.Write(terminal, report);
            return report.IsSound ? ExitCode.Done : ExitCode.Failed;
        }
        finally
        {
            Directory.Delete(temporary, recursive: true);
        }

        void Say(string line) => terminal.Out.WriteLine($"\n{line}\n");
    }

    private static string FindSample()
    {
        foreach (string start in (string[])[Environment.CurrentDirectory, AppContext.BaseDirectory])
        {
            for (DirectoryInfo? folder = new(start); folder is not null; folder = folder.Parent)
            {
                string candidate = Path.Combine(folder.FullName, Sample);
                if (Directory.Exists(candidate))
                {
                    return candidate;
                }
            }
        }

        throw new RequestException($"the sample model {Sample} is neither above the current folder nor above the program. Run the demo inside a clone of the repository.");
    }
}
