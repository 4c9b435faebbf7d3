using System.Buffers.Binary;
using System.Text;
using Bitsmith.Checkpoints.Safetensors;
using Bitsmith.Tensors.ElementTypes;

namespace Bitsmith.Checkpoints.Tests.Support;

/// <summary>Safetensors files as bytes.</summary>
internal static class Weights
{
    /// <summary>A valid file; data byte i is i modulo 251.</summary>
    public static byte[] File(params TensorInfo[] tensors)
    {
        SafetensorsLayout layout = SafetensorsLayout.Create(tensors, new Dictionary<string, string> { ["format"] = "pt" });
        byte[] file = new byte[layout.Length];
        layout.HeaderBytes.CopyTo(file);
        for (int i = layout.HeaderBytes.Length; i < file.Length; i++)
        {
            file[i] = (byte)((i - layout.HeaderBytes.Length) % 251);
        }

        return file;
    }

    /// <summary>A valid file of BF16 vectors of two elements.</summary>
    public static byte[] Named(params string[] names) =>
        File([.. names.Select(name => new TensorInfo(name, ElementType.BF16, [2]))]);

    /// <summary>Any header text, its length in front and any number of data bytes behind.</summary>
    public static byte[] Raw(string header, int dataBytes = 0) => Raw(Encoding.UTF8.GetBytes(header), dataBytes);

    public static byte[] Raw(byte[] header, int dataBytes = 0)
    {
        byte[] file = new byte[8 + header.Length + dataBytes];
        BinaryPrimitives.WriteInt64LittleEndian(file, header.Length);
        header.CopyTo(file, 8);
        return file;
    }

    /// <summary>The JSON of a file.</summary>
    public static ReadOnlySpan<byte> Header(byte[] file) => file.AsSpan(8, (int)BinaryPrimitives.ReadInt64LittleEndian(file));
}
