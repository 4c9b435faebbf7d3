namespace Bitsmith.Benchmarks;

/// <summary>A benchmark that reads a known number of bytes in each call; its rate is what the tables show.</summary>
public interface ISourceBytes
{
    /// <summary>Bytes read in one call, with the parameters that are set.</summary>
    long SourceBytes { get; }
}
