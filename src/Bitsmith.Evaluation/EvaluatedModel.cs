using Bitsmith.Checkpoints;
using Bitsmith.Checkpoints.Inspection;
using Bitsmith.Evaluation.Speed;
using Bitsmith.Evaluation.Texts;
using Bitsmith.Models;
using Bitsmith.Models.Layers;
using Bitsmith.Models.Text;
using Bitsmith.Models.Weights;
using Bitsmith.Tensors.ElementTypes;
using Bitsmith.Tensors.Matrices;

namespace Bitsmith.Evaluation;

/// <summary>What becomes of the inputs of Linears.</summary>
public enum ActivationMode
{
    /// <summary>
    /// As where the model will run: quantized where the checkpoint's scheme quantizes them, rounded to 8 bits where they meet GGML blocks, as llama.cpp does, and to BF16 where they meet BF16 weights on a CPU with such products.
    /// </summary>
    Scheme,

    /// <summary>Exact: only what the weights have lost is measured.</summary>
    Exact,

    /// <summary>As transformers computes in bfloat16: every operation rounds; what the scheme quantizes stays quantized.</summary>
    BFloat16,
}

/// <summary>How a model is run to be measured.</summary>
/// <param name="Threads">Threads.</param>
/// <param name="Activations">What becomes of the inputs of Linears.</param>
/// <param name="CacheType">What keys and values are stored as.</param>
public sealed record EvaluationSettings(int Threads, ActivationMode Activations = ActivationMode.Scheme, ElementType CacheType = ElementType.F16)
{
    /// <summary>Threads and kernels.</summary>
    public ComputeOptions Compute => ComputeOptions.On(Threads, Activations != ActivationMode.Scheme) with { BFloat16Results = Activations == ActivationMode.BFloat16 };
}

/// <summary>A model opened to be measured: its language model and tokenizer. Chat template and vision tower are not needed.</summary>
public sealed class EvaluatedModel : IDisposable
{
    private readonly ModelWeights weights;

    private EvaluatedModel(ModelWeights weights, string path, EvaluationSettings settings)
    {
        (this.weights, Settings) = (weights, settings);
        Language = LanguageModel.Create(weights, settings.Compute, settings.Activations == ActivationMode.Exact);
        Tokenizer = weights.ReadTokenizer();
        Conditions = Describe(path);
    }

    /// <summary>How it is run.</summary>
    public EvaluationSettings Settings { get; }

    /// <summary>The language model.</summary>
    public LanguageModel Language { get; }

    /// <summary>The tokenizer.</summary>
    public Tokenizer Tokenizer { get; }

    /// <summary>What was measured and how it was run, for reports.</summary>
    public ModelConditions Conditions { get; }

    /// <summary>Opens a model.</summary>
    /// <param name="path">A Hugging Face folder or a GGUF file.</param>
    /// <param name="settings">How to run it.</param>
    /// <exception cref="CheckpointException">The model is incomplete or cannot be run; the message says why.</exception>
    public static EvaluatedModel Open(string path, EvaluationSettings settings)
    {
        ArgumentNullException.ThrowIfNull(settings);
        ModelWeights weights = ModelWeights.Open(path);
        try
        {
            return new EvaluatedModel(weights, path, settings);
        }
        catch
        {
            weights.Dispose();
            throw;
        }
    }

    /// <inheritdoc/>
    public void Dispose() => weights.Dispose();

    /// <summary>Refuses a loss that is no number: the logits that it is from were not finite.</summary>
    /// <exception cref="CheckpointException">It is NaN.</exception>
    internal void RequireNumber(double loss, in ChunkPass part, int row)
    {
        if (double.IsNaN(loss))
        {
            (int chunk, int position) = part.PlaceOf(row);
            throw new CheckpointException(Conditions.Model, $"computes logits that are not finite, at position {position} of chunk {chunk}. The weights are damaged, or the scheme was misread.");
        }
    }

    private ModelConditions Describe(string path)
    {
        CheckpointSummary summary = CheckpointSummary.Create(path);
        ComputeOptions compute = Settings.Compute;
        return new ModelConditions(
            path,
            summary.ModelType,
            summary.Parameters,
            summary.TensorBytes,
            summary.BitsPerWeight,
            summary.Quantization,
            Settings.Activations switch { ActivationMode.Exact => "exact", ActivationMode.BFloat16 => "bf16", _ => "scheme" },
            [.. Language.Layers.SelectMany(layer => layer.Linears).GroupBy(linear => Input(linear, compute), (form, linears) => $"{form} ({linears.Count()} Linears)")],
            Settings.CacheType.SafetensorsName().ToLowerInvariant(),
            Settings.Threads,
            compute.InstructionSet.ToString().ToLowerInvariant(),
            Machine.CpuName,
            Machine.Version);
    }

    private static string Input(Linear linear, ComputeOptions compute)
    {
        string precision = linear.Weight.InputPrecision(compute);
        return linear.InputScheme is { } scheme ? $"{scheme}, then {precision}" : precision;
    }
}

/// <summary>Which model was measured, and how it was run.</summary>
/// <param name="Model">The folder or file.</param>
/// <param name="ModelType"><c>model_type</c>, of a GGUF file its architecture.</param>
/// <param name="Parameters">Parameters of the checkpoint.</param>
/// <param name="WeightBytes">Bytes of all its tensors.</param>
/// <param name="BitsPerWeight">Tensor bits over parameters.</param>
/// <param name="Quantization">The quantization, one line for each group; empty where there is none.</param>
/// <param name="Activations"><c>scheme</c>, <c>exact</c> or <c>bf16</c>, see <see cref="ActivationMode"/>.</param>
/// <param name="Inputs">What the inputs of the decoder's Linears were rounded to, and how many so.</param>
/// <param name="CacheType">What keys and values were stored as.</param>
/// <param name="Threads">Threads.</param>
/// <param name="InstructionSet">The kernels.</param>
/// <param name="Cpu">The processor's name.</param>
/// <param name="Version">Bitsmith's version and commit.</param>
public sealed record ModelConditions(
    string Model,
    string? ModelType,
    long Parameters,
    long WeightBytes,
    double BitsPerWeight,
    IReadOnlyList<string> Quantization,
    string Activations,
    IReadOnlyList<string> Inputs,
    string CacheType,
    int Threads,
    string InstructionSet,
    string Cpu,
    string Version);
