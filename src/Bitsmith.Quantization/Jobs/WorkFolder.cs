namespace Bitsmith.Quantization.Jobs;

/// <summary>
/// The folder beside the output in which a job works: <c>OUT.bitsmith-work</c> with the journal and, under <c>output</c>, the files to be. When all
/// is done, <c>output</c> is renamed to the final name; until then nothing stands under it.
/// </summary>
internal sealed class WorkFolder
{
    private const string Suffix = ".bitsmith-work";

    private readonly string target;
    private readonly string root;

    public WorkFolder(string target)
    {
        this.target = Path.TrimEndingDirectorySeparator(Path.GetFullPath(target));
        root = this.target + Suffix;
    }

    public string JournalPath => Path.Combine(root, "journal.jsonl");

    public string Output => Path.Combine(root, "output");

    public string Parent => Path.GetDirectoryName(root)!;

    public bool Exists => Directory.Exists(root);

    private string Replaced => Path.Combine(root, "replaced");

    /// <summary>Bytes that already lie in the output.</summary>
    public long UsedBytes => Directory.Exists(Output)
        ? Directory.EnumerateFiles(Output, "*", SearchOption.AllDirectories).Sum(file => new FileInfo(file).Length)
        : 0;

    public void Create() => Directory.CreateDirectory(Output);

    public void Delete()
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
    public bool IsPublished => File.Exists(PublishedMark) && !Directory.Exists(Output) && Directory.Exists(target);

    private string PublishedMark => Path.Combine(root, "publishing");

    /// <summary>
    /// Gives the finished output its name. An existing one is moved away first and deleted last. Killed between any two steps, the next run finds either
    /// the complete output still here, or it in place (<see cref="IsPublished"/>).
    /// </summary>
    /// <param name="journal">Closed before its file is deleted.</param>
    public void Publish(Journal journal)
    {
        DurableFile.WriteAtomically(PublishedMark, []);
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
