using System.Globalization;
using System.Text;
using Bitsmith.Checkpoints;
using Bitsmith.Checkpoints.Files;
using Bitsmith.Evaluation.Comparison;
using Bitsmith.Evaluation.Comparison.Rendering;
using Bitsmith.Evaluation.Speed;
using Bitsmith.Evaluation.Tasks;
using Bitsmith.Quantization.Allocation;
using Bitsmith.Quantization.Manifests;
using Bitsmith.Quantization.Packaging;
using Bitsmith.Quantization.Verification;

namespace Bitsmith.Publishing.Cards;

/// <summary>
/// A model card: front matter for the hub, what was quantized and kept, what was measured, how it was made, how to run it, caveats and licence. Every figure is from a manifest, a report or the files themselves;
/// what was not measured is not in it.
/// </summary>
public sealed class ModelCard
{
    /// <summary>The file's name in a repository.</summary>
    public const string FileName = "README.md";

    private const string OwnTag = "bitsmith";

    private readonly CardRequest request;
    private readonly IReadOnlyList<ReleasedFile> files;
    private readonly ComparisonReport? report;
    private readonly FrontMatter origin;
    private readonly string baseName;

    private ModelCard(CardRequest request)
    {
        this.request = request;
        files = ReleasedFile.Find(request.Output);
        report = request.Report is null ? null : LoadReport(request.Report);
        origin = ReadOrigin();
        baseName = request.BaseModel ?? origin.BaseModel ?? throw new CardException("The base model's name on the hub is not known. Give it: --base-model organization/name.");
        RequireRepository(baseName, "--base-model");
        if (request.Name is not null)
        {
            RequireRepository(request.Name, "--name");
        }

        if (Front.License is null)
        {
            throw new CardException("The licence is not known: neither --license says it nor the base model's card (README.md in its folder; --base names the folder).");
        }

        if (Front is { License: "other", LicenseName: null } or { License: "other", LicenseLink: null })
        {
            throw new CardException("A licence that the hub does not list ('other') needs its name and where its text is: --license-name and --license-link.");
        }

        Terms = LicenseTerms.Of(Front);
        Terms?.RequireName(Name);
    }

    private LicenseTerms? Terms { get; }

    private string Name => request.Name ?? (Directory.Exists(request.Output) ? Path.GetFileName(Path.TrimEndingDirectorySeparator(Path.GetFullPath(request.Output))) : Path.GetFileNameWithoutExtension(request.Output));

    private bool SeesImages => origin.PipelineTag == "image-text-to-text" || ModelTypes.Any(type => type is "glm4v" or "glm4v_moe" or "glm46v") || files.Any(file => file.IsProjector);

    private IEnumerable<string?> ModelTypes => files.Select(file => file.Summary.ModelType).Append(report?.Base.Model.ModelType);

    private FrontMatter Front => new()
    {
        BaseModel = request.BaseModel ?? origin.BaseModel,
        BaseModelRelation = "quantized",
        LibraryName = files[0].IsGguf ? "gguf" : "transformers",
        License = request.License ?? origin.License,
        LicenseName = request.License is null ? origin.LicenseName : request.LicenseName,
        LicenseLink = request.License is null ? origin.LicenseLink : request.LicenseLink,
        PipelineTag = origin.PipelineTag ?? (SeesImages ? "image-text-to-text" : "text-generation"),
        Language = origin.Language,
        Tags = [.. Tags()],
        QuantizedBy = request.Name is { } name && name.Contains('/') ? name[..name.IndexOf('/')] : null,
    };

    /// <summary>Composes a card.</summary>
    /// <param name="request">What for.</param>
    /// <returns>The card, in Markdown.</returns>
    /// <exception cref="CardException">Something is not known, or the licence forbids the name.</exception>
    /// <exception cref="CheckpointException">A file is broken.</exception>
    public static string Create(CardRequest request)
    {
        ArgumentNullException.ThrowIfNull(request);
        return new ModelCard(request).Write();
    }

    /// <summary>Where a card belongs: README.md in the result's folder, or beside the result where that is a file.</summary>
    /// <param name="request">What the card is for.</param>
    /// <param name="path">Where else it is to be, or null.</param>
    public static string PathFor(CardRequest request, string? path = null)
    {
        ArgumentNullException.ThrowIfNull(request);
        return path ?? Path.Combine(FolderOf(request.Output), FileName);
    }

    /// <summary>Tells whether a card may take the place of a file: there is none, it came with the base model's side files, or it is an earlier card of Bitsmith.</summary>
    /// <param name="request">What the card is for.</param>
    /// <param name="path">The file.</param>
    /// <exception cref="CheckpointException">The file or the manifest is broken.</exception>
    public static bool MayReplace(CardRequest request, string path)
    {
        ArgumentNullException.ThrowIfNull(request);
        string manifest = Path.Combine(request.Output, Manifest.FileName);
        return !File.Exists(path)
            || FrontMatter.Load(path) is { } card && card.Tags.Contains(OwnTag)
            || (Path.GetFullPath(path) == Path.GetFullPath(PathFor(request)) && File.Exists(manifest) && ManifestFile.Load(manifest).Output.Any(file => file.File == FileName));
    }

    /// <summary>Writes a card into its place, and records it in the manifest of a folder, whose integrity 'verify' checks.</summary>
    /// <param name="request">What for.</param>
    /// <param name="card">The card.</param>
    /// <param name="path">Where to, see <see cref="PathFor"/>.</param>
    /// <exception cref="IOException">The system refused.</exception>
    public static void Save(CardRequest request, string card, string path)
    {
        ArgumentNullException.ThrowIfNull(request);
        AtomicFile.Write(path, Encoding.UTF8.GetBytes(card));
        if (Path.GetFullPath(path) == Path.GetFullPath(PathFor(request)) && File.Exists(Path.Combine(request.Output, Manifest.FileName)))
        {
            ManifestFile.Record(request.Output, FileName);
        }
    }

    private static string FolderOf(string output) => Directory.Exists(output) ? output : Path.GetDirectoryName(Path.GetFullPath(output))!;

    private static void RequireRepository(string name, string option)
    {
        if (name.Split('/') is not ([{ Length: > 0 }] or [{ Length: > 0 }, { Length: > 0 }]) || name.Any(letter => !char.IsAsciiLetterOrDigit(letter) && letter is not ('-' or '_' or '.' or '/')))
        {
            throw new CardException($"{option} '{name}' is no repository of the hub. Write organization/name, of letters, digits, '-', '_' and '.'.");
        }
    }

    private ComparisonReport LoadReport(string path)
    {
        ComparisonReport loaded = ComparisonReport.Load(Directory.Exists(path) ? Path.Combine(path, ComparisonReport.FileName) : path);
        return files.Any(file => loaded.Quantized.Any(model => model.Fingerprint == file.Fingerprint))
            ? loaded
            : throw new CardException($"{path} does not measure {string.Join(", ", files.Select(file => file.Name))} as the files are now. Run bitsmith compare again, with them.");
    }

    /// <summary>What the base model's card says, or that of an earlier run over this result.</summary>
    private FrontMatter ReadOrigin()
    {
        string? folder = request.BaseFolder ?? report?.Base.Model.Model;
        FrontMatter? card = folder is not null && Directory.Exists(folder) ? FrontMatter.Load(Path.Combine(folder, FileName)) : null;
        FrontMatter? own = FrontMatter.Load(PathFor(request));

        // A card that was carried over with the side files names the base model's own base, if any, not the base model.
        FrontMatter basis = card ?? own ?? new FrontMatter();
        return basis with { BaseModel = own is { BaseModelRelation: "quantized" } ? own.BaseModel : null };
    }

    private IEnumerable<string> Tags()
    {
        yield return OwnTag;
        if (files[0].IsGguf)
        {
            yield return "gguf";
            yield return "llama.cpp";
            if (files.Any(file => file.Gguf?.Recipe.Imatrix is not null || file.Metadata("quantize.imatrix.file") is not null))
            {
                yield return "imatrix";
            }
        }
        else
        {
            yield return "compressed-tensors";
            yield return "vllm";
            if (files[0].Summary.Quantization.Any(group => group.StartsWith("float-quantized", StringComparison.Ordinal)))
            {
                yield return "fp8";
            }
        }

        yield return "conversational";
    }

    private string Write()
    {
        StringBuilder text = new(Front.ToYaml());
        text.Append('\n');
        string title = Name[(Name.LastIndexOf('/') + 1)..];
        text.Append($"# {title}\n\n");
        if (Terms?.Attribution is { } attribution)
        {
            text.Append($"**{attribution}**\n\n");
        }

        string versions = string.Join(", ", files.Select(file => file.Version).OfType<string>().Distinct());
        text.Append($"[{baseName}](https://huggingface.co/{baseName}), quantized{(versions.Length == 0 ? string.Empty : $" with Bitsmith {versions}")}. See there for what the model is for, how it was trained and its limits.\n\n");
        WhatWasQuantized(text);
        Measured(text);
        HowItWasMade(text);
        RunSections.Write(text, files, Name, SeesImages);
        Caveats(text);
        License(text);
        return text.ToString().TrimEnd('\n') + "\n";
    }

    private void WhatWasQuantized(StringBuilder text)
    {
        text.Append("## What was quantized\n\n");
        ReportTable list = ReportTable.Create(
            "files",
            ["file", "quantization", ">parameters", ">bits per weight", ">size, GB", ">error of the encoded weights, %", "tensors by type"],
            files.Select(file => (IReadOnlyList<string>)
            [
                file.Name,
                file.Gguf?.Recipe.Scheme ?? (file.Summary.Quantization.Count == 0 ? "none" : string.Join("; ", file.Summary.Quantization)),
                file.Summary.Parameters.ToString("N0", CultureInfo.InvariantCulture),
                file.Summary.BitsPerWeight.ToString("0.0000", CultureInfo.InvariantCulture),
                ComparisonTables.Size(file.Summary.TensorBytes),
                RelativeError(file) is double error ? (100 * error).ToString("0.000", CultureInfo.InvariantCulture) : "–",
                string.Join(", ", file.Summary.Types.Select(type => $"{type.Tensors} {type.Type}")),
            ]));
        text.Append(list.ToMarkdown()).Append("\nThe error is the root mean square of original less decoded weights over that of the originals, over all encoded weights, as measured while they were encoded.\n\n");
        foreach (ReleasedFile file in files)
        {
            text.Append(files.Count == 1 ? "What is stored how (scales count as bytes of their weights):\n\n" : $"<details><summary>{file.Name}: what is stored how</summary>\n\n");
            text.Append(Components.Table(file.Summary).ToMarkdown()).Append(files.Count == 1 ? "\n" : "\n</details>\n\n");
        }
    }

    /// <summary>Where scales were folded into weights, weights do not compare; <see cref="CalibrationSection"/> has what outputs lost.</summary>
    private static double? RelativeError(ReleasedFile file) => file.Folder?.Calibration?.Changed.Count > 0 ? null : file.Folder?.Totals.RelativeRmse ?? file.Gguf?.Totals.RelativeRmse;

    private void Measured(StringBuilder text)
    {
        if (report is null)
        {
            return;
        }

        text.Append("## What was measured\n\n");
        foreach (ReportTable table in ComparisonTables.All(report))
        {
            text.Append($"### {table.Title}\n\n").Append(table.ToMarkdown()).Append('\n');
        }

        text.Append("- ρPPL: correlation of ln PPL with the base model's over the tokens. KLD: Kullback-Leibler divergence of the next-token probabilities from the base model's, in nats. Same top-p: tokens where both find the same one likeliest. Δp: change of the probability of the token that follows.\n");
        foreach (string line in ComparisonTables.Conditions(report))
        {
            text.Append($"- {line}\n");
        }

        text.Append('\n');
    }

    private void HowItWasMade(StringBuilder text)
    {
        text.Append("## How it was made\n\n");
        string basis = baseName[(baseName.LastIndexOf('/') + 1)..];
        List<string> commands = [];
        foreach (ReleasedFile file in files)
        {
            if (file.Folder is { } folder)
            {
                string samples = string.Concat(folder.Calibration?.Sources.Select(source => $" --calibration {source.Location}") ?? []);
                commands.Add($"bitsmith quantize {basis} -o {file.Name} --recipe {Manifest.FileName}{samples}");
                text.Append($"Recipe: {folder.Recipe.Source}{(folder.Recipe.Ignore.Count == 0 ? string.Empty : $", without {string.Join(", ", folder.Recipe.Ignore.Select(item => $"`{item}`"))}")}; encoder {folder.Options.Encoder.ToString().ToLowerInvariant()}; {folder.Totals.EncodedLinears} Linears encoded. `{Manifest.FileName}` holds the recipe, a hash of every file read and written, and the error of every tensor; with it the command below makes the same bytes again.\n\n");
                CalibrationSection.Write(text, folder);
            }
            else if (file.Gguf is { } gguf)
            {
                commands.Add(Command(basis, file, gguf.Recipe));
                string scheme = gguf.Recipe.Allocation is { } allocation ? $"a type for each tensor so that they lose least at {allocation.Target} by {AllocationMethods.NameOf(allocation.Method)}, of about the size of {gguf.Recipe.Scheme}" : gguf.Recipe.Scheme;
                text.Append($"`{file.Name}`: {scheme}; {gguf.Totals.EncodedTensors} of {gguf.Totals.Tensors} tensors encoded, {Importance(file, gguf.Recipe)}. ");
                text.Append($"Source: {string.Join(", ", gguf.Source.Select(source => source.File))}.\n\n");
            }
            else
            {
                text.Append($"`{file.Name}` has no manifest of Bitsmith beside it; how it was made is not known.\n\n");
            }
        }

        if (report is not null)
        {
            commands.Add(CompareCommand(basis, report));
        }

        if (commands.Count > 0)
        {
            text.Append("```sh\n").AppendJoin('\n', commands).Append("\n```\n\n");
        }

        text.Append($"This card: Bitsmith {Machine.Version}.\n\n");
    }

    private static string CompareCommand(string basis, ComparisonReport report)
    {
        StringBuilder command = new($"bitsmith compare {basis}");
        foreach (string model in report.Quantized.Select(model => Path.GetFileName(Path.TrimEndingDirectorySeparator(model.Model.Model))).Distinct())
        {
            command.Append($" {model}");
        }

        command.Append($" -f {Path.GetFileName(report.Text.Source)} -c {report.Text.Context} --chunks {report.Text.Chunks}");
        command.Append(report.Quantized.GroupBy(model => model.Model.Model).Any(rows => rows.Count() > 1) ? " --weights-only" : string.Empty);
        foreach (ComparedTask task in report.Base.Tasks)
        {
            command.Append(string.Concat(task.Files.Select(file => $" --task {task.Task.Name()}={Path.GetFileName(file)}")));
        }

        command.Append(report.Base.Tasks.Count > 0 ? $" --tasks {report.Base.Tasks.Max(task => task.Score.Items)} --task-seed {report.Base.Tasks[0].Seed}" : string.Empty);
        return command.Append(" -o report").ToString();
    }

    private static string Importance(ReleasedFile file, GgufRecipe recipe)
    {
        if (recipe.Imatrix is not { } imatrix)
        {
            return "without an importance matrix";
        }

        string dataset = file.Metadata("quantize.imatrix.dataset") is { Length: > 0 } data ? $" from {Path.GetFileName(data)}" : string.Empty;
        string chunks = file.Metadata("quantize.imatrix.chunks_count") is { } count && count != "0" ? $", {count} chunks" : string.Empty;
        return $"with the importance matrix {imatrix.File} (SHA-256 {imatrix.Sha256}{dataset}{chunks})";
    }

    private static string Command(string basis, ReleasedFile file, GgufRecipe recipe)
    {
        string types = recipe.Allocation is null ? $"--scheme {recipe.Scheme.ToLowerInvariant()}" : $"--allocation {Path.GetFileName(AllocationPlan.PathFor(file.Name))}";
        StringBuilder command = new($"bitsmith quantize {basis} -o {file.Name} {types}");
        command.Append(recipe.Imatrix is { } imatrix ? $" --imatrix {imatrix.File}" : string.Empty);
        foreach (string type in recipe.TensorTypes)
        {
            command.Append($" --tensor-type '{type}'");
        }

        command.Append(recipe.Pure ? " --pure" : string.Empty);
        command.Append(recipe.OutputType is { } output ? $" --output-tensor-type {output}" : string.Empty);
        command.Append(recipe.EmbeddingType is { } embedding ? $" --token-embedding-type {embedding}" : string.Empty);
        return command.ToString();
    }

    private void Caveats(StringBuilder text)
    {
        List<string> caveats = [];
        foreach (ReleasedFile file in files)
        {
            IReadOnlyList<CheckResult> checks = file.IsGguf ? GgufVerifier.Check(file.Path) : file.Summary.Quantization.Count > 0 ? PackageInspector.Inspect(file.Path, fix: false).Results : [];
            caveats.AddRange(checks.Where(check => check.Verdict is Verdict.Warning or Verdict.Fail).Select(check => $"{file.Name}, `{check.Name}`: {check.Evidence}.{(check.Verdict == Verdict.Fail ? $" Repair: {check.Repair}." : string.Empty)}"));
            caveats.AddRange((file.Folder?.Warnings ?? file.Gguf?.Warnings ?? []).Select(warning => $"{file.Name}: {warning}"));
        }

        if (caveats.Count > 0)
        {
            text.Append("## Caveats\n\nFound by Bitsmith's packaging checks and planning:\n\n");
            foreach (string caveat in caveats.Distinct())
            {
                text.Append($"- {caveat}\n");
            }

            text.Append('\n');
        }
    }

    private void License(StringBuilder text)
    {
        FrontMatter front = Front;
        string name = Terms?.Name ?? front.LicenseName ?? front.License!;
        text.Append("## Licence\n\n").Append(front.LicenseLink is { } link ? $"[{name}]({link})" : name).Append(", as the base model.\n\n");
        foreach (string term in Terms?.Terms ?? [])
        {
            text.Append($"- {term}\n");
        }

        if (Terms is { NeedsText: true })
        {
            string folder = FolderOf(request.Output);
            text.Append(Directory.EnumerateFiles(folder, "LICENSE*").Any()
                ? "- The licence's text lies in this repository.\n"
                : throw new CardException($"The {Terms.Name} asks for a copy of its text beside the model, and {folder} holds no LICENSE. Copy it from the base model."));
        }
    }
}
