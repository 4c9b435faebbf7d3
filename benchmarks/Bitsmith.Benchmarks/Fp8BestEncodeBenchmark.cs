using BenchmarkDotNet.Attributes;
using Bitsmith.Tensors.Formats;
using Bitsmith.Tensors.InstructionSets;

namespace Bitsmith.Benchmarks;

/// <summary>The searching encoder, on one core, with the fastest instruction set.</summary>
public class Fp8BestEncodeBenchmark : ISourceBytes
{
    private EncodeCase work = null!;

    /// <summary>The fastest of this machine.</summary>
    public static IEnumerable<InstructionSet> Sets => [Cpu.Available[^1]];

    /// <summary>Side of the square block.</summary>
    [Params(128)]
    public int Block { get; set; }

    /// <summary>Columns of the band.</summary>
    [Params(4096)]
    public int Columns { get; set; }

    /// <summary>The kernels.</summary>
    [ParamsSource(nameof(Sets))]
    public InstructionSet Set { get; set; }

    /// <inheritdoc/>
    public long SourceBytes => EncodeCase.BytesOf(Columns);

    /// <summary>Makes the weights.</summary>
    [GlobalSetup]
    public void Prepare() => work = new EncodeCase(WeightEncoder.Best, Columns, Block);

    /// <summary>Encodes the band.</summary>
    [Benchmark]
    public void Best() => work.Run(Set);
}
