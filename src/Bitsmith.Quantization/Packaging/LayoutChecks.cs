using System.Text.Json;
using Bitsmith.Checkpoints.CompressedTensors;
using Bitsmith.Checkpoints.HuggingFace;
using Bitsmith.Quantization.Modules;
using Bitsmith.Quantization.Planning;

namespace Bitsmith.Quantization.Packaging;

/// <summary>
/// The vision tower stays unquantized, and vLLM must know: it renames vision modules (prefix <c>visual.</c>, <c>attn.qkv_proj</c>, <c>mlp.gate_up_proj</c>) before it compares
/// them with the ignore list, so full names alone do not match.
/// </summary>
internal sealed class VisionIgnoreCheck : IPackagingCheck
{
    private static readonly string[] IgnoreKey = [QuantizationConfig.Key, "ignore"];

    public string Name => "vision-ignore";

    public CheckResult Run(Package package, bool fix)
    {
        if (!package.Modules.HasVision)
        {
            return new CheckResult(Name, Verdict.Pass, "text only: no vision tower");
        }

        string[] encoded = [.. package.Encoded.Where(entry => entry.Module.Part == ModelPart.Vision).Select(entry => entry.Module.Name)];
        if (encoded.Length > 0)
        {
            return new CheckResult(Name, Verdict.Fail, $"{encoded.Length} Linears of the vision tower are quantized; vLLM builds the tower unquantized", @"quantize again with ignore re:model\.visual.*", encoded);
        }

        string[] linears = [.. package.Modules.Modules.Where(module => module is { Part: ModelPart.Vision, Kind: ModuleKind.Linear }).Select(module => module.Name)];
        string[] ignore = package.Config.Get(IgnoreKey) is { ValueKind: JsonValueKind.Array } list
            ? [.. list.EnumerateArray().Where(item => item.ValueKind == JsonValueKind.String).Select(item => item.GetString()!)] : [];
        ModulePattern[] patterns = [.. ignore.Select(entry => new ModulePattern(entry))];
        string[] uncovered = [.. linears.Where(name => !Covered(name) || !Covered(InVllm(name)))];
        if (uncovered.Length == 0)
        {
            return new CheckResult(Name, Verdict.Pass, $"{linears.Length} vision Linears are unquantized and ignored under transformers' and vLLM's names");
        }

        string evidence = $"{uncovered.Length} of {linears.Length} vision Linears are not ignored under vLLM's names";
        if (!fix)
        {
            return new CheckResult(Name, Verdict.Fail, evidence, $"add {Planner.VisionPattern} to ignore", uncovered);
        }

        string json = $"[\n{string.Join(",\n", ignore.Append(Planner.VisionPattern).Select(entry => $"  \"{JsonEncodedText.Encode(entry, System.Text.Encodings.Web.JavaScriptEncoder.UnsafeRelaxedJsonEscaping)}\""))}\n]";
        package.Edit(ModelConfig.FileName, package.Config.With(IgnoreKey, json));
        return new CheckResult(Name, Verdict.Fixed, evidence, $"{Planner.VisionPattern} added to ignore");

        bool Covered(string name) => patterns.Any(pattern => pattern.MatchesName(name));
    }

    private static string InVllm(string name) => name["model.".Length..]
        .Replace(".attn.qkv", ".attn.qkv_proj", StringComparison.Ordinal)
        .Replace(".mlp.gate_proj", ".mlp.gate_up_proj", StringComparison.Ordinal)
        .Replace(".mlp.up_proj", ".mlp.gate_up_proj", StringComparison.Ordinal);
}

/// <summary>transformers guesses the block from the scale's shape and is wrong where the weight is not a whole number of blocks.</summary>
internal sealed class BlockLayoutCheck : IPackagingCheck
{
    public string Name => "block-layout";

    public CheckResult Run(Package package, bool fix) => ClientLimitReport.Create(
        Name,
        package,
        linear => ClientLimits.HasGuessedLayout(linear.Group) ? ClientLimits.WhyLayoutIsMisguessed(linear.Rows, linear.Columns, linear.Group.Block) : null,
        "every encoded weight is a whole number of blocks: transformers and vLLM read it");
}

/// <summary>transformers quantizes inputs in whole groups; vLLM takes the weight block's width as the group, whatever the configuration says.</summary>
internal sealed class ActivationGroupsCheck : IPackagingCheck
{
    public string Name => "activation-groups";

    public CheckResult Run(Package package, bool fix)
    {
        CheckResult result = ClientLimitReport.Create(
            Name,
            package,
            linear => ClientLimits.WhyActivationsDoNotDivide(linear.Columns, linear.Group),
            "input features divide into whole activation groups");
        string[] differing = [.. package.Encoded.Where(entry => entry.Group.InputActivations is { GroupSize: int size } && size != entry.Group.Block.Columns).Select(entry => entry.Group)
            .Distinct().Select(group => $"{group.InputActivations!.GroupSize} stated, {group.Block.Columns} used by vLLM")];
        return result.Verdict == Verdict.Pass && differing.Length > 0
            ? new CheckResult(Name, Verdict.Warning, $"vLLM ignores group_size and quantizes inputs by the weight block's width: {string.Join("; ", differing)}. Results differ a little from transformers'")
            : result;
    }
}

/// <summary>Lists the modules that transformers misreads.</summary>
internal static class ClientLimitReport
{
    public static CheckResult Create(
        string name, Package package, Func<EncodedLinear, string?> why, string pass)
    {
        (string Module, string Reason)[] bad =
            [.. package.Encoded.Select(entry => (entry.Module.Name, Reason: why(entry)!)).Where(entry => entry.Reason is not null)];
        return bad.Length == 0
            ? new CheckResult(name, Verdict.Pass, pass)
            : new CheckResult(
                name,
                Verdict.Fail,
                $"transformers cannot read {bad.Length} of {package.Encoded.Count} encoded weights (vLLM can), for example {bad[0].Module}: {bad[0].Reason}",
                "quantize with --fix, which keeps them as they are, or use smaller blocks",
                [.. bad.Select(entry => entry.Module)]);
    }
}

/// <summary>vLLM fuses q/k/v, gate/up and all experts of a layer: members must share one scheme.</summary>
internal sealed class FusedLayersCheck : IPackagingCheck
{
    public string Name => "fused-layers";

    public CheckResult Run(Package package, bool fix)
    {
        Dictionary<string, Recipes.RecipeGroup> schemes = package.Encoded.ToDictionary(entry => entry.Module.Name, entry => entry.Group);
        List<string> mixed = [];
        foreach (IGrouping<string, ModelModule> siblings in package.Modules.Modules
            .Where(module => module is { Kind: ModuleKind.Linear, Part: ModelPart.Decoder } && (module.Weight ?? module.PackedWeight) is not null)
            .GroupBy(FusedInto))
        {
            if (siblings.Select(module => schemes.GetValueOrDefault(module.Name)).Distinct().Count() > 1)
            {
                mixed.AddRange(siblings.Select(module => module.Name));
            }
        }

        string[] scales = [.. package.Encoded.Where(linear => package.GlobalScales.ContainsKey(linear.Module.Name)).GroupBy(linear => Fusion.KeyOf(linear.Module))
            .Where(members => members.Select(linear => package.GlobalScales[linear.Module.Name]).Distinct().Count() > 1).SelectMany(members => members.Select(linear => linear.Module.Name))];
        return (mixed.Count, scales.Length) switch
        {
            (0, 0) => new CheckResult(Name, Verdict.Pass, $"q/k/v, gate/up and the experts of each layer share one scheme{(package.GlobalScales.Count > 0 ? "; q/k/v and gate/up share their global scales" : string.Empty)}"),
            (0, _) => new CheckResult(Name, Verdict.Fail, $"{scales.Length} modules that vLLM fuses have different global scales; vLLM takes the largest for all, and the weights are wrong", "quantize again: Bitsmith gives them one", scales),
            _ => new CheckResult(Name, Verdict.Fail, $"{mixed.Count} modules that vLLM fuses have different schemes; vLLM refuses the checkpoint", "quantize or ignore them together", mixed),
        };
    }

    private static string FusedInto(ModelModule module)
    {
        string parent = module.Name[..^(module.LastName.Length + 1)];
        int experts = parent.IndexOf(".experts.", StringComparison.Ordinal);
        if (experts >= 0)
        {
            return parent[..(experts + ".experts".Length)];
        }

        return Fusion.KeyOf(module);
    }
}

/// <summary>transformers 5 keeps experts in fused 3-D parameters and cannot load them quantized one by one; vLLM reads exactly that, but for zero points.</summary>
internal sealed class PerExpertCheck : IPackagingCheck
{
    public string Name => "per-expert-moe";

    public CheckResult Run(Package package, bool fix)
    {
        EncodedLinear[] linears = [.. package.Encoded.Where(entry => entry.Module.Name.Contains(".experts.", StringComparison.Ordinal))];
        int experts = linears.Length;
        string[] shifted = [.. linears.Where(entry => entry.Group.Storage.HasZeroPoints).Select(entry => entry.Module.Name)];
        if (shifted.Length > 0)
        {
            return new CheckResult(
                Name, Verdict.Fail, $"{shifted.Length} expert Linears have zero points: vLLM takes symmetric groups alone for experts, and transformers 5.12 cannot load experts one by one",
                "quantize again with symmetric groups for experts (w4a16, or a recipe with a group of its own for them)", shifted);
        }

        return experts == 0
            ? new CheckResult(Name, Verdict.Pass, "no expert is quantized")
            : new CheckResult(Name, Verdict.Warning, $"{experts} expert Linears are stored one by one, as vLLM reads them. transformers 5.12 loads such experts wrongly (it folds the codes into fused parameters and drops the scales): serve this folder with vLLM");
    }
}

/// <summary>A multi-token prediction layer is carried along unquantized and ignored.</summary>
internal sealed class MtpLayerCheck : IPackagingCheck
{
    public string Name => "mtp-layer";

    public CheckResult Run(Package package, bool fix)
    {
        IReadOnlyList<int> layers = package.Modules.MtpLayers;
        int declared = package.Modules.Config.MtpLayers;
        string[] encoded = [.. package.Encoded.Where(entry => entry.Module.Part == ModelPart.Mtp).Select(entry => entry.Module.Name)];
        return (layers.Count, declared) switch
        {
            _ when encoded.Length > 0 => new CheckResult(Name, Verdict.Fail, "Linears of the MTP layer are quantized", "quantize again; Bitsmith keeps the layer as it is", encoded),
            (0, 0) => new CheckResult(Name, Verdict.Pass, "the model has no MTP layer"),
            (0, _) => new CheckResult(Name, Verdict.Warning, $"config.json declares {declared} MTP layer(s) (num_nextn_predict_layers) that the weights lack: speculative decoding with them fails"),
            _ => new CheckResult(Name, Verdict.Pass, $"MTP layer {string.Join(", ", layers)} is carried along unquantized"),
        };
    }
}

/// <summary>vLLM splits MLPs and experts over GPUs only where each part is whole blocks.</summary>
internal sealed class TensorParallelCheck : IPackagingCheck
{
    private static readonly int[] Sizes = [2, 4, 8];

    public string Name => "tensor-parallel";

    public CheckResult Run(Package package, bool fix)
    {
        List<(string Name, long Width, int Block)> splits = [];
        foreach ((ModelModule module, Recipes.RecipeGroup group, long rows, long columns) in package.Encoded)
        {
            switch (module.LastName)
            {
                case "gate_proj" or "up_proj":
                    splits.Add((module.Name, rows, group.Storage.RowsTogether));
                    break;
                case "gate_up_proj":
                    splits.Add((module.Name, rows / 2, group.Storage.RowsTogether));
                    break;
                case "down_proj":
                    splits.Add((module.Name, columns, group.Block.Columns));
                    break;
                default:
                    break;
            }
        }

        string[] possible = [.. Sizes.Where(size => splits.All(split => split.Width % ((long)size * split.Block) == 0)).Select(size => size.ToString())];
        string[] refused = [.. Sizes.Select(size => size.ToString()).Except(possible)];
        (string first, long width, int block) = splits.FirstOrDefault(split => split.Width % (2L * split.Block) != 0);
        return refused.Length == 0
            ? new CheckResult(Name, Verdict.Pass, "MLPs and experts split over 2, 4 and 8 GPUs in whole blocks")
            : new CheckResult(Name, Verdict.Warning, $"vLLM refuses --tensor-parallel-size {string.Join(", ", refused)}{(possible.Length > 0 ? $" ({string.Join(", ", possible)} work)" : string.Empty)}: parts would not be whole blocks{(first is null ? string.Empty : $" ({first}: {width} / 2 is not a multiple of {block})")}. Use fewer GPUs, pipeline parallelism{(block > 32 ? ", or fp8-block-32" : string.Empty)}");
    }
}
