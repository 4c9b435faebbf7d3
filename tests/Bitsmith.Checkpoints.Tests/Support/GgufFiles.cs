using Bitsmith.Checkpoints.Gguf;

namespace Bitsmith.Checkpoints.Tests.Support;

/// <summary>GGUF files as bytes.</summary>
internal static class GgufFiles
{
    /// <summary>A valid file of every kind of metadata and several tensors; tensor byte i is i modulo 251.</summary>
    public static byte[] Small()
    {
        GgufMetadata metadata = new("memory");
        metadata.Add("general.architecture", "glm4");
        foreach (object content in (object[])[(byte)200, (sbyte)-7, (ushort)65535, (short)-300, 4_000_000_000u, -5, 1.5f, true, ulong.MaxValue, long.MinValue, Math.PI])
        {
            metadata.Add($"one.{content.GetType().Name}", content);
        }

        metadata.Add("texts", (string[])["Ġthe", "", "日本", "😀"]);
        metadata.Add("numbers", (int[])[1, -2, 3]);
        metadata.Add("flags", (bool[])[true, false]);
        metadata.Add("nested", (GgufValue[])[new GgufValue((float[])[1, 2]), new GgufValue((GgufValue[])[new GgufValue((string[])["x"])])]);
        return File(metadata,
            new GgufTensorInfo("token_embd.weight", GgufTensorType.F16, [3, 5]), new GgufTensorInfo("norm", GgufTensorType.F32, [9]),
            new GgufTensorInfo("q", GgufTensorType.Find(12)!, [2, 1, 256]), new GgufTensorInfo("empty", GgufTensorType.F32, [0, 4]), new GgufTensorInfo("one", GgufTensorType.BF16, []));
    }

    /// <summary>A valid file; data byte i of a tensor is i modulo 251.</summary>
    public static byte[] File(GgufMetadata metadata, params GgufTensorInfo[] tensors)
    {
        GgufLayout layout = GgufLayout.Create(metadata, tensors);
        byte[] file = new byte[layout.Length];
        layout.HeaderBytes.CopyTo(file);
        foreach (GgufTensor tensor in layout.Tensors)
        {
            Data(tensor).CopyTo(file.AsSpan((int)tensor.Offset));
        }

        return file;
    }

    /// <summary>What stands in a tensor of the files here.</summary>
    public static byte[] Data(GgufTensorInfo tensor) => [.. Enumerable.Range(0, (int)tensor.Bytes).Select(i => (byte)(i % 251))];
}
