using System.CommandLine;
using System.CommandLine.Parsing;
using System.Diagnostics;
using Bitsmith.Checkpoints.Imatrix;
using Bitsmith.Cli.Rendering;
using Bitsmith.Evaluation.Texts;
using Bitsmith.Quantization.Calibration;
using Bitsmith.Quantization.Jobs;

namespace Bitsmith.Cli.Commands;

/// <summary><c>bitsmith imatrix</c>.</summary>
internal sealed class ImatrixCommand
{
    public const string Name = "imatrix";

    private const int DefaultContext = 512;

    private readonly Argument<string?> model = new("MODEL") { Description = "A Hugging Face model folder or a .gguf file; without it, the files of --in-file are merged or shown.", Arity = ArgumentArity.ZeroOrOne };
    private readonly Option<string?> text = new("--file", "-f") { Description = "The text to run, UTF-8." };
    private readonly Option<string?> output = new("--output", "-o") { Description = "The file to write." };
    private readonly Option<string[]> added = new("--in-file") { Description = "A file of an earlier run on the same model, GGUF or .dat, whose sums are added. May be repeated.", AllowMultipleArgumentsPerToken = false, DefaultValueFactory = _ => [] };
    private readonly Option<ImatrixFormat> format = new("--output-format") { Description = "gguf, or dat for llama.cpp's older form.", DefaultValueFactory = _ => ImatrixFormat.Gguf };
    private readonly Option<bool> show = new("--show-statistics") { Description = "Print the statistics that llama-imatrix 0.7.0 shows, by tensor and by layer." };
    private readonly Option<int> context = new Option<int>("--ctx-size", "-c") { Description = $"Tokens in a chunk (default {DefaultContext}).", DefaultValueFactory = _ => DefaultContext }.AtLeastOne();
    private readonly Option<int?> chunks = new("--chunks") { Description = "Most chunks to run; default: all." };
    private readonly Option<int> skip = new("--chunk", "--from-chunk") { Description = "Chunks to leave out at the start of the text." };
    private readonly Option<bool> special = new("--parse-special") { Description = "The names of special tokens in the text stand for these tokens." };
    private readonly Option<bool> head = new("--process-output") { Description = "Take the inputs of the head, output.weight, too." };
    private readonly Option<bool> allExperts = new("--all-experts") { Description = "Every expert sees every token; what flows on is what the router chooses." };
    private readonly Option<int> save = new Option<int>("--save-frequency") { Description = "Chunks between two savings, from which --resume goes on (default 10).", DefaultValueFactory = _ => 10 }.AtLeastOne();
    private readonly Option<bool> resume = new("--resume") { Description = "Go on with an interrupted run." };
    private readonly Option<bool> force = new("--force") { Description = "Replace an existing file, or start an interrupted run over." };
    private readonly Option<string> activations = CommonOptions.Activations();
    private readonly Option<int> threads = CommonOptions.Threads();
    private readonly Option<bool> json = CommonOptions.Json();
    private readonly Terminal terminal;

    private ImatrixCommand(Terminal terminal) => this.terminal = terminal;

    public static Command Create(Terminal terminal) => new ImatrixCommand(terminal).Create();

    private Command Create()
    {
        Command command = new(Name, "Compute an importance matrix from a text, as llama-imatrix does; merge such files; show their statistics.\n\n  bitsmith imatrix ./GLM-4.5-Air -f calibration.txt -o GLM-4.5-Air.imatrix.gguf\n  bitsmith imatrix --in-file a.gguf --in-file b.gguf -o both.gguf\n  bitsmith imatrix --in-file a.gguf --show-statistics");
        command.Arguments.Add(model);
        foreach (Option option in (Option[])[text, output, added, format, show, context, chunks, skip, special, head, allExperts, save, resume, force, activations, threads, json])
        {
            command.Options.Add(option);
        }

        command.Validators.Add(Check);
        command.SetAction((parsed, cancellationToken) =>
        {
            (ImportanceMatrix matrix, string? file) = parsed.GetValue(model) is { } folder ? Compute(parsed, folder, cancellationToken) : Combine(parsed);
            ImatrixReport.Write(terminal, file, matrix, parsed.GetValue(show), parsed.GetValue(json));
            return Task.FromResult(ExitCode.Done);
        });
        return command;
    }

    private void Check(CommandResult result)
    {
        bool computes = result.GetValue(model) is not null;
        string? problem =
            computes != result.GetValue(text) is not null ? "MODEL and -f TEXT belong together."
            : !computes && result.GetValue(added) is not { Length: > 0 } ? "Nothing to do: give MODEL and -f TEXT, or --in-file."
            : computes && result.GetValue(output) is null ? "-o FILE is needed."
            : !computes && result.GetValue(output) is null && !result.GetValue(show) ? "-o FILE or --show-statistics is needed."
            : !computes && result.GetValue(resume) ? "--resume goes on with a run of MODEL."
            : result.GetValue(resume) && result.GetValue(force) ? "--resume and --force exclude each other."
            : result.GetValue(chunks) < 1 || result.GetValue(skip) < 0 ? "--chunks must be at least 1, --chunk at least 0."
            : null;
        if (problem is not null)
        {
            result.AddError(problem);
        }
    }

    private (ImportanceMatrix Matrix, string? File) Compute(ParseResult parsed, string folder, CancellationToken cancellationToken)
    {
        ImatrixOptions options = new()
        {
            Model = folder,
            Text = parsed.GetRequiredValue(text)!,
            Output = parsed.GetRequiredValue(output)!,
            Format = parsed.GetValue(format),
            Added = parsed.GetRequiredValue(added),
            Chunks = new TextChunkSettings(parsed.GetValue(context), parsed.GetValue(skip), parsed.GetValue(chunks), parsed.GetValue(special)),
            AllExperts = parsed.GetValue(allExperts),
            ProcessOutput = parsed.GetValue(head),
            SaveFrequency = parsed.GetValue(save),
            Resume = parsed.GetValue(resume),
            Force = parsed.GetValue(force),
            Threads = parsed.GetValue(threads),
            ExactActivations = parsed.GetValue(activations) == "exact",
        };
        using ImatrixJob job = ImatrixJob.Prepare(options);
        terminal.Error.WriteLine($"{job.Chunks.Count} chunks of {job.Chunks.Size} tokens{(job.Restored > 0 ? $", {job.Restored} of them done before" : string.Empty)}");
        ImportanceMatrix matrix = job.Run(new Lines(terminal.Error, job.Restored), cancellationToken);
        Warn(job.Warnings);
        return (matrix, options.Output);
    }

    private (ImportanceMatrix Matrix, string? File) Combine(ParseResult parsed)
    {
        string[] files = parsed.GetRequiredValue(added);
        string? file = parsed.GetValue(output);
        if (file is not null && File.Exists(file) && !parsed.GetValue(force))
        {
            throw new RequestException($"{file} exists. Choose another name, or replace it with --force.");
        }

        List<string> warnings = [];
        ImportanceMatrix matrix = files.Length == 1 && file is null
            ? ImportanceMatrix.Load(files[0])
            : ImatrixMerge.Merge([.. files.Select(path => (path, ImportanceMatrix.Load(path)))], parsed.GetValue(context), warnings);
        Warn(warnings);
        if (file is not null)
        {
            matrix.Save(file, parsed.GetValue(format));
        }

        return (matrix, file ?? (files.Length == 1 ? files[0] : null));
    }

    private void Warn(IEnumerable<string> warnings)
    {
        foreach (string warning in warnings)
        {
            terminal.Error.WriteLine($"warning: {warning}");
        }
    }

    /// <summary>A line for each batch of chunks, and every few seconds on the way.</summary>
    private sealed class Lines(TextWriter error, int before) : IProgress<ImatrixProgress>
    {
        private static readonly TimeSpan Interval = TimeSpan.FromSeconds(10);

        private readonly Stopwatch clock = Stopwatch.StartNew();
        private TimeSpan next = Interval;

        public void Report(ImatrixProgress value)
        {
            double done = value.Done - before + ((double)value.Running * value.Layer / value.Layers);
            TimeSpan now = clock.Elapsed, left = now * ((value.Total - before - done) / done);
            if (value.Running == 0 || now >= next)
            {
                next = now + Interval;
                string where = value.Running == 0 ? $"chunk {value.Done} of {value.Total}" : $"chunks {value.Done + 1} to {value.Done + value.Running} of {value.Total}, layer {value.Layer} of {value.Layers}";
                error.WriteLine($"{where}  {now.TotalSeconds / done:0.00} s each  {left:hh\\:mm\\:ss} left");
            }
        }
    }
}
