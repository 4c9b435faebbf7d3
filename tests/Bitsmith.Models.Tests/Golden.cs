using System.Runtime.InteropServices;
using Bitsmith.Checkpoints.Safetensors;
using Bitsmith.Tensors.ElementTypes;

namespace Bitsmith.Models.Tests;

/// <summary>Tensors that the real library computed.</summary>
internal sealed class Golden : IDisposable
{
    private readonly SafetensorsFile file;
    private readonly Dictionary<string, StoredTensor> tensors;

    public Golden(string name)
    {
        file = SafetensorsFile.Open(Path.Combine(AppContext.BaseDirectory, "goldens", name));
        tensors = file.Header.Tensors.ToDictionary(tensor => tensor.Name);
    }

    public IReadOnlyDictionary<string, string> Metadata => file.Header.Metadata;

    public IEnumerable<string> Names => tensors.Keys;

    public bool Has(string name) => tensors.ContainsKey(name);

    public IReadOnlyList<long> Shape(string name) => tensors[name].Shape;

    public float[] Floats(string name)
    {
        float[] values = new float[tensors[name].Elements];
        ElementConversion.ToSingle(tensors[name].Type, file.View(tensors[name]), values);
        return values;
    }

    public int[] Integers(string name) => tensors[name].Type switch
    {
        ElementType.I64 => [.. MemoryMarshal.Cast<byte, long>(file.View(tensors[name])).ToArray().Select(value => checked((int)value))],
        ElementType.I32 => MemoryMarshal.Cast<byte, int>(file.View(tensors[name])).ToArray(),
        _ => throw new InvalidOperationException(tensors[name].Describe()),
    };

    public void Dispose() => file.Dispose();

    /// <summary>The largest difference, and the largest magnitude of the reference.</summary>
    public static (double Difference, double Largest) Difference(float[] expected, ReadOnlySpan<float> actual)
    {
        double largest = 0, difference = 0;
        for (int i = 0; i < expected.Length; i++)
        {
            largest = Math.Max(largest, Math.Abs(expected[i]));
            difference = Math.Max(difference, double.IsNaN(actual[i]) ? double.PositiveInfinity : Math.Abs(expected[i] - actual[i]));
        }

        return (difference, largest);
    }

    /// <summary>The largest difference, relative to the largest magnitude of the reference, is at most the tolerance.</summary>
    public static void AssertClose(float[] expected, ReadOnlySpan<float> actual, double tolerance, string what)
    {
        Assert.Equal(expected.Length, actual.Length);
        (double difference, double largest) = Difference(expected, actual);
        Assert.True(difference <= tolerance * largest, $"{what}: largest difference {difference:g4}, largest value {largest:g4}");
    }
}
