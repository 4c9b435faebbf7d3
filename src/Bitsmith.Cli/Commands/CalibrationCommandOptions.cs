using System.CommandLine;
using Bitsmith.Checkpoints.Datasets;
using Bitsmith.Quantization.Allocation;
using Bitsmith.Quantization.Calibration;
using Bitsmith.Quantization.Calibration.Data;
using Bitsmith.Quantization.Calibration.Statistics;
using Bitsmith.Quantization.Calibration.Weights;
using Bitsmith.Quantization.Jobs;
using Bitsmith.Quantization.Manifests;
using Bitsmith.Quantization.Recipes;
using Bitsmith.Tensors.Formats;

namespace Bitsmith.Cli.Commands;

/// <summary>Options of plan and quantize for calibration, and how they become a <see cref="QuantizationCalibration"/>.</summary>
internal sealed class CalibrationCommandOptions
{
    private readonly Option<string[]> sources = new("--calibration") { Description = "Calibration samples: a data set (.jsonl, .parquet, .json, .csv with messages, text or input_ids), a text, a folder of either, or ORG/NAME:SPLIT of the Hugging Face cache; SOURCE=WEIGHT gives it a share. May be repeated.", AllowMultipleArgumentsPerToken = false, DefaultValueFactory = _ => [] };
    private readonly Option<int?> samples = new Option<int?>("--num-samples") { Description = $"Number of samples (default {CalibrationOptions.DefaultSamples})." }.AtLeast(1);
    private readonly Option<int?> maxLength = new Option<int?>("--max-length") { Description = $"Most tokens of a sample; what is behind them is cut off (default {CalibrationOptions.DefaultMaxLength})." }.AtLeast(1);
    private readonly Option<string?> lengths = new("--length-class") { Description = "Shares of lengths in tokens, for example '256-1024: 90%, 1024-2048: 10%'." };
    private readonly Option<uint?> seed = new("--seed") { Description = $"Seed of the choice of samples (default {CalibrationOptions.DefaultSeed})." };
    private readonly Option<bool> clip = new("--clip") { Description = "With --method awq: limits the weights of a group where that costs less than a coarser scale." };
    private readonly Option<bool?> allExperts = new("--calibrate-all-experts") { Description = "Every expert sees every token (default true); false: those that the router gives it." };
    private readonly Option<bool> allowUnseen = new("--allow-unseen-experts") { Description = "An expert that no token was routed to is fitted to all tokens instead of being an error." };
    private readonly Option<TokenWeighting?> weighting = new("--expert-weighting") { Description = "alike (default): all tokens that an expert sees count alike. router: by the square of the router's weight for the expert." };
    private readonly Option<Propagation?> propagation = new("--propagate") { Description = "quantized (default): each layer sees what the quantized ones before it compute. original: what the original ones do." };

    public CalibrationCommandOptions() => Method.AcceptOnlyFromAmong([.. CalibrationMethods.All.Select(known => known.Name), .. AllocationMethods.All.Select(known => known.Name)]);

    /// <summary>How weights are fitted to samples; of targets of size, what counts as loss.</summary>
    public Option<string?> Method { get; } = new("--method")
    {
        Description = "With --calibration: rtn: round to nearest. search: scales of least error on the samples. awq: activation-aware scales. gptq (default): rounding that makes good its own errors. awq+gptq: both. With --target-bpw or --target-size, what counts as loss: output-error (default): the expected squared error of the tensors' outputs. weight-error: relative errors of weights, certain tensors counting ten times.",
    };

    /// <summary>All of them.</summary>
    public IReadOnlyList<Option> All => [sources, .. Settings];

    private Option[] Settings => [samples, maxLength, lengths, seed, Method, clip, allExperts, allowUnseen, weighting, propagation];

    /// <summary>Reads the options; null where nothing is to be calibrated.</summary>
    /// <param name="parsed">The command line.</param>
    /// <param name="recipe">The recipe; it may name a method.</param>
    /// <param name="repeated">The calibration of the result that is to be made again, or null.</param>
    /// <param name="encoder">How scales are chosen, where that was said.</param>
    /// <param name="usual">What each layer sees where nothing is said.</param>
    /// <exception cref="RequestException">Options contradict each other, or data are missing.</exception>
    public QuantizationCalibration? Read(ParseResult parsed, Recipe recipe, ManifestCalibration? repeated, WeightEncoder? encoder, Propagation usual)
    {
        CalibrationSource[] data = [.. parsed.GetValue(sources)!.Select(CalibrationSource.Parse)];
        Option? setting = Array.Find(Settings, option => parsed.GetResult(option) is { Implicit: false });
        DatasetCache cache = DatasetCache.Of(Environment.GetEnvironmentVariable, Environment.GetFolderPath(Environment.SpecialFolder.UserProfile));
        if (repeated is not null)
        {
            string names = string.Join(", ", repeated.Sources.Select(source => source.Location));
            return setting is not null ? throw new RequestException($"{setting.Name}: the manifest that serves as recipe says how it was calibrated. Leave it out.")
                : data.Length == 0 && !repeated.Sources.All(source => DatasetCache.IsName(source.Location)) ? throw new RequestException($"the result that is to be made again was calibrated on {names}. Give the same data with --calibration.")
                : repeated.ToOptions(data, cache);
        }

        if (data.Length == 0)
        {
            return setting is null ? null : throw new RequestException($"{setting.Name} has a meaning only with --calibration.");
        }

        CalibrationMethod chosen = parsed.GetValue(Method) is { } name ? CalibrationMethods.Parse(name) : recipe.Method ?? CalibrationMethod.Gptq;
        if (parsed.GetValue(clip) && chosen != CalibrationMethod.Awq)
        {
            throw new RequestException($"{clip.Name} belongs to --method awq; {CalibrationMethods.NameOf(chosen)} {(chosen == CalibrationMethod.Rtn ? "rounds to nearest" : "chooses scales itself")}.");
        }

        return new QuantizationCalibration
        {
            Data = new CalibrationOptions
            {
                Sources = data,
                Samples = parsed.GetValue(samples) ?? CalibrationOptions.DefaultSamples,
                MaxLength = parsed.GetValue(maxLength) ?? CalibrationOptions.DefaultMaxLength,
                Lengths = parsed.GetValue(lengths) is { } text ? LengthClass.Parse(text) : [],
                Seed = parsed.GetValue(seed) ?? CalibrationOptions.DefaultSeed,
                Cache = cache,
            },
            Method = new WeightCalibrationOptions
            {
                Method = chosen,
                Encoder = EncoderOf(chosen, encoder),
                Clip = parsed.GetValue(clip),
                AllExperts = parsed.GetValue(allExperts) ?? true,
                Weighting = parsed.GetValue(weighting) ?? TokenWeighting.Alike,
                Unseen = parsed.GetValue(allowUnseen) ? UnseenExpert.AllTokens : UnseenExpert.Error,
            },
            Propagation = parsed.GetValue(propagation) ?? usual,
        };
    }

    /// <summary>The encoder of a method. Of all methods AWQ alone leaves a choice.</summary>
    private static WeightEncoder EncoderOf(CalibrationMethod method, WeightEncoder? asked)
    {
        WeightEncoder own = method == CalibrationMethod.Rtn ? WeightEncoder.Library : WeightEncoder.Best;
        return asked is null || asked == own || method == CalibrationMethod.Awq
            ? asked ?? own
            : throw new RequestException($"--encoder {asked.ToString()!.ToLowerInvariant()} contradicts --method {CalibrationMethods.NameOf(method)}, {(own == WeightEncoder.Best ? "which searches scales. The library's are those of --method rtn or awq" : "which takes the library's scales. Searched ones are those of --method search")}.");
    }
}
