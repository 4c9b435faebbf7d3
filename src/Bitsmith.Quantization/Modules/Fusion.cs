namespace Bitsmith.Quantization.Modules;

/// <summary>Which Linears clients such as vLLM fuse into one matrix, so that they must agree in scheme and global scale.</summary>
internal static class Fusion
{
    private static readonly string[][] Sets = [["q_proj", "k_proj", "v_proj"], ["gate_proj", "up_proj"]];

    /// <summary>A name that all members of a fused matrix have in common: for a Linear that is fused with none, its own.</summary>
    public static string KeyOf(ModelModule module) => KeyOf(module.Name);

    /// <inheritdoc cref="KeyOf(ModelModule)"/>
    public static string KeyOf(string module)
    {
        string last = module[(module.LastIndexOf('.') + 1)..];
        int set = Array.FindIndex(Sets, names => names.Contains(last));
        return set < 0 ? module : $"{module[..^(last.Length + 1)]}.{string.Join('+', Sets[set])}";
    }
}
