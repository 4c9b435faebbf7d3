using System.Globalization;
using System.Text.RegularExpressions;

namespace Bitsmith.Checkpoints.Datasets;

/// <summary>
/// Finds data sets that the Hugging Face tools have downloaded: the hub cache, in which a repository is the folder <c>datasets--ORG--NAME</c> with <c>refs</c> and <c>snapshots</c>. Nothing is fetched.
/// </summary>
/// <param name="hub">The hub cache's folder.</param>
public sealed partial class DatasetCache(string hub)
{
    private static readonly string[] SplitNames = ["train", "test", "validation", "valid", "val", "dev", "eval"];

    /// <summary>The cache's folder.</summary>
    public string Hub => hub;

    /// <summary>The cache that environment variables name, as huggingface_hub reads them: HF_HUB_CACHE, HUGGINGFACE_HUB_CACHE, HF_HOME, XDG_CACHE_HOME.</summary>
    /// <param name="variable">Gives the value of an environment variable; null where it is not set.</param>
    /// <param name="home">The user's folder.</param>
    public static DatasetCache Of(Func<string, string?> variable, string home)
    {
        ArgumentNullException.ThrowIfNull(variable);
        string root = Set("HF_HOME") ?? Path.Combine(Set("XDG_CACHE_HOME") ?? Path.Combine(home, ".cache"), "huggingface");
        return new DatasetCache(Set("HF_HUB_CACHE") ?? Set("HUGGINGFACE_HUB_CACHE") ?? Path.Combine(root, "hub"));

        string? Set(string name) => variable(name) is { Length: > 0 } value ? value : null;
    }

    /// <summary>Whether a text has the form <c>ORG/NAME</c>, <c>ORG/NAME:SPLIT</c> or <c>ORG/NAME/FOLDER:SPLIT</c>.</summary>
    public static bool IsName(string text) => Name().IsMatch(text);

    /// <summary>The files of a split, in the order of their names.</summary>
    /// <param name="name">
    /// As for <see cref="IsName"/>. A file is of a split that its name, without the number of a part, or a folder above it says; where no name says a split, all files are <c>train</c>. Without a
    /// split there must be one only.
    /// </param>
    /// <exception cref="CheckpointException">The cache lacks the data set or a part of it, or the split is not clear; the message says what is there.</exception>
    public IReadOnlyList<string> Find(string name)
    {
        Match parts = Name().Match(name ?? throw new ArgumentNullException(nameof(name)));
        if (!parts.Success)
        {
            throw new ArgumentException($"'{name}' is no ORG/NAME:SPLIT.", nameof(name));
        }

        string repository = $"{parts.Groups["org"].Value}/{parts.Groups["name"].Value}", snapshot = Snapshot(repository);
        string folder = Path.Combine(snapshot, parts.Groups["folder"].Value);
        string[] files = !Directory.Exists(folder) ? [] : [.. Directory.EnumerateFiles(folder, "*", SearchOption.AllDirectories).Where(Dataset.HasFormat).Order(StringComparer.Ordinal)];
        (string File, string? Split)[] said = [.. files.Select(file => (file, SplitOf(Path.GetRelativePath(snapshot, file))))];
        string unsaid = Array.TrueForAll(said, file => file.Split is null) ? "train" : string.Empty;
        ILookup<string, string> splits = said.ToLookup(file => file.Split ?? unsaid, file => file.File);
        string[] known = [.. splits.Select(split => split.Key).Where(split => split.Length > 0).Order(StringComparer.Ordinal)];
        string wanted = parts.Groups["split"] is { Success: true } named ? named.Value : known.Length == 1 ? known[0] : string.Empty;
        string[] found = [.. splits[wanted]];
        if (wanted.Length == 0 || found.Length == 0)
        {
            string there = known.Length > 0 ? $"it has {string.Join(", ", known.Select(split => $"'{split}'"))}" : "no file there is JSON Lines, JSON, CSV or Parquet";
            throw new CheckpointException(folder, $"{(wanted.Length == 0 ? $"'{repository}' needs a split, as in {repository}:train" : $"has no split '{wanted}'")}; {there}.");
        }

        if (found.Select(Path.GetDirectoryName).Distinct().ToArray() is { Length: > 1 } folders)
        {
            string[] relative = [.. folders.Select(path => Path.GetRelativePath(snapshot, path!))];
            throw new CheckpointException(folder, $"split '{wanted}' lies in several folders: {string.Join(", ", relative)}. Name one, as in {repository}/{relative[0]}:{wanted}.");
        }

        RequireAllParts(found);
        return found;
    }

    private string Snapshot(string repository)
    {
        string root = Path.Combine(hub, $"datasets--{repository.Replace("/", "--", StringComparison.Ordinal)}"), snapshots = Path.Combine(root, "snapshots"), main = Path.Combine(root, "refs", "main");
        string download = $"Download it with 'hf download --repo-type dataset {repository}', or give the path of its files. (The cache of the datasets library holds Arrow tables, which are not read.)";
        if (!Directory.Exists(snapshots))
        {
            throw new CheckpointException(root, $"there is no such folder: the data set is not in the Hugging Face cache. {download}");
        }

        string[] all = Directory.GetDirectories(snapshots);
        string? chosen = File.Exists(main) ? Path.Combine(snapshots, File.ReadAllText(main).Trim()) : all is [string only] ? only : null;
        return chosen is not null && Directory.Exists(chosen)
            ? chosen
            : throw new CheckpointException(root, $"has {all.Length} snapshots, and refs/main names none of them. {download}");
    }

    /// <summary>The split that a file's name or a folder says; null where none does.</summary>
    private static string? SplitOf(string relative)
    {
        string[] folders = (Path.GetDirectoryName(relative) ?? string.Empty).Split(Path.DirectorySeparatorChar);
        string file = Path.GetFileNameWithoutExtension(relative);
        Match part = Part().Match(file);
        string stem = part.Success ? part.Groups["stem"].Value : file;
        return part.Success || SplitNames.Any(name => stem == name || stem.StartsWith(name + "_", StringComparison.Ordinal)) ? stem
            : folders.LastOrDefault(folder => SplitNames.Contains(folder));
    }

    /// <summary>Files that are numbered <c>i of n</c> are all there, and each can be opened.</summary>
    private static void RequireAllParts(string[] files)
    {
        foreach (string file in files.Where(file => !File.Exists(file) || new FileInfo(file).ResolveLinkTarget(returnFinalTarget: true) is { Exists: false }))
        {
            throw new CheckpointException(file, "is a link to a file that is not there. The download is not complete; repeat it.");
        }

        if (files.Select(file => Part().Match(Path.GetFileNameWithoutExtension(file))).FirstOrDefault(part => part.Success) is { } first
            && int.Parse(first.Groups["count"].Value, CultureInfo.InvariantCulture) is int count && count != files.Length)
        {
            throw new CheckpointException(Path.GetDirectoryName(files[0])!, $"has {files.Length} of the {count} files of '{first.Groups["stem"].Value}'. The download is not complete; repeat it.");
        }
    }

    [GeneratedRegex(@"^(?<org>[\w.-]+)/(?<name>[\w.-]+)(/(?<folder>[\w./-]+))?(:(?<split>[\w.-]+))?$", RegexOptions.CultureInvariant)]
    private static partial Regex Name();

    // "train_sft-00000-of-00003" and, of older repositories, with a hash behind it.
    [GeneratedRegex(@"^(?<stem>.+)-\d{5}-of-(?<count>\d{5})(-[0-9a-f]+)?$", RegexOptions.CultureInvariant)]
    private static partial Regex Part();
}
