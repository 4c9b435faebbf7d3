using System.Text;
using System.Text.Json;
using System.Text.Json.Serialization;
using System.Text.RegularExpressions;
using Bitsmith.Checkpoints;
using Bitsmith.Quantization.Jobs;
using Bitsmith.Quantization.Mixes;

namespace Bitsmith.Quantization.Allocation;

/// <summary>A type for every tensor, with what speaks for it: <c>allocation.json</c>, which people may read, change and give back. Holds no time, path or machine.</summary>
public sealed record AllocationPlan
{
    /// <summary>Version of this layout.</summary>
    public const int CurrentFormat = 1;

    /// <summary>Version of this layout that the file has.</summary>
    public required int Format { get; init; }

    /// <summary>The Bitsmith that made it.</summary>
    public required string Version { get; init; }

    /// <summary>What was asked for.</summary>
    public required AllocationTarget Target { get; init; }

    /// <summary>What counted as loss.</summary>
    public required AllocationMethod Method { get; init; }

    /// <summary>llama.cpp's file type whose size comes nearest; it names the result.</summary>
    public required string Scheme { get; init; }

    /// <summary>Elements of the original model.</summary>
    public required long Elements { get; init; }

    /// <summary>Bytes of all tensors, those that are not quantized too.</summary>
    public required long TensorBytes { get; init; }

    /// <summary>Bits of these for each element of the original model.</summary>
    public required double BitsPerWeight { get; init; }

    /// <summary>What all tensors lose by the method's measure.</summary>
    public required double Cost { get; init; }

    /// <summary>No types within the target lose less by that measure; equal to <see cref="Cost"/> where that is proved of these.</summary>
    public required double LowerBound { get; init; }

    /// <summary>SHA-256 of the importance matrix, or null.</summary>
    public required string? Imatrix { get; init; }

    /// <summary>The tensors that are quantized.</summary>
    public required IReadOnlyList<AllocatedTensor> Tensors { get; init; }

    /// <summary>The types, of tensors to which options give none, as overrides; each is a line of the file that llama-quantize takes with <c>--tensor-type-file</c>.</summary>
    /// <param name="options">The options.</param>
    public IEnumerable<TensorTypeOverride> OverridesBeside(MixOptions options)
    {
        ArgumentNullException.ThrowIfNull(options);
        return Tensors.Where(tensor => !options.Gives(tensor.Name)).Select(tensor => new TensorTypeOverride($"^{Regex.Escape(tensor.Name)}$={tensor.Type.ToLowerInvariant()}", "allocation"));
    }

    /// <summary>Reads a plan.</summary>
    /// <exception cref="CheckpointException">The file is missing or no plan.</exception>
    /// <exception cref="RequestException">It names a type that there is not.</exception>
    public static AllocationPlan Load(string path)
    {
        try
        {
            AllocationPlan plan = JsonSerializer.Deserialize(File.ReadAllBytes(path), AllocationJson.Default.AllocationPlan) ?? throw new JsonException("it is empty.");
            if (plan.Format != CurrentFormat)
            {
                throw new CheckpointException(path, $"has format {plan.Format}; this Bitsmith reads format {CurrentFormat}.");
            }

            if (plan.Tensors.CountBy(tensor => tensor.Name).FirstOrDefault(pair => pair.Value > 1) is { Key: { } twice })
            {
                throw new CheckpointException(path, $"names '{twice}' twice.");
            }

            foreach (AllocatedTensor tensor in plan.Tensors)
            {
                MixOptions.ParseType(tensor.Type);
            }

            return plan;
        }
        catch (Exception problem) when (problem is IOException or UnauthorizedAccessException or JsonException or NotSupportedException)
        {
            throw new CheckpointException(path, $"is no allocation of Bitsmith: {problem.Message}", problem);
        }
    }

    /// <summary>Writes the types in the form of llama-quantize's <c>--tensor-type-file</c>, with which stock llama.cpp makes a file of the same types.</summary>
    /// <param name="path">The file.</param>
    /// <param name="options">Options that give further types.</param>
    /// <exception cref="JobException">The system refused.</exception>
    public void SaveTypes(string path, MixOptions options)
    {
        ArgumentNullException.ThrowIfNull(options);
        DurableFile.WriteAtomically(path, Encoding.UTF8.GetBytes(string.Concat(options.Overrides.Concat(OverridesBeside(options)).Select(entry => entry.Text + "\n"))));
    }

    /// <summary>Where the plan of a result stands: beside it.</summary>
    public static string PathFor(string result)
    {
        ArgumentNullException.ThrowIfNull(result);
        return (result.EndsWith(".gguf", StringComparison.OrdinalIgnoreCase) ? result[..^".gguf".Length] : result) + ".allocation.json";
    }

    /// <summary>The plan as JSON.</summary>
    public string ToJson() => JsonSerializer.Serialize(this, AllocationJson.Default.AllocationPlan);

    /// <summary>Writes the plan, beside its final name first.</summary>
    /// <exception cref="JobException">The system refused.</exception>
    public void Save(string path) => DurableFile.WriteAtomically(path, JsonSerializer.SerializeToUtf8Bytes(this, AllocationJson.Default.AllocationPlan));
}

/// <summary>A tensor's type.</summary>
/// <param name="Name">The tensor.</param>
/// <param name="Type">Its type.</param>
/// <param name="Bytes">Its bytes.</param>
/// <param name="Cost">What it loses by the method's measure; null where the type was given.</param>
/// <param name="Reason">What speaks for it.</param>
public sealed record AllocatedTensor(string Name, string Type, long Bytes, double? Cost, string Reason);

[JsonSourceGenerationOptions(
    WriteIndented = true,
    PropertyNamingPolicy = JsonKnownNamingPolicy.SnakeCaseLower,
    UseStringEnumConverter = true,
    RespectNullableAnnotations = true,
    RespectRequiredConstructorParameters = true)]
[JsonSerializable(typeof(AllocationPlan))]
internal sealed partial class AllocationJson : JsonSerializerContext;
