using System.Text.Json;
using System.Text.Json.Serialization;
using System.Text.RegularExpressions;
using Bitsmith.Checkpoints;
using Bitsmith.Quantization.Jobs;

namespace Bitsmith.Quantization.Calibration;

/// <summary>How far a calibration is.</summary>
/// <param name="Fingerprint">What it is of.</param>
/// <param name="Layers">Layers that are done: their results are on disk, and the hidden states in front of the next one.</param>
internal sealed record CalibrationState(string Fingerprint, int Layers);

[JsonSerializable(typeof(CalibrationState))]
internal sealed partial class CalibrationJson : JsonSerializerContext;

/// <summary>The folder of a calibration: <c>state.json</c>, a file for each layer that is done, and files of hidden states. An open file in it keeps other processes out.</summary>
internal sealed partial class CalibrationFolder : IDisposable
{
    private const string StateName = "state.json", LockName = "lock";

    private readonly string path;
    private FileStream? locked;

    private CalibrationFolder(string path, FileStream locked) => (this.path, this.locked) = (path, locked);

    /// <summary>The folder.</summary>
    public string Path => path;

    /// <summary>Layers that are done.</summary>
    public int Layers { get; private set; }

    /// <summary>The files of the layers that are done.</summary>
    public IReadOnlyList<string> Results => [.. Enumerable.Range(0, Layers).Select(ResultOf)];

    /// <summary>Whether hidden states are there, if only those of the embedding.</summary>
    public bool IsBegun { get; private set; }

    private string StatePath => System.IO.Path.Combine(path, StateName);

    /// <summary>Makes the folder, or takes up that of an interrupted job. What a job that was killed left half-written goes.</summary>
    /// <exception cref="RequestException">An interrupted job is in the way, or was another one.</exception>
    /// <exception cref="JobException">Another process works there, or the system refused.</exception>
    public static CalibrationFolder Open(string path, string fingerprint, bool resume, bool force)
    {
        bool exists = Directory.Exists(path) && File.Exists(System.IO.Path.Combine(path, StateName));
        if (exists && !resume && !force)
        {
            throw new RequestException($"{path} is of an interrupted calibration. Go on with --resume, or start over with --force.");
        }

        DurableFile.Attempt(path, () => Directory.CreateDirectory(path));
        CalibrationFolder folder = new(path, Lock(System.IO.Path.Combine(path, LockName)));
        try
        {
            if (exists && !force)
            {
                folder.Restore(fingerprint);
            }

            folder.Clean();
            return folder;
        }
        catch
        {
            folder.Dispose();
            throw;
        }
    }

    /// <summary>Notes that hidden states and results are on disk as far as this.</summary>
    public void Save(string fingerprint, int layers)
    {
        DurableFile.WriteAtomically(StatePath, JsonSerializer.SerializeToUtf8Bytes(new CalibrationState(fingerprint, layers), CalibrationJson.Default.CalibrationState));
        (IsBegun, Layers) = (true, layers);
    }

    /// <summary>Writes the result of a layer.</summary>
    public void Write(int layer, Action<Stream> write)
    {
        string file = ResultOf(layer);
        DurableFile.Attempt(file, () =>
        {
            using (FileStream stream = new(file + ".new", FileMode.Create, FileAccess.Write))
            {
                write(stream);
                stream.Flush(flushToDisk: true);
            }

            File.Move(file + ".new", file, overwrite: true);
        });
    }

    /// <summary>Reads the result of a layer.</summary>
    /// <exception cref="CheckpointException">It is missing or damaged.</exception>
    public void Read(int layer, Action<Stream> read)
    {
        string file = ResultOf(layer);
        try
        {
            using FileStream stream = new(file, FileMode.Open, FileAccess.Read);
            read(stream);
        }
        catch (Exception problem) when (problem is IOException or UnauthorizedAccessException or InvalidDataException)
        {
            throw new CheckpointException(file, $"cannot be read: {problem.Message} Start over with --force.", problem);
        }
    }

    /// <summary>Removes the job's files, and the folder where nothing else is in it.</summary>
    public void Delete()
    {
        (IsBegun, Layers) = (false, 0);
        Clean();
        Dispose();
        File.Delete(System.IO.Path.Combine(path, LockName));
        if (!Directory.EnumerateFileSystemEntries(path).Any())
        {
            Directory.Delete(path);
        }
    }

    /// <inheritdoc/>
    public void Dispose()
    {
        locked?.Dispose();
        locked = null;
    }

    private static FileStream Lock(string file)
    {
        try
        {
            return new FileStream(file, FileMode.OpenOrCreate, FileAccess.ReadWrite, FileShare.None, bufferSize: 0);
        }
        catch (IOException problem) when (File.Exists(file))
        {
            throw new JobException($"{file} is in use: another bitsmith is at work there. Wait for it, or stop it first.", problem);
        }
    }

    private void Restore(string fingerprint)
    {
        try
        {
            CalibrationState state = JsonSerializer.Deserialize(File.ReadAllBytes(StatePath), CalibrationJson.Default.CalibrationState) ?? throw new JsonException("it is empty.");
            if (state.Fingerprint != fingerprint)
            {
                throw new RequestException($"{path} is of another calibration: another model, other samples, options, instruction set or version of Bitsmith. Start over with --force, or repeat the command as it was.");
            }

            (IsBegun, Layers) = (true, state.Layers);
        }
        catch (JsonException problem)
        {
            throw new CheckpointException(StatePath, $"is no state of a calibration: {problem.Message} Start over with --force.", problem);
        }
    }

    /// <summary>Deletes files of calibrations, except what the state speaks of.</summary>
    private void Clean()
    {
        HashSet<string> kept = IsBegun ? [StateName, $"hidden-{Layers:0000}.bin", .. Results.Select(result => System.IO.Path.GetFileName(result))] : [];
        foreach (string name in Directory.EnumerateFiles(path).Select(file => System.IO.Path.GetFileName(file)).Where(name => Own().IsMatch(name) && !kept.Contains(name)))
        {
            string file = System.IO.Path.Combine(path, name);
            DurableFile.Attempt(file, () => File.Delete(file));
        }
    }

    [GeneratedRegex(@"^((hidden|layer)-\d{4}\.bin|state\.json)(\.new)?$", RegexOptions.CultureInvariant)]
    private static partial Regex Own();

    private string ResultOf(int layer) => System.IO.Path.Combine(path, $"layer-{layer:0000}.bin");
}
