using System.Globalization;
using System.Runtime.InteropServices;
using System.Security.Cryptography;
using System.Text;
using Bitsmith.Checkpoints;
using Bitsmith.Models;
using Bitsmith.Quantization.Jobs;
using Bitsmith.Tensors.Matrices;

namespace Bitsmith.Quantization.Calibration.Data;

/// <summary>A sample.</summary>
/// <param name="Place">File and place that it is from.</param>
/// <param name="Tokens">Its tokens, at least one.</param>
public sealed record CalibrationSample(string Place, int[] Tokens);

/// <summary>The samples that a model is calibrated on, in the order in which they are run.</summary>
public sealed class CalibrationData
{
    private CalibrationData(CalibrationOptions options, IReadOnlyList<CalibrationSample> samples, IReadOnlyList<string> notes)
    {
        (Samples, Notes) = (samples, notes);
        Settings = string.Create(CultureInfo.InvariantCulture, $"{samples.Count} samples of at most {options.MaxLength} tokens, {(options.Seed is uint seed ? $"seed {seed}" : "in order")}{(options.Lengths.Count > 0 ? $", lengths {string.Join(", ", options.Lengths)}" : string.Empty)}");
        Tokens = samples.Sum(sample => (long)sample.Tokens.Length);
        Digest = HashOf(samples, Settings);
    }

    /// <summary>The samples.</summary>
    public IReadOnlyList<CalibrationSample> Samples { get; }

    /// <summary>Tokens of all samples.</summary>
    public long Tokens { get; }

    /// <summary>What was asked for, in a line.</summary>
    public string Settings { get; }

    /// <summary>SHA-256 of the settings and of the lengths and tokens of all samples in their order, in hexadecimal. Names of files are not among it.</summary>
    public string Digest { get; }

    /// <summary>Lines for a report: what each source and each class of lengths gave, and rows that were passed over.</summary>
    public IReadOnlyList<string> Notes { get; }

    /// <summary>Samples that are tokens already.</summary>
    /// <exception cref="ArgumentException">There is none, or one is empty.</exception>
    public static CalibrationData OfTokens(IReadOnlyList<int[]> samples)
    {
        ArgumentNullException.ThrowIfNull(samples);
        return samples.Count > 0 && samples.All(sample => sample.Length > 0)
            ? new CalibrationData(new CalibrationOptions { Sources = [], Seed = null, MaxLength = samples.Max(sample => sample.Length) }, [.. samples.Select((tokens, i) => new CalibrationSample($"sample {i + 1}", tokens))], [])
            : throw new ArgumentException("Samples of at least one token are needed.", nameof(samples));
    }

    /// <summary>Reads, chooses and cuts the samples.</summary>
    /// <param name="options">What to take.</param>
    /// <param name="model">Its tokenizer and chat template are used.</param>
    /// <param name="compute">Threads.</param>
    /// <param name="cancellationToken">Stops between rows.</param>
    /// <exception cref="RequestException">The sources have too few rows, in all or of a length; the message says what was found.</exception>
    /// <exception cref="CheckpointException">A source is missing or damaged, or a row cannot be used.</exception>
    public static CalibrationData Load(CalibrationOptions options, GlmModel model, ComputeOptions compute, CancellationToken cancellationToken = default)
    {
        ArgumentNullException.ThrowIfNull(options);
        ArgumentNullException.ThrowIfNull(model);
        ArgumentNullException.ThrowIfNull(compute);
        options.Check();
        if (options.MaxLength > model.Context)
        {
            throw new RequestException($"samples of up to {options.MaxLength} tokens do not fit into the model's context of {model.Context}.");
        }

        SampleReader reader = new(model.Tokenizer, model.Template, model.Language.Config.VocabSize, options.Field);
        SampleRows[] sources = [.. options.Sources.Select(source => SampleRows.Open(source.Location, options.MaxLength, reader, options.Cache))];
        bool weighted = options.Sources[0].Weight is not null;
        int[] counts = weighted ? Apportionment.Divide(options.Samples, [.. options.Sources.Select(source => source.Weight!.Value)]) : [options.Samples];
        List<CalibrationSample> samples = [];
        List<string> notes = [];
        for (int pool = 0; pool < counts.Length; pool++)
        {
            string name = weighted ? options.Sources[pool].Location : string.Join(" and ", options.Sources.Select(source => source.Location));
            samples.AddRange(new SamplePool(name, weighted ? [sources[pool]] : sources, counts[pool], options, compute).Draw(notes, cancellationToken));
        }

        return new CalibrationData(options, samples, notes);
    }

    private static string HashOf(IReadOnlyList<CalibrationSample> samples, string settings)
    {
        using IncrementalHash hash = IncrementalHash.CreateHash(HashAlgorithmName.SHA256);
        hash.AppendData(Encoding.UTF8.GetBytes(settings));
        foreach (CalibrationSample sample in samples)
        {
            hash.AppendData(MemoryMarshal.AsBytes<int>([sample.Tokens.Length]));
            hash.AppendData(MemoryMarshal.AsBytes(sample.Tokens.AsSpan()));
        }

        return Convert.ToHexStringLower(hash.GetHashAndReset());
    }
}
