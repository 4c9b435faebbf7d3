using Bitsmith.Checkpoints;
using Bitsmith.Checkpoints.CompressedTensors;
using Bitsmith.Checkpoints.Safetensors;
using Bitsmith.Quantization.Modules;
using Bitsmith.Quantization.Recipes;
using Bitsmith.Tensors.ElementTypes;

namespace Bitsmith.Quantization.Planning;

/// <summary>How a plan is made.</summary>
/// <param name="AllowUnmatched">A pattern that matches no module is a warning instead of an error.</param>
/// <param name="KeepUnreadable">Weights that transformers would misread (see <see cref="ClientLimits"/>) stay as they are.</param>
public sealed record PlanOptions(bool AllowUnmatched = false, bool KeepUnreadable = false);

/// <summary>Decides for every tensor of a checkpoint, from names, shapes and types alone.</summary>
public static class Planner
{
    /// <summary>Makes a plan.</summary>
    /// <param name="modules">The checkpoint's modules.</param>
    /// <param name="tensors">Its tensors, in order.</param>
    /// <param name="recipe">What to quantize.</param>
    /// <param name="options">Permissions.</param>
    /// <param name="path">Names the model in errors.</param>
    /// <exception cref="RecipeException">An entry of the recipe matches nothing, or a target cannot be encoded.</exception>
    /// <exception cref="CheckpointException">The checkpoint has a layout that cannot be quantized.</exception>
    public static QuantizationPlan Create(
        ModuleTree modules, IEnumerable<TensorInfo> tensors, Recipe recipe, PlanOptions options, string path)
    {
        ArgumentNullException.ThrowIfNull(modules);
        ArgumentNullException.ThrowIfNull(tensors);
        ArgumentNullException.ThrowIfNull(recipe);
        ArgumentNullException.ThrowIfNull(options);
        RefuseFusedExperts(modules, path);
        List<string> warnings = [];
        Matcher matcher = new(modules, recipe, options, warnings);

        Dictionary<string, (RecipeGroup? Group, string Rule)> decisions = modules.Modules.ToDictionary(
            module => module.Name, module => matcher.Decide(module), StringComparer.Ordinal);
        PlanRow[] rows = [.. tensors.Select(tensor => Row(tensor, modules.OwnerOf(tensor), decisions, path))];
        if (!rows.Any(row => row.IsEncoded))
        {
            throw new RecipeException($"{recipe.Source}: nothing would be quantized: every Linear of {path} is ignored or not targeted.");
        }

        RecipeGroup[] used = [.. modules.Modules.Select(module => decisions[module.Name].Group).OfType<RecipeGroup>().Distinct()];
        QuantizationConfig config = new(
            [.. used.Select(group => new QuantizationGroup(group.Targets, group.Weights, group.InputActivations, group.Format))],
            IgnoreList(modules, decisions));
        return new QuantizationPlan(rows, config, modules, warnings);
    }

    private static void RefuseFusedExperts(ModuleTree modules, string path)
    {
        if (modules.Modules.FirstOrDefault(module => module.Kind == ModuleKind.FusedExperts) is { } fused)
        {
            throw new CheckpointException(path,
                $"'{fused.Name}' stores all experts in one 3-D tensor ({fused.Tensors[0].Describe()}). The hub's layout, which vLLM reads quantized, has one tensor for each expert ({fused.Name}.0.gate_proj.weight); save the model in that layout first.");
        }
    }

    private static PlanRow Row(
        TensorInfo tensor, ModelModule module, Dictionary<string, (RecipeGroup? Group, string Rule)> decisions, string path)
    {
        (RecipeGroup? group, string rule) = decisions[module.Name];
        if (group is null || tensor.Name != module.Weight?.Name)
        {
            return new PlanRow(tensor, module, null, group is null ? rule : "not a weight matrix", [tensor]);
        }

        if (!tensor.Type.IsWeightFloat())
        {
            throw new CheckpointException(path, $"tensor '{tensor.Name}' is {tensor.Describe()}; only F32, F16 and BF16 weights can be quantized. Ignore the module or start from the original checkpoint.");
        }

        if (tensor.Elements == 0 || tensor.Shape.Any(size => size > int.MaxValue))
        {
            throw new CheckpointException(path, $"tensor '{tensor.Name}' is {tensor.Describe()}; a weight matrix has from 1 to 2147483647 rows and columns.");
        }

        return group.Storage.WhyNot(tensor) is { } reason
            ? throw new RecipeException($"'{module.Name}' is {tensor.Describe()}: {reason}. Ignore it, or choose another scheme for it ({rule}).")
            : new PlanRow(tensor, module, group, rule, group.Storage.Outputs(tensor));
    }

    /// <summary>
    /// The library writes, by full name and in registration order, every module without a scheme whose class is among those quantized or
    /// whose class name says gate or router. To that come patterns for vLLM, which renames vision modules before it compares, and for
    /// MTP layers, whose modules transformers does not build.
    /// </summary>
    private static string[] IgnoreList(ModuleTree modules, Dictionary<string, (RecipeGroup? Group, string Rule)> decisions)
    {
        IEnumerable<string> names = modules.Modules
            .Where(module => module.Part != ModelPart.Mtp && decisions[module.Name].Group is null && module.Kind is ModuleKind.Linear or ModuleKind.Router)
            .Select(module => module.Name);
        IEnumerable<string> vision = modules.HasVision && !decisions.Any(entry => entry.Value.Group is not null && GlmFamily.PartOf(entry.Key, modules.Config) == ModelPart.Vision)
            ? [VisionPattern] : [];
        IEnumerable<string> mtp = modules.MtpLayers.Select(layer => $@"re:model\.layers\.{layer}\..*");
        return [.. names, .. vision, .. mtp];
    }

    /// <summary>Matches vision modules before and after vLLM's renaming.</summary>
    internal const string VisionPattern = @"re:.*visual\..*";

    /// <summary>Decides for modules: what the checkpoint demands, then the recipe.</summary>
    private sealed class Matcher
    {
        private readonly Recipe recipe;
        private readonly PlanOptions options;
        private readonly ModuleMatcher<RecipeGroup> schemes;

        public Matcher(ModuleTree modules, Recipe recipe, PlanOptions options, List<string> warnings)
        {
            this.recipe = recipe;
            this.options = options;
            schemes = recipe.CreateMatcher();
            foreach (ModulePattern pattern in schemes.Patterns.Where(pattern => !modules.Matches(pattern)))
            {
                string problem = $"{recipe.Source}: '{pattern.Text}' matches no module of this checkpoint. The closest are: {string.Join(", ", NameSuggestions.Closest(pattern.Text, modules))}.";
                if (!options.AllowUnmatched)
                {
                    throw new RecipeException($"{problem} Correct it, or permit it with --allow-unmatched.");
                }

                warnings.Add(problem);
            }
        }

        public (RecipeGroup? Group, string Rule) Decide(ModelModule module)
        {
            if (module.Kind != ModuleKind.Linear)
            {
                return (null, module.Kind == ModuleKind.Container ? "holds other modules" : $"{module.ClassName} is not a Linear");
            }

            if (module.Part == ModelPart.Mtp)
            {
                return (null, "MTP layer: carried along, no client reads it quantized");
            }

            if (schemes.FindIgnore(module.Name, module.ClassName) is { } ignored)
            {
                return (null, $"ignore: {ignored.Text}");
            }

            if (recipe.IsPreset && module.Part is ModelPart.Head or ModelPart.Vision)
            {
                return (null, module.Part == ModelPart.Head ? "preset: output head" : "preset: vision tower");
            }

            if (schemes.FindTarget(module.Name, module.ClassName) is not var (target, group))
            {
                return (null, "no target matches");
            }

            if (module.Weight is null)
            {
                return (null, "has no weight of its own");
            }

            if (options.KeepUnreadable && group.Storage.WhyNot(module.Weight) is { } indivisible)
            {
                return (null, $"fix: {indivisible}");
            }

            return options.KeepUnreadable && ClientLimits.WhyTransformersMisreads(module.Weight, group) is { } reason
                ? (null, $"fix: {reason}")
                : (group, $"target: {target.Text}");
        }
    }
}
