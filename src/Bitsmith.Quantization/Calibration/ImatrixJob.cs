using Bitsmith.Checkpoints;
using Bitsmith.Checkpoints.Imatrix;
using Bitsmith.Evaluation.Texts;
using Bitsmith.Models;
using Bitsmith.Models.Layers;
using Bitsmith.Quantization.Jobs;
using Bitsmith.Tensors.Matrices;

namespace Bitsmith.Quantization.Calibration;

/// <summary>
/// Computes the importance matrix of a model over a text. Chunks run a batch at a time, layer by layer, so that memory holds the weights of one layer, the hidden states of a batch and
/// the sums. What is done is saved beside the output every few chunks; a job that goes on from there ends with the bytes of one that was never interrupted.
/// </summary>
public sealed class ImatrixJob : IDisposable
{
    private const string JobKey = "bitsmith.imatrix.job", Partial = ".partial";

    // Of hidden states in a batch; the more chunks, the less often weights are read.
    private const long BatchBytes = 256 << 20;

    private readonly ImatrixOptions options;
    private readonly GlmModel model;
    private readonly TextChunks chunks;
    private readonly InputStatistics statistics;
    private readonly List<(string Path, ImportanceMatrix Matrix)> added;
    private readonly List<string> warnings = [];
    private readonly string fingerprint;
    private int done;

    private ImatrixJob(ImatrixOptions options, GlmModel model, ComputeOptions compute)
    {
        (this.options, this.model) = (options, model);
        chunks = TextChunks.Read(options.Text, model.Tokenizer, options.Chunks with { First = model.Tokenizer.First });
        if (chunks.Size > model.Context)
        {
            throw new RequestException($"chunks of {chunks.Size} tokens do not fit into the model's context of {model.Context}.");
        }

        statistics = new InputStatistics(options.Model, model.Language.Config, options.ProcessOutput, compute);
        added = [.. options.Added.Select(path => (path, ImportanceMatrix.Load(path)))];
        fingerprint = ModelFingerprint.Of($"{Settings(compute)}\n{options.ProcessOutput}\n{chunks.Digest} {chunks.First}", model.Language, compute);
        if (options.Resume && File.Exists(options.Output + Partial))
        {
            Restore();
        }
    }

    /// <summary>The chunks that are run.</summary>
    public TextChunks Chunks => chunks;

    /// <summary>Chunks that an interrupted run has done.</summary>
    public int Restored { get; private set; }

    /// <summary>Opens and checks model, text and output.</summary>
    /// <exception cref="RequestException">The output exists, an interrupted job is in the way or was another one, or the chunks do not fit the model.</exception>
    /// <exception cref="CheckpointException">Model or text is broken.</exception>
    public static ImatrixJob Prepare(ImatrixOptions options)
    {
        ArgumentNullException.ThrowIfNull(options);
        if (!options.Force && File.Exists(options.Output))
        {
            throw new RequestException($"{options.Output} exists. Choose another name, or replace it with --force.");
        }

        if (!options.Force && !options.Resume && File.Exists(options.Output + Partial))
        {
            throw new RequestException($"{options.Output + Partial} is of an interrupted job. Go on with --resume, or start over with --force.");
        }

        ComputeOptions compute = ComputeOptions.On(options.Threads, options.ExactActivations);
        GlmModel model = GlmModel.Open(options.Model, compute, options.ExactActivations);
        try
        {
            return new ImatrixJob(options, model, compute);
        }
        catch
        {
            model.Dispose();
            throw;
        }
    }

    /// <summary>What a user must know of the result.</summary>
    public IReadOnlyList<string> Warnings => warnings;

    /// <summary>Does the work and writes the result.</summary>
    /// <param name="progress">Told after each layer of a batch of chunks, and after the batch.</param>
    /// <param name="cancellationToken">Stops between chunks; what was saved stays.</param>
    /// <exception cref="CheckpointException">The model computes what is no finite number, or a file to be added is of another model.</exception>
    /// <exception cref="IOException">The system refused to write.</exception>
    /// <exception cref="OperationCanceledException">Cancelled.</exception>
    public ImportanceMatrix Run(IProgress<ImatrixProgress>? progress, CancellationToken cancellationToken)
    {
        int most = (int)Math.Clamp(BatchBytes / ((long)chunks.Size * model.Language.Config.HiddenSize * sizeof(float)), 1, options.SaveFrequency);
        using ForwardPass pass = model.Language.NewPass(statistics, options.AllExperts);
        Save(); // before the first chunk: a full disk or a missing permission shows now
        while (done < chunks.Count)
        {
            int untilSaved = options.SaveFrequency - (done % options.SaveFrequency), count = Math.Min(Math.Min(most, untilSaved), chunks.Count - done);
            RunBatch(pass, count, progress, cancellationToken);
            done += count;
            if (done % options.SaveFrequency == 0 && done < chunks.Count)
            {
                Save();
            }

            progress?.Report(new ImatrixProgress(done, chunks.Count, 0, 0, model.Language.Layers.Count));
        }

        ImportanceMatrix result = Matrix(KeyValuePair.Create("bitsmith.imatrix.settings", Settings(pass.Compute)));
        if (added.Count > 0)
        {
            result = ImatrixMerge.Merge([.. added, (options.Output, result)], chunks.Size, warnings);
        }

        warnings.AddRange(result.Entries.Where(entry => entry.Value.Unseen > 0).Select(entry =>
            $"{entry.Key}: {entry.Value.Unseen} of {entry.Value.Counts.Length} experts saw no token and are weighed alike in all columns{(options.AllExperts ? string.Empty : "; more text or --all-experts helps")}"));
        result.Save(options.Output, options.Format);
        File.Delete(options.Output + Partial);
        return result;
    }

    /// <inheritdoc/>
    public void Dispose() => model.Dispose();

    private void RunBatch(ForwardPass pass, int count, IProgress<ImatrixProgress>? progress, CancellationToken cancellationToken)
    {
        LanguageModel language = model.Language;
        float[][] hidden = [.. Enumerable.Range(done, count).Select(chunk => language.Embed(chunks.ToRun(chunk)))];
        for (int layer = 0; layer < language.Layers.Count; layer++)
        {
            // Every chunk starts at position 0.
            using KvCache cache = language.NewLayerCache(layer, chunks.Size);
            for (int chunk = 0; chunk < count; chunk++)
            {
                cancellationToken.ThrowIfCancellationRequested();
                statistics.Chunk = done + chunk;
                language.Begin(pass, new SequenceRun(cache, chunks.Size));
                language.RunLayers(hidden[chunk], pass, layer, 1);
            }

            language.ReleaseLayer(layer);
            progress?.Report(new ImatrixProgress(done, chunks.Count, count, layer + 1, language.Layers.Count));
        }

        for (int chunk = 0; statistics.Output is not null && chunk < count; chunk++)
        {
            language.Normalize(hidden[chunk]);
            statistics.AddOutput(hidden[chunk], chunks.Size);
        }
    }

    private ImportanceMatrix Matrix(KeyValuePair<string, string> note) => new(statistics.Entries)
    {
        Datasets = [Path.GetFileName(options.Text)],
        ChunkCount = done,
        ChunkSize = chunks.Size,
        Notes = [note],
    };

    private void Save() => Matrix(KeyValuePair.Create(JobKey, fingerprint)).Save(options.Output + Partial, ImatrixFormat.Gguf);

    private void Restore()
    {
        string path = options.Output + Partial;
        ImportanceMatrix saved = ImportanceMatrix.Load(path);
        if (saved.Notes.FirstOrDefault(note => note.Key == JobKey).Value != fingerprint)
        {
            throw new RequestException($"{path} is of another job: another model, text, option, instruction set or version of Bitsmith. Start over with --force, or repeat the command as it was.");
        }

        statistics.Restore(saved, path);
        Restored = done = saved.ChunkCount <= chunks.Count ? saved.ChunkCount : throw new CheckpointException(path, $"has seen {saved.ChunkCount} chunks; the text has {chunks.Count}. Start over with --force.");
    }

    private string Settings(ComputeOptions compute) => string.Join(", ",
        [
            $"context {chunks.Size}", $"chunks {options.Chunks.Skip} to {options.Chunks.Skip + chunks.Count - 1}", options.AllExperts ? "all experts" : "routed experts",
            options.ExactActivations ? "exact activations" : "activations as the scheme says", compute.BFloat16Inputs ? "BF16 products" : "F32 products",
            compute.InstructionSet.ToString(), $"bitsmith {QuantizationJob.Version}",
        ]);
}
