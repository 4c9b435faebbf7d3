using System.Runtime.InteropServices;
using BenchmarkDotNet.Attributes;
using Bitsmith.Synthesize;
using Bitsmith.Tensors.ElementTypes;
using Bitsmith.Tensors.InstructionSets;

namespace Bitsmith.Benchmarks;

/// <summary>A conversion of elements.</summary>
public enum Conversion
{
    /// <summary>BF16 to F32.</summary>
    WidenBFloat16,

    /// <summary>F32 to BF16.</summary>
    NarrowToBFloat16,

    /// <summary>F32 to F8_E4M3.</summary>
    NarrowToE4M3,
}

/// <summary>Element conversions on one core; the data fits into the second-level cache.</summary>
public class ConversionBenchmark : ISourceBytes
{
    private const int Elements = 64 << 10;

    private readonly byte[] narrow = new byte[Elements * 2];
    private readonly float[] wide = new float[Elements];

    /// <summary>The instruction sets to compare.</summary>
    public static IEnumerable<InstructionSet> Sets => Cpu.Available;

    /// <summary>What is converted.</summary>
    [ParamsAllValues]
    public Conversion Conversion { get; set; }

    /// <summary>The kernels.</summary>
    [ParamsSource(nameof(Sets))]
    public InstructionSet Set { get; set; }

    /// <inheritdoc/>
    public long SourceBytes => Elements * (Conversion == Conversion.WidenBFloat16 ? 2 : 4);

    /// <summary>Makes the values.</summary>
    [GlobalSetup]
    public void Prepare()
    {
        NormalWeights.Fill(MemoryMarshal.Cast<byte, ushort>(narrow.AsSpan()), seed: 1);
        ElementConversion.ToSingle(ElementType.BF16, narrow, wide);
    }

    /// <summary>Converts them.</summary>
    [Benchmark]
    public void Convert()
    {
        switch (Conversion)
        {
            case Conversion.WidenBFloat16:
                ElementConversion.ToSingle(ElementType.BF16, narrow, wide, Set);
                break;
            case Conversion.NarrowToBFloat16:
                ElementConversion.FromSingle(ElementType.BF16, wide, narrow, Set);
                break;
            default:
                ElementConversion.FromSingle(ElementType.F8E4M3, wide, narrow.AsSpan(0, Elements), Set);
                break;
        }
    }
}
