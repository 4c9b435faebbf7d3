using Bitsmith.Checkpoints.CompressedTensors;
using Bitsmith.Checkpoints.HuggingFace;
using Bitsmith.Checkpoints.Safetensors;

namespace Bitsmith.Quantization.Modules;

/// <summary>All modules of a checkpoint, derived from tensor names and shapes; containers included.</summary>
public sealed class ModuleTree
{
    private readonly Dictionary<string, ModelModule> byName;

    private ModuleTree(ModelConfig config, Dictionary<string, ModelModule> byName)
    {
        Config = config;
        this.byName = byName;
        Modules = [.. byName.Values.Order(Comparer<ModelModule>.Create((a, b) => GlmFamily.CompareRegistration(a.Name, b.Name)))];
    }

    /// <summary>config.json.</summary>
    public ModelConfig Config { get; }

    /// <summary>The modules in the order in which transformers registers them.</summary>
    public IReadOnlyList<ModelModule> Modules { get; }

    /// <summary>True where the checkpoint has a vision tower.</summary>
    public bool HasVision => Modules.Any(module => module.Part == ModelPart.Vision);

    /// <summary>The indices of multi-token prediction layers that the checkpoint holds.</summary>
    public IReadOnlyList<int> MtpLayers =>
        [.. Modules.Where(module => module.Part == ModelPart.Mtp).Select(module => GlmFamily.LayerIndex(module.Name)).OfType<int>().Distinct().Order()];

    /// <summary>Builds the tree.</summary>
    /// <param name="config">config.json.</param>
    /// <param name="tensors">The checkpoint's tensors.</param>
    /// <param name="path">Names the model in errors.</param>
    /// <exception cref="Checkpoints.CheckpointException">The model type is not supported.</exception>
    public static ModuleTree Build(ModelConfig config, IEnumerable<TensorInfo> tensors, string path)
    {
        ArgumentNullException.ThrowIfNull(config);
        ArgumentNullException.ThrowIfNull(tensors);
        string prefix = GlmFamily.ClassPrefix(config, path);
        Dictionary<string, List<TensorInfo>> owned = new(StringComparer.Ordinal);
        foreach (TensorInfo tensor in tensors)
        {
            string owner = OwnerOf(tensor.Name);
            if (!owned.TryGetValue(owner, out List<TensorInfo>? list))
            {
                owned.Add(owner, list = []);
                for (int dot = owner.LastIndexOf('.'); dot > 0; dot = owner.LastIndexOf('.', dot - 1))
                {
                    if (!owned.TryAdd(owner[..dot], []))
                    {
                        break;
                    }
                }
            }

            list.Add(tensor);
        }

        Dictionary<string, ModelModule> modules = new(StringComparer.Ordinal);
        foreach ((string name, List<TensorInfo> list) in owned)
        {
            (ModuleKind kind, string className) = list.Count == 0
                ? (ModuleKind.Container, string.Empty)
                : GlmFamily.Classify(name, list, prefix);
            modules.Add(name, new ModelModule(name, kind, className, GlmFamily.PartOf(name, config), list));
        }

        // A tied head has no tensor of its own, yet clients have the module and recipes name it.
        modules.TryAdd("lm_head", new ModelModule("lm_head", ModuleKind.Linear, "Linear", ModelPart.Head, []));
        return new ModuleTree(config, modules);
    }

    /// <summary>The module that owns a tensor.</summary>
    public ModelModule OwnerOf(TensorInfo tensor)
    {
        ArgumentNullException.ThrowIfNull(tensor);
        return byName[OwnerOf(tensor.Name)];
    }

    /// <summary>True where an entry of a recipe matches at least one module, quantizable or not.</summary>
    public bool Matches(ModulePattern pattern)
    {
        ArgumentNullException.ThrowIfNull(pattern);
        return Modules.Any(module => pattern.Matches(module.Name, module.ClassName));
    }

    private static string OwnerOf(string tensor)
    {
        int dot = tensor.LastIndexOf('.');
        return dot < 0 ? tensor : tensor[..dot];
    }
}
