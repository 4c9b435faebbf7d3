using Bitsmith.Checkpoints.Safetensors;
using Bitsmith.Tensors.ElementTypes;

namespace Bitsmith.Tensors.Tests.Support;

/// <summary>Output of the compressed-tensors library and the tensors that it was made from.</summary>
internal static class Fixture
{
    public static SafetensorsFile Open(string name) =>
        SafetensorsFile.Open(Path.Combine(AppContext.BaseDirectory, "Fixtures", "compressed-tensors", name + ".safetensors"));

    /// <summary>Output of ggml, llama-quantize and the gguf package, and the tensors that it was made from.</summary>
    public static SafetensorsFile OpenGguf(string name) => SafetensorsFile.Open(GgufPath(name + ".safetensors"));

    /// <summary>Operations of PyTorch on bfloat16 tensors; tests/Fixtures/pytorch/bfloat16.py made them.</summary>
    public static SafetensorsFile OpenPyTorch() => SafetensorsFile.Open(Path.Combine(AppContext.BaseDirectory, "Fixtures", "pytorch", "bfloat16.safetensors"));

    public static string GgufPath(string file) => Path.Combine(AppContext.BaseDirectory, "Fixtures", "gguf", file);

    /// <summary>A tensor of F32, F16 or BF16, widened.</summary>
    public static float[] Singles(this SafetensorsFile file, string name)
    {
        StoredTensor tensor = file.Tensor(name);
        float[] values = new float[tensor.Elements];
        ElementConversion.ToSingle(tensor.Type, file.View(tensor), values);
        return values;
    }

    public static StoredTensor Tensor(this SafetensorsFile file, string name) =>
        file.Header.Tensors.Single(tensor => tensor.Name == name);

    public static byte[] Bytes(this SafetensorsFile file, string name) => file.View(file.Tensor(name)).ToArray();

    /// <summary>Names of the tensors that end in <paramref name="suffix"/>, without it.</summary>
    public static string[] Stems(this SafetensorsFile file, string suffix) =>
        [.. file.Header.Tensors.Where(tensor => tensor.Name.EndsWith(suffix, StringComparison.Ordinal)).Select(tensor => tensor.Name[..^suffix.Length])];
}
