using System.CommandLine;
using Bitsmith.Cli.Rendering;
using Bitsmith.Tensors.ElementTypes;

namespace Bitsmith.Cli.Commands;

/// <summary>Options that read the same in every command.</summary>
internal static class CommonOptions
{
    private static readonly Dictionary<string, ElementType> CacheTypes = new() { ["f32"] = ElementType.F32, ["bf16"] = ElementType.BF16, ["f16"] = ElementType.F16, ["fp8"] = ElementType.F8E4M3 };

    public const string ModelDescription = "A Hugging Face model folder, original or FP8, or a GGUF file (of a split one, any of its files).";

    public static Option<string?> Mmproj() => new("--mmproj") { Description = "The GGUF file with the vision tower that belongs to a GGUF MODEL." };

    public static Option<int> Threads()
    {
        Option<int> threads = new("--threads") { Description = "Threads; default: all cores.", DefaultValueFactory = _ => Environment.ProcessorCount };
        return threads.AtLeastOne();
    }

    public static Option<int> AtLeastOne(this Option<int> option) => option.AtLeast(1);

    public static Option<T> AtLeast<T>(this Option<T> option, int least)
    {
        option.Validators.Add(result =>
        {
            if (result.GetValueOrDefault<int?>() < least)
            {
                result.AddError($"{option.Name} must be at least {least}.");
            }
        });
        return option;
    }

    public static Option<bool> Json() => new("--json") { Description = "Print the result as JSON." };

    public static Option<double?> FramesPerSecond()
    {
        Option<double?> rate = new("--fps") { Description = "Frames a second of every --video; the model's processor then takes as many frames as it does of such a video. Without it all frames are taken." };
        rate.Validators.Add(result =>
        {
            if (result.GetValueOrDefault<double?>() is double value && !(value > 0 && double.IsFinite(value)))
            {
                result.AddError("--fps must be above 0.");
            }
        });
        return rate;
    }

    public static Option<string> CacheType()
    {
        Option<string> type = new("--cache-type") { Description = "What keys and values are stored as: f16 (default), bf16, f32, or fp8 (without scales, as vLLM's with scale 1).", DefaultValueFactory = _ => "f16" };
        type.AcceptOnlyFromAmong([.. CacheTypes.Keys]);
        return type;
    }

    /// <summary>The type that a value of <see cref="CacheType"/> stands for.</summary>
    public static ElementType CacheTypeOf(string name) => CacheTypes[name];

    private const string ExactActivations = "exact: inputs stay exact where the scheme quantizes them, and where the CPU's BF16 products would round them.";

    public static Option<string> Activations() => Activations("--activations", "scheme", ExactActivations, "exact");

    /// <summary><see cref="Activations()"/>, with the arithmetic of a deployment in BF16.</summary>
    public static Option<string> ActivationsOrBFloat16(string name = "--activations", string byDefault = "scheme") =>
        Activations(name, byDefault, $"{ExactActivations} bf16: every operation rounds to BF16, as transformers does in bfloat16 with eager attention, and keys and values are stored so; slow.", "exact", BFloat16);

    /// <summary>The value of <see cref="ActivationsOrBFloat16"/>.</summary>
    public const string BFloat16 = "bf16";

    private static Option<string> Activations(string name, string byDefault, string description, params string[] values)
    {
        Option<string> activations = new(name) { Description = description, DefaultValueFactory = _ => byDefault };
        activations.AcceptOnlyFromAmong(["scheme", .. values]);
        return activations;
    }

    public static Option<long?> Size(string name, string description) => new(name)
    {
        Description = description,
        CustomParser = result =>
        {
            try
            {
                return Units.ParseBytes(result.Tokens.Single().Value);
            }
            catch (FormatException problem)
            {
                result.AddError($"{name}: {problem.Message}.");
                return null;
            }
        },
    };
}
