namespace Bitsmith.Quantization.Jobs;

/// <summary>
/// The folder beside the output in which a job works: <c>OUT.bitsmith-work</c> with the journal and, under <c>output</c>, the files to be. When all
/// is done, <c>output</c> is renamed to the final name, or where the result is files, these move to their place; until then nothing stands under it.
/// </summary>
internal sealed class WorkFolder
{
    private const string Suffix = ".bitsmith-work";

    private readonly string target;
    private readonly string root;
    private readonly IReadOnlyList<string>? files;

    /// <summary>Names the work.</summary>
    /// <param name="target">The final name.</param>
    /// <param name="files">The names of all files of a result that is no folder; they come to stand beside the target.</param>
    public WorkFolder(string target, IReadOnlyList<string>? files = null)
    {
        this.target = Path.TrimEndingDirectorySeparator(Path.GetFullPath(target));
        this.files = files;
        root = this.target + Suffix;
    }

    /// <summary>Whether a result has its name and nothing is left to do for it.</summary>
    public static bool IsDone(string target) => Directory.Exists(target) && !Directory.Exists(target + Suffix);

    public string JournalPath => Path.Combine(root, "journal.jsonl");

    public string Output => Path.Combine(root, "output");

    /// <summary>Where calibration works, for jobs that have one.</summary>
    public string Calibration => Path.Combine(root, "calibration");

    private string Parent => Path.GetDirectoryName(root)!;

    private bool Exists => Directory.Exists(root);

    private string Replaced => Path.Combine(root, "replaced");

    /// <summary>Bytes that the job has written already.</summary>
    private long UsedBytes => new[] { Output, Calibration }.Where(Directory.Exists)
        .SelectMany(folder => Directory.EnumerateFiles(folder, "*", SearchOption.AllDirectories)).Sum(file => new FileInfo(file).Length);

    /// <summary>The result, or a file of it, where one stands under its final name.</summary>
    private string? Existing => files is null
        ? Directory.Exists(target) ? target : null
        : files.Select(file => Path.Combine(Parent, file)).FirstOrDefault(File.Exists);

    /// <summary>Makes the folder, or finds that of an interrupted job.</summary>
    /// <param name="force">Start over, and replace an existing result.</param>
    /// <param name="resume">Go on with an interrupted job.</param>
    /// <param name="neededBytes">Bytes that the result takes.</param>
    /// <returns>False where the result has its name already, and only clearing up was left to do; it is done.</returns>
    /// <exception cref="RequestException">There is a result, or an interrupted job, that the caller does not know of.</exception>
    /// <exception cref="JobException">There is too little space.</exception>
    public bool Begin(bool force, bool resume, long neededBytes)
    {
        if (force)
        {
            Delete();
        }

        if (IsPublished)
        {
            // The last run was stopped between giving the result its name and clearing up.
            Delete();
            return false;
        }

        CheckPlace(force, resume);
        CheckSpace(neededBytes);
        DurableFile.Attempt(Output, () => Directory.CreateDirectory(Output));
        return true;
    }

    /// <summary>Refuses what is in the way.</summary>
    /// <param name="force">Start over, and replace an existing result.</param>
    /// <param name="resume">Go on with an interrupted job.</param>
    /// <exception cref="RequestException">There is a result, or an interrupted job, that the caller does not know of.</exception>
    public void CheckPlace(bool force, bool resume)
    {
        if (Exists && !resume && !force)
        {
            throw new RequestException($"an interrupted job for {target} exists. Go on with --resume, or start over with --force.");
        }

        if (Existing is { } existing && !force && !(resume && Exists))
        {
            throw new RequestException($"{existing} exists. Choose another name, or replace it with --force.");
        }
    }

    private void CheckSpace(long neededBytes)
    {
        string existing = Parent;
        while (!Directory.Exists(existing))
        {
            existing = Path.GetDirectoryName(existing) ?? throw new JobException($"{target}: there is no such file system.");
        }

        long free = new DriveInfo(existing).AvailableFreeSpace;
        long needed = neededBytes - UsedBytes;
        if (free < needed)
        {
            throw new JobException($"{target}: the result needs {needed} more bytes of disk, {free} are free. Free {needed - free} bytes or choose another disk.");
        }
    }

    private void Delete()
    {
        if (Exists)
        {
            // An old result that was being replaced goes back to its place first.
            if (Directory.Exists(Replaced) && !Directory.Exists(target))
            {
                Directory.Move(Replaced, target);
            }

            Directory.Delete(root, recursive: true);
        }
    }

    /// <summary>True where the result already has its name and only clearing up remains.</summary>
    private bool IsPublished => File.Exists(PublishedMark) && !Directory.Exists(Output) && (files is not null || Directory.Exists(target));

    /// <summary>True where all files are complete, and some have been moved to their place: <see cref="Publish"/> moves the rest.</summary>
    public bool IsPublishing => files is not null && File.Exists(PublishedMark) && Directory.Exists(Output);

    private string PublishedMark => Path.Combine(root, "publishing");

    /// <summary>
    /// Gives the finished output its name. An existing one is moved away first and deleted last. Killed between any two steps, the next run finds either
    /// the complete output still here, or it in place (<see cref="IsPublished"/>).
    /// </summary>
    /// <param name="journal">Closed before its file is deleted.</param>
    public void Publish(Journal journal)
    {
        DurableFile.WriteAtomically(PublishedMark, []);
        if (files is not null)
        {
            foreach (string file in files.Where(file => File.Exists(Path.Combine(Output, file))))
            {
                File.Move(Path.Combine(Output, file), Path.Combine(Parent, file), overwrite: true);
            }

            Directory.Delete(Output);
            journal.Dispose();
            Directory.Delete(root, recursive: true);
            return;
        }

        if (Directory.Exists(target))
        {
            if (Directory.Exists(Replaced))
            {
                Directory.Delete(Replaced, recursive: true);
            }

            Directory.Move(target, Replaced);
        }

        Directory.Move(Output, target);
        journal.Dispose();
        if (Directory.Exists(Replaced))
        {
            Directory.Delete(Replaced, recursive: true);
        }

        File.Delete(JournalPath);
        Directory.Delete(root, recursive: true);
    }
}
