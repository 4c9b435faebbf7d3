using System.Runtime.InteropServices;
using System.Security.Cryptography;
using System.Text;
using Bitsmith.Models;
using Bitsmith.Models.Layers;
using Bitsmith.Tensors.Matrices;

namespace Bitsmith.Quantization.Calibration;

/// <summary>Tells jobs apart whose numbers would differ.</summary>
internal static class ModelFingerprint
{
    /// <summary>SHA-256, in hexadecimal, of settings, the model's numbers, and of its weights the sizes and some rows. Paths and threads are not among it.</summary>
    /// <param name="settings">What else the numbers depend on.</param>
    /// <param name="model">The model.</param>
    /// <param name="compute">Kernels.</param>
    public static string Of(string settings, LanguageModel model, ComputeOptions compute)
    {
        using IncrementalHash hash = IncrementalHash.CreateHash(HashAlgorithmName.SHA256);
        Add($"{settings}\n{model.Config}\n");
        foreach (IDecoderLayer layer in model.Layers)
        {
            foreach (Linear linear in layer.Linears.Take(5))
            {
                float[] row = new float[linear.Weight.Columns];
                linear.Weight.Read(0, 1, row, compute.InstructionSet);
                Add($"{linear.Name} {linear.Weight.Rows} {linear.Weight.Bytes}\n");
                hash.AppendData(MemoryMarshal.AsBytes(row.AsSpan()));
            }
        }

        return Convert.ToHexStringLower(hash.GetHashAndReset());

        void Add(string text) => hash.AppendData(Encoding.UTF8.GetBytes(text));
    }
}
