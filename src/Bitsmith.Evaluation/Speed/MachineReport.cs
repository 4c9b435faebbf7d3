using System.Text.Json;
using System.Text.Json.Serialization;
using Bitsmith.Tensors.Measurement;

namespace Bitsmith.Evaluation.Speed;

/// <summary>The processor.</summary>
/// <param name="Name">As it names itself.</param>
/// <param name="Cores">Cores that this process may use.</param>
/// <param name="Features">Instruction set extensions that kernels here can use, by the names of Linux.</param>
/// <param name="Caches">Caches of the first core, where the system tells.</param>
public sealed record CpuReport(string Name, int Cores, IReadOnlyList<string> Features, IReadOnlyList<CacheReport> Caches);

/// <summary>A cache.</summary>
/// <param name="Level">1 is next to the core.</param>
/// <param name="Type"><c>data</c>, <c>instruction</c> or <c>unified</c>.</param>
/// <param name="Bytes">Size.</param>
/// <param name="SharedBy">Logical cores that share it.</param>
public sealed record CacheReport(int Level, string Type, long Bytes, int SharedBy);

/// <summary>The families of kernels.</summary>
/// <param name="Available">All that run here, slowest first.</param>
/// <param name="Chosen">The one in use.</param>
/// <param name="Override">What <c>BITSMITH_ISA</c> says; null where it is not set.</param>
public sealed record InstructionSetReport(IReadOnlyList<string> Available, string Chosen, string? Override);

/// <summary>Memory that this process may use, a container's limit included.</summary>
/// <param name="TotalBytes">All of it.</param>
/// <param name="AvailableBytes">What is free, or used for nothing but copies of files.</param>
public sealed record MemoryReport(long TotalBytes, long AvailableBytes);

/// <summary>How fast memory is read.</summary>
/// <param name="ArrayBytes">Size of the array that was read; null where too little memory was free to measure.</param>
/// <param name="BytesPerSecond">For one thread, and for all.</param>
public sealed record BandwidthReport(long? ArrayBytes, IReadOnlyList<Rate> BytesPerSecond);

/// <summary>How fast one kind of arithmetic is.</summary>
/// <param name="Kind"><c>f32_fma</c>, <c>bf16_dot</c> or <c>int8_dot</c>.</param>
/// <param name="Instruction">The instruction and its width.</param>
/// <param name="OperationsPerSecond">For one thread, and for all; a product and its addition are two operations.</param>
public sealed record PeakReport(string Kind, string Instruction, IReadOnlyList<Rate> OperationsPerSecond);

/// <summary>This machine, as far as speed depends on it.</summary>
/// <param name="Bitsmith">Version and commit.</param>
/// <param name="Runtime">Version of .NET.</param>
/// <param name="OperatingSystem">The system.</param>
/// <param name="Architecture">For example <c>x64</c>.</param>
/// <param name="Cpu">The processor.</param>
/// <param name="InstructionSets">The families of kernels.</param>
/// <param name="Memory">Memory.</param>
/// <param name="Bandwidth">Measured bandwidth.</param>
/// <param name="Peaks">Measured peaks of arithmetic, of each kind that this machine has an instruction for.</param>
public sealed record MachineReport(
    string Bitsmith,
    string Runtime,
    string OperatingSystem,
    string Architecture,
    CpuReport Cpu,
    InstructionSetReport InstructionSets,
    MemoryReport Memory,
    BandwidthReport Bandwidth,
    IReadOnlyList<PeakReport> Peaks)
{
    /// <summary>The report as JSON, under stable names.</summary>
    public string ToJson() => JsonSerializer.Serialize(this, MachineJson.Default.MachineReport);
}

[JsonSourceGenerationOptions(WriteIndented = true, PropertyNamingPolicy = JsonKnownNamingPolicy.SnakeCaseLower)]
[JsonSerializable(typeof(MachineReport))]
internal sealed partial class MachineJson : JsonSerializerContext;
