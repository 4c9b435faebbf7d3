using Bitsmith.Checkpoints.CompressedTensors;
using Bitsmith.Quantization.Modules;
using Bitsmith.Quantization.Recipes;

namespace Bitsmith.Quantization.Planning;

/// <summary>
/// Applies targets and ignore entries by compressed-tensors' rules. Where several targets match a module, names win over classes, plain strings over
/// regular expressions, and then the alphabetically first.
/// </summary>
internal sealed class SchemeMatcher
{
    private readonly ModulePattern[] ignore;
    private readonly (ModulePattern Pattern, RecipeGroup Group)[] targets;

    /// <summary>Compiles a recipe's entries.</summary>
    /// <exception cref="RecipeException">A regular expression is invalid.</exception>
    public SchemeMatcher(Recipe recipe)
    {
        ignore = [.. recipe.Ignore.Select(Compile)];
        targets = [.. recipe.Groups.SelectMany(group => group.Targets.Select(target => (Pattern: Compile(target), Group: group)))
            .OrderBy(entry => entry.Pattern.Rank).ThenBy(entry => entry.Pattern.Text, StringComparer.Ordinal)];

        ModulePattern Compile(string text)
        {
            try
            {
                return new ModulePattern(text);
            }
            catch (ModulePatternException problem)
            {
                throw new RecipeException($"{recipe.Source}: {problem.Message}", problem);
            }
        }
    }

    /// <summary>All entries.</summary>
    public IEnumerable<ModulePattern> Patterns => ignore.Concat(targets.Select(target => target.Pattern));

    /// <summary>The first ignore entry that matches, or null.</summary>
    public ModulePattern? FindIgnore(ModelModule module) =>
        ignore.FirstOrDefault(entry => entry.MatchesName(module.Name) || entry.MatchesClass(module.ClassName));

    /// <summary>The target that decides, with its group, or null.</summary>
    public (ModulePattern Pattern, RecipeGroup Group)? FindTarget(ModelModule module) =>
        targets.Where(entry => entry.Pattern.MatchesName(module.Name))
            .Concat(targets.Where(entry => entry.Pattern.MatchesClass(module.ClassName)))
            .Select(entry => ((ModulePattern, RecipeGroup)?)entry)
            .FirstOrDefault();
}
