using Bitsmith.Checkpoints;
using Bitsmith.Checkpoints.CompressedTensors;
using Bitsmith.Checkpoints.HuggingFace;
using Bitsmith.Checkpoints.Json;
using Bitsmith.Quantization.Modules;
using Bitsmith.Quantization.Recipes;
using Bitsmith.Tensors.ElementTypes;

namespace Bitsmith.Quantization.Packaging;

/// <summary>A quantized folder under inspection: its modules, its quantization, and its JSON files, which repairs may edit.</summary>
public sealed class Package
{
    private readonly Dictionary<string, JsonText?> files = new(StringComparer.Ordinal);
    private readonly HashSet<string> edited = new(StringComparer.Ordinal);

    private Package(string folder, ModuleTree modules, IReadOnlyList<(ModelModule Module, RecipeGroup Group)> encoded)
    {
        Folder = folder;
        Modules = modules;
        Encoded = encoded;
    }

    /// <summary>The folder.</summary>
    public string Folder { get; }

    /// <summary>The modules.</summary>
    public ModuleTree Modules { get; }

    /// <summary>Modules whose weights are stored quantized, with their scheme.</summary>
    public IReadOnlyList<(ModelModule Module, RecipeGroup Group)> Encoded { get; }

    /// <summary>Names of the files that repairs have changed.</summary>
    public IReadOnlyCollection<string> Edited => edited;

    /// <summary>Opens a folder.</summary>
    /// <exception cref="CheckpointException">It is no quantized checkpoint of a supported model.</exception>
    public static Package Open(string folder)
    {
        using CheckpointFolder checkpoint = CheckpointFolder.Open(folder);
        string configPath = Path.Combine(folder, ModelConfig.FileName);
        QuantizationConfig config = QuantizationConfig.Read(checkpoint.Config.Text, configPath)
            ?? throw new CheckpointException(configPath, "has no quantization_config: this checkpoint is not quantized.");
        ModuleTree modules = ModuleTree.Build(checkpoint.Config, checkpoint.Tensors, folder);
        ModuleMatcher<RecipeGroup> matcher = RecipeOf(config, configPath).CreateMatcher();
        List<(ModelModule, RecipeGroup)> encoded = [];
        foreach (ModelModule module in modules.Modules.Where(module => module.Weight?.Type == ElementType.F8E4M3))
        {
            encoded.Add((module, matcher.FindTarget(module.Name, module.ClassName)?.Group ?? throw new CheckpointException(
                configPath, $"no config group targets '{module.Name}', whose weight is stored as FP8. A client would read codes as weights; quantize again.")));
        }

        return new Package(folder, modules, encoded);
    }

    /// <summary>The recipe that a <c>quantization_config</c> amounts to.</summary>
    /// <exception cref="CheckpointException">A scheme is not one that Bitsmith knows.</exception>
    internal static Recipe RecipeOf(QuantizationConfig config, string path)
    {
        RecipeGroup[] groups = [.. config.Groups.Select(group => new RecipeGroup(group.Targets, group.Weights, group.InputActivations))];
        try
        {
            for (int i = 0; i < groups.Length; i++)
            {
                groups[i].Validate($"config_groups.group_{i}");
            }
        }
        catch (RecipeException problem)
        {
            throw new CheckpointException(path, problem.Message, problem);
        }

        return new Recipe(Path.GetFileName(path), groups, config.Ignore);
    }

    /// <summary>A JSON file of the folder, or null where it is absent.</summary>
    public JsonText? Json(string name)
    {
        if (!files.TryGetValue(name, out JsonText? text))
        {
            string path = Path.Combine(Folder, name);
            files.Add(name, text = File.Exists(path) ? JsonText.Load(path) : null);
        }

        return text;
    }

    /// <summary>config.json.</summary>
    public JsonText Config => Json(ModelConfig.FileName)!;

    /// <summary>Replaces the content of a JSON file; <see cref="Save"/> writes it.</summary>
    public void Edit(string name, JsonText text)
    {
        files[name] = text;
        edited.Add(name);
    }

    /// <summary>Writes the edited files, each beside its place and then renamed into it.</summary>
    public void Save()
    {
        foreach (string name in edited)
        {
            Jobs.DurableFile.WriteAtomically(Path.Combine(Folder, name), files[name]!.Utf8);
        }
    }
}
