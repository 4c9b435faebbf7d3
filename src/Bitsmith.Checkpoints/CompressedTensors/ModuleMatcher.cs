namespace Bitsmith.Checkpoints.CompressedTensors;

/// <summary>
/// Applies targets and ignore entries by compressed-tensors' rules. Where several targets match a module, names win over classes, plain strings over regular expressions, and then the
/// alphabetically first.
/// </summary>
/// <typeparam name="TGroup">What a target stands for.</typeparam>
public sealed class ModuleMatcher<TGroup>
    where TGroup : class
{
    private readonly ModulePattern[] ignore;
    private readonly (ModulePattern Pattern, TGroup Group)[] targets;

    /// <summary>Compiles the entries.</summary>
    /// <param name="groups">The groups.</param>
    /// <param name="targetsOf">The targets of a group: class names, module names or <c>re:</c> patterns.</param>
    /// <param name="ignore">Modules that belong to no group.</param>
    /// <exception cref="ModulePatternException">An entry is no usable regular expression.</exception>
    public ModuleMatcher(IEnumerable<TGroup> groups, Func<TGroup, IEnumerable<string>> targetsOf, IEnumerable<string> ignore)
    {
        this.ignore = [.. ignore.Select(entry => new ModulePattern(entry))];
        targets = [.. groups.SelectMany(group => targetsOf(group).Select(target => (Pattern: new ModulePattern(target), Group: group)))
            .OrderBy(entry => entry.Pattern.Rank).ThenBy(entry => entry.Pattern.Text, StringComparer.Ordinal)];
    }

    /// <summary>All entries.</summary>
    public IEnumerable<ModulePattern> Patterns => ignore.Concat(targets.Select(target => target.Pattern));

    /// <summary>The first ignore entry that matches a module, or null.</summary>
    /// <exception cref="ModulePatternException">An entry takes too long to match.</exception>
    public ModulePattern? FindIgnore(string moduleName, string className) => ignore.FirstOrDefault(entry => entry.Matches(moduleName, className));

    /// <summary>The target that decides, with its group, whether or not the module is ignored; or null.</summary>
    /// <exception cref="ModulePatternException">An entry takes too long to match.</exception>
    public (ModulePattern Pattern, TGroup Group)? FindTarget(string moduleName, string className) =>
        targets.Where(entry => entry.Pattern.MatchesName(moduleName))
            .Concat(targets.Where(entry => entry.Pattern.MatchesClass(className)))
            .Select(entry => ((ModulePattern, TGroup)?)entry)
            .FirstOrDefault();

    /// <summary>The group that a module belongs to: none where an ignore entry matches, else its target's.</summary>
    /// <exception cref="ModulePatternException">An entry takes too long to match.</exception>
    public TGroup? FindGroup(string moduleName, string className) => FindIgnore(moduleName, className) is null ? FindTarget(moduleName, className)?.Group : null;
}
