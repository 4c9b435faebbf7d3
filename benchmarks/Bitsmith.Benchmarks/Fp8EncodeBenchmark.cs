using BenchmarkDotNet.Attributes;
using Bitsmith.Tensors.Formats;
using Bitsmith.Tensors.InstructionSets;

namespace Bitsmith.Benchmarks;

/// <summary>The library's encoder, on one core, with every instruction set of this machine.</summary>
public class Fp8EncodeBenchmark : ISourceBytes
{
    private EncodeCase work = null!;

    /// <summary>The instruction sets to compare.</summary>
    public static IEnumerable<InstructionSet> Sets => Cpu.Available;

    /// <summary>Side of the square block.</summary>
    [Params(128, 32)]
    public int Block { get; set; }

    /// <summary>Columns of the band: the inputs of GLM-4.6V-Flash's down and gate projections.</summary>
    [Params(13696, 4096)]
    public int Columns { get; set; }

    /// <summary>The kernels.</summary>
    [ParamsSource(nameof(Sets))]
    public InstructionSet Set { get; set; }

    /// <inheritdoc/>
    public long SourceBytes => EncodeCase.BytesOf(Columns);

    /// <summary>Makes the weights.</summary>
    [GlobalSetup]
    public void Prepare() => work = new EncodeCase(WeightEncoder.Library, Columns, Block);

    /// <summary>Encodes the band.</summary>
    [Benchmark]
    public void Library() => work.Run(Set);
}
