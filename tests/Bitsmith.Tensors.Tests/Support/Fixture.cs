using Bitsmith.Checkpoints.Safetensors;

namespace Bitsmith.Tensors.Tests.Support;

/// <summary>Output of the compressed-tensors library and the tensors that it was made from.</summary>
internal static class Fixture
{
    public static SafetensorsFile Open(string name) =>
        SafetensorsFile.Open(Path.Combine(AppContext.BaseDirectory, "Fixtures", "compressed-tensors", name + ".safetensors"));

    public static StoredTensor Tensor(this SafetensorsFile file, string name) =>
        file.Header.Tensors.Single(tensor => tensor.Name == name);

    public static byte[] Bytes(this SafetensorsFile file, string name) => file.View(file.Tensor(name)).ToArray();

    /// <summary>Names of the tensors that end in <paramref name="suffix"/>, without it.</summary>
    public static string[] Stems(this SafetensorsFile file, string suffix) =>
        [.. file.Header.Tensors.Where(tensor => tensor.Name.EndsWith(suffix, StringComparison.Ordinal)).Select(tensor => tensor.Name[..^suffix.Length])];
}
