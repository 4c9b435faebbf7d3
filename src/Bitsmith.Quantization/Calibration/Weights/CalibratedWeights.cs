using System.Security.Cryptography;
using System.Text.Json;
using System.Text.Json.Serialization.Metadata;
using Bitsmith.Checkpoints;
using Bitsmith.Checkpoints.Safetensors;
using Bitsmith.Quantization.Calibration.Statistics;
using Bitsmith.Quantization.Jobs;
using Bitsmith.Quantization.Planning;

namespace Bitsmith.Quantization.Calibration.Weights;

/// <summary>
/// The tensors that calibration made, in a safetensors file for each decoder layer: the outputs of encoded weights under the names that the plan gives them, and tensors of the source that change but stay unquantized
/// (a norm, a router, a bias) under their own. <c>__metadata__</c> holds, as JSON, the loss of each weight's outputs under the weight's name, under <c>experts</c> the tokens of the layer's experts, and under
/// <c>sha256</c> the hash of everything else in the file. Where several plans were calibrated at once, their number and a slash stand in front of their names.
/// </summary>
public sealed class CalibratedWeights : IDisposable
{
    private const string ExpertsKey = "experts", HashKey = "sha256", StartOver = "Start over with --force.";

    private const int BufferBytes = 4 << 20;

    private readonly List<SafetensorsFile> files = [];
    private readonly Dictionary<string, (SafetensorsFile File, StoredTensor Tensor)> places = new(StringComparer.Ordinal);
    private readonly Dictionary<string, OutputLoss> losses = new(StringComparer.Ordinal);
    private readonly List<ExpertTokens> experts = [];

    private readonly string prefix;

    private CalibratedWeights(string prefix) => this.prefix = prefix;

    /// <summary>SHA-256 over all files, in hexadecimal; their names and places are not among it.</summary>
    public string Digest { get; private set; } = string.Empty;

    /// <summary>Tokens of experts, for each layer that has some.</summary>
    public IReadOnlyList<ExpertTokens> Experts => experts;

    /// <summary>Writes the file of a layer.</summary>
    /// <param name="target">Where it goes.</param>
    /// <param name="results">What the layer became; of several plans one behind the other.</param>
    /// <param name="experts">The tokens of the layer's experts, or null.</param>
    /// <exception cref="ArgumentException">A tensor's content has another length than its type and shape say, or a loss is no sum of squares.</exception>
    internal static void Write(Stream target, IReadOnlyList<LayerResults> results, ExpertTokens? experts = null)
    {
        ArgumentNullException.ThrowIfNull(target);
        ArgumentNullException.ThrowIfNull(results);
        (TensorInfo Tensor, ReadOnlyMemory<byte> Content)[] tensors =
            [.. results.SelectMany((result, plan) => result.Tensors.Select(made => (made.Tensor with { Name = PrefixOf(plan, results.Count) + made.Tensor.Name }, made.Content)))];
        if (tensors.FirstOrDefault(made => made.Content.Length != made.Tensor.Bytes) is ({ } wrong, var bytes))
        {
            throw new ArgumentException($"'{wrong.Name}' is {wrong.Describe()}, but has {bytes.Length} bytes.", nameof(results));
        }

        Dictionary<string, string> metadata = [];
        foreach ((string name, OutputLoss loss) in results.SelectMany((result, plan) => result.Losses.Select(loss => (PrefixOf(plan, results.Count) + loss.Key, loss.Value))).OrderBy(loss => loss.Item1, StringComparer.Ordinal))
        {
            metadata.Add(name, loss.IsValid ? JsonSerializer.Serialize(loss, CalibratedWeightsJson.Default.OutputLoss) : throw new ArgumentException($"'{name}' lost {loss}.", nameof(results)));
        }

        if (experts is not null)
        {
            metadata.Add(ExpertsKey, JsonSerializer.Serialize(experts, CalibratedWeightsJson.Default.ExpertTokens));
        }

        TensorInfo[] infos = [.. tensors.Select(tensor => tensor.Tensor)];
        using IncrementalHash hash = IncrementalHash.CreateHash(HashAlgorithmName.SHA256);
        hash.AppendData(SafetensorsLayout.Create(infos, metadata).HeaderBytes.Span);
        foreach ((_, ReadOnlyMemory<byte> content) in tensors)
        {
            hash.AppendData(content.Span);
        }

        metadata.Add(HashKey, Convert.ToHexStringLower(hash.GetHashAndReset()));
        target.Write(SafetensorsLayout.Create(infos, metadata).HeaderBytes.Span);
        foreach ((_, ReadOnlyMemory<byte> content) in tensors)
        {
            target.Write(content.Span);
        }
    }

    /// <summary>Opens the files of a calibration and checks every byte of them.</summary>
    /// <param name="files">The files of all layers.</param>
    /// <param name="plan">Of calibrations of several plans, the number of the one whose results are wanted.</param>
    /// <param name="plans">How many plans were calibrated.</param>
    /// <param name="cancellationToken">Stops between files.</param>
    /// <exception cref="CheckpointException">A file is missing or damaged, or two hold the same tensor.</exception>
    /// <exception cref="OperationCanceledException">Cancelled.</exception>
    public static CalibratedWeights Open(IEnumerable<string> files, int plan = 0, int plans = 1, CancellationToken cancellationToken = default)
    {
        ArgumentNullException.ThrowIfNull(files);
        CalibratedWeights weights = new(PrefixOf(plan, plans));
        try
        {
            using IncrementalHash all = IncrementalHash.CreateHash(HashAlgorithmName.SHA256);
            foreach (string path in files)
            {
                weights.Add(path, all, cancellationToken);
            }

            weights.Digest = Convert.ToHexStringLower(all.GetHashAndReset());
            return weights;
        }
        catch
        {
            weights.Dispose();
            throw;
        }
    }

    /// <summary>Whether there is such a tensor.</summary>
    public bool Has(string tensorName) => places.ContainsKey(tensorName);

    /// <summary>Reads bytes of a tensor.</summary>
    /// <param name="tensorName">The tensor; see <see cref="Has"/>.</param>
    /// <param name="offset">The first byte, from the tensor's start.</param>
    /// <param name="target">Receives the bytes.</param>
    /// <exception cref="ArgumentOutOfRangeException">They are not inside the tensor.</exception>
    /// <exception cref="CheckpointException">The file cannot be read any more.</exception>
    public void Read(string tensorName, long offset, Span<byte> target)
    {
        (SafetensorsFile file, StoredTensor tensor) = places[tensorName];
        ArgumentOutOfRangeException.ThrowIfNegative(offset);
        ArgumentOutOfRangeException.ThrowIfGreaterThan(offset + target.Length, tensor.Bytes, nameof(target));
        file.Read(tensor.Offset + offset, target);
    }

    /// <summary>What the outputs of a Linear lost, by the name of its weight in the source; null where it was not measured.</summary>
    public OutputLoss? LossOf(string weightName) => losses.GetValueOrDefault(weightName);

    /// <summary>Whether what is written for a tensor of the source comes from here.</summary>
    internal bool Holds(PlanRow row) => Has(row.Outputs[0].Name);

    /// <summary>The outputs of an encoded weight that is <see cref="Holds">held</see> which are not stored row by row, one behind the other.</summary>
    internal byte[] Constants(PlanRow row)
    {
        TensorInfo[] constants = [.. row.Outputs.Skip(row.Group!.Storage.RowOutputs)];
        byte[] bytes = new byte[constants.Sum(output => output.Bytes)];
        int at = 0;
        foreach (TensorInfo output in constants)
        {
            Read(output.Name, 0, bytes.AsSpan(at, (int)output.Bytes));
            at += (int)output.Bytes;
        }

        return bytes;
    }

    /// <summary>Compares with the plan: every tensor has its place there, and what belongs together is there together.</summary>
    /// <exception cref="CheckpointException">The files are not of this plan.</exception>
    /// <exception cref="JobException">A weight that needs calibration is not there.</exception>
    internal void Check(QuantizationPlan plan)
    {
        Dictionary<string, TensorInfo> known = plan.Rows.SelectMany(row => row.Outputs).ToDictionary(output => output.Name, StringComparer.Ordinal);
        foreach ((string name, (SafetensorsFile file, StoredTensor tensor)) in places)
        {
            string expected = known.TryGetValue(name, out TensorInfo? output) ? output.Describe() : "no such tensor";
            Require(tensor.Describe() == expected, file, $"'{name}' is {tensor.Describe()}, expected {expected}");
        }

        ILookup<string, PlanRow> fused = plan.Rows.ToLookup(row => row.Fusion ?? string.Empty, StringComparer.Ordinal);
        foreach (PlanRow row in plan.Rows.Where(Holds))
        {
            IEnumerable<string> partners = row.Fusion is { } key ? fused[key].Select(partner => partner.Outputs[0].Name) : [];
            string? missing = row.Outputs.Select(output => output.Name).Concat(partners).FirstOrDefault(name => !Has(name));
            Require(missing is null, places[row.Outputs[0].Name].File, $"'{row.Outputs[0].Name}' is there, but not '{missing}', which belongs to it");
        }

        if (plan.Rows.FirstOrDefault(row => row.Group?.Storage.HasInputGlobalScale == true && !Holds(row)) is { } uncalibrated)
        {
            throw new JobException($"calibration left out '{uncalibrated.Source.Name}', whose inputs' scale it was to find. This is a bug in Bitsmith.");
        }

        static void Require(bool condition, SafetensorsFile file, string problem)
        {
            if (!condition)
            {
                throw new CheckpointException(file.Path, $"{problem}. {StartOver}");
            }
        }
    }

    /// <inheritdoc/>
    public void Dispose() => files.ForEach(file => file.Dispose());

    private void Add(string path, IncrementalHash all, CancellationToken cancellationToken)
    {
        SafetensorsFile file = SafetensorsFile.Open(path);
        files.Add(file);
        string hash = HashOf(file, cancellationToken);
        if (file.Header.Metadata.GetValueOrDefault(HashKey) != hash)
        {
            throw new CheckpointException(path, $"its content does not have the hash that it says. It is damaged, or was not written by a calibration. {StartOver}");
        }

        all.AppendData(Convert.FromHexString(hash));
        foreach (StoredTensor tensor in file.Header.Tensors.Where(tensor => tensor.Name.StartsWith(prefix, StringComparison.Ordinal)))
        {
            if (!places.TryAdd(tensor.Name[prefix.Length..], (file, tensor)))
            {
                throw new CheckpointException(path, $"'{tensor.Name}' stands in {Path.GetFileName(places[tensor.Name[prefix.Length..]].File.Path)} too. {StartOver}");
            }
        }

        foreach ((string key, string text) in file.Header.Metadata.Where(entry => entry.Key != HashKey))
        {
            if (key == ExpertsKey)
            {
                experts.Add(Parse(path, key, text, CalibratedWeightsJson.Default.ExpertTokens, tokens => tokens.Seen.Count == tokens.Routed.Count && tokens.Routed.Count > 0));
            }
            else if (key.StartsWith(prefix, StringComparison.Ordinal))
            {
                losses[key[prefix.Length..]] = Parse(path, key, text, CalibratedWeightsJson.Default.OutputLoss, loss => loss.IsValid);
            }
        }
    }

    /// <summary>The hash of all but the hash: of the header without it, and of the data.</summary>
    private static string HashOf(SafetensorsFile file, CancellationToken cancellationToken)
    {
        using IncrementalHash hash = IncrementalHash.CreateHash(HashAlgorithmName.SHA256);
        Dictionary<string, string> metadata = file.Header.Metadata.Where(entry => entry.Key != HashKey).ToDictionary();
        hash.AppendData(SafetensorsLayout.Create(file.Header.Tensors, metadata).HeaderBytes.Span);
        byte[] buffer = new byte[(int)Math.Min(BufferBytes, file.Length)];
        for (long position = file.Header.Bytes; position < file.Length; position += buffer.Length)
        {
            cancellationToken.ThrowIfCancellationRequested();
            Span<byte> part = buffer.AsSpan(0, (int)Math.Min(buffer.Length, file.Length - position));
            file.Read(position, part);
            hash.AppendData(part);
        }

        return Convert.ToHexStringLower(hash.GetHashAndReset());
    }

    /// <summary>What stands in front of the names of a plan's tensors where there are several.</summary>
    private static string PrefixOf(int plan, int plans) => plans == 1 ? string.Empty : $"{plan}/";

    private static T Parse<T>(string path, string key, string text, JsonTypeInfo<T> type, Predicate<T> isValid)
        where T : class
    {
        try
        {
            return JsonSerializer.Deserialize(text, type) is { } value && isValid(value) ? value : throw new JsonException("its numbers make no sense.");
        }
        catch (JsonException problem)
        {
            throw new CheckpointException(path, $"__metadata__.{key}: {problem.Message} {StartOver}", problem);
        }
    }
}
