using Bitsmith.Checkpoints;
using Bitsmith.Checkpoints.CompressedTensors;
using Bitsmith.Checkpoints.HuggingFace;
using Bitsmith.Checkpoints.Json;
using Bitsmith.Checkpoints.Safetensors;
using Bitsmith.Quantization.Modules;
using Bitsmith.Quantization.Recipes;
using Bitsmith.Tensors.ElementTypes;

namespace Bitsmith.Quantization.Packaging;

/// <summary>A Linear whose weight is stored quantized.</summary>
/// <param name="Module">The module.</param>
/// <param name="Group">Its scheme.</param>
/// <param name="Rows">Out features.</param>
/// <param name="Columns">In features.</param>
public sealed record EncodedLinear(ModelModule Module, RecipeGroup Group, long Rows, long Columns);

/// <summary>A quantized folder under inspection: its modules, its quantization, and its JSON files, which repairs may edit.</summary>
public sealed class Package
{
    private const string GlobalScale = ".weight_global_scale";

    private readonly Dictionary<string, JsonText?> files = new(StringComparer.Ordinal);
    private readonly HashSet<string> edited = new(StringComparer.Ordinal);

    private Package(string folder, ModuleTree modules, IReadOnlyList<EncodedLinear> encoded, IReadOnlyDictionary<string, float> globalScales)
    {
        Folder = folder;
        Modules = modules;
        Encoded = encoded;
        GlobalScales = globalScales;
    }

    /// <summary>The folder.</summary>
    public string Folder { get; }

    /// <summary>The modules.</summary>
    public ModuleTree Modules { get; }

    /// <summary>Modules whose weights are stored quantized, with their scheme.</summary>
    public IReadOnlyList<EncodedLinear> Encoded { get; }

    /// <summary>The weights' global scale of modules that have one, by name.</summary>
    public IReadOnlyDictionary<string, float> GlobalScales { get; }

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
        EncodedLinear[] encoded = [.. modules.Modules.Where(IsEncoded).Select(module => Describe(module, matcher, configPath))];
        Dictionary<string, float> globalScales = checkpoint.Files
            .SelectMany(file => file.Header.Tensors.Where(tensor => tensor.Type == ElementType.F32 && tensor.Elements == 1 && tensor.Name.EndsWith(GlobalScale, StringComparison.Ordinal))
                .Select(tensor => (tensor.Name[..^GlobalScale.Length], BitConverter.ToSingle(file.View(tensor))))).ToDictionary(StringComparer.Ordinal);
        return new Package(folder, modules, encoded, globalScales);
    }

    private static bool IsEncoded(ModelModule module) => module.Weight?.Type == ElementType.F8E4M3 || module.PackedWeight is not null;

    /// <summary>Finds the scheme of a module that is stored quantized, and checks that its tensors are those of the scheme.</summary>
    private static EncodedLinear Describe(ModelModule module, ModuleMatcher<RecipeGroup> matcher, string configPath)
    {
        RecipeGroup group = matcher.FindTarget(module.Name, module.ClassName)?.Group ?? throw new CheckpointException(
            configPath, $"no config group targets '{module.Name}', whose weight is stored quantized. A client would read codes as weights; quantize again.");
        TensorInfo stored = module.PackedWeight ?? module.Weight!;
        (long rows, long columns) = (stored.Shape[0], stored.Shape[1] * (module.PackedWeight is null ? 1 : 2 * stored.Type.Bytes()));
        HashSet<string> names = [.. module.Tensors.Select(tensor => tensor.Name)];
        return group.Storage.Outputs(new TensorInfo($"{module.Name}.weight", ElementType.BF16, [rows, columns])).FirstOrDefault(output => !names.Contains(output.Name)) is { } missing
            ? throw new CheckpointException(configPath, $"'{module.Name}' is stored without '{missing.Name}', which its config group ({group.Format}) needs. Quantize again.")
            : new EncodedLinear(module, group, rows, columns);
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
