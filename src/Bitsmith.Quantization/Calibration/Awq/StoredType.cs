using System.Runtime.InteropServices;
using Bitsmith.Models.Layers;
using Bitsmith.Tensors.ElementTypes;

namespace Bitsmith.Quantization.Calibration.Awq;

/// <summary>Values as a tensor stores them.</summary>
internal static class StoredType
{
    /// <summary>A value rounded to a type.</summary>
    public static float Round(ElementType type, float value)
    {
        Round(type, MemoryMarshal.CreateSpan(ref value, 1));
        return value;
    }

    /// <summary>Rounds values to a type.</summary>
    public static void Round(ElementType type, Span<float> values)
    {
        if (type != ElementType.F32)
        {
            Span<byte> bytes = values.Length <= 256 ? stackalloc byte[values.Length * type.Bytes()] : new byte[values.Length * type.Bytes()];
            ElementConversion.FromSingle(type, values, bytes);
            ElementConversion.ToSingle(type, bytes, values);
        }
    }

    /// <summary>The name of a Linear's weight in the checkpoint.</summary>
    public static string WeightName(this Linear linear) => $"{linear.Name}.weight";
}
