using System.Globalization;
using System.Reflection;
using System.Runtime.InteropServices;
using System.Runtime.Intrinsics.Arm;
using System.Runtime.Intrinsics.X86;
using System.Text;
using Bitsmith.Tensors.InstructionSets;
using Bitsmith.Tensors.Measurement;

namespace Bitsmith.Evaluation.Speed;

/// <summary>Describes and measures this machine.</summary>
public static class Machine
{
    private const int Passes = 15;
    private const long ArrayPerCache = 16, SmallestArray = 1L << 29, LargestShareOfMemory = 4, UnknownCache = 64L << 20;

    /// <summary>Version and commit of Bitsmith.</summary>
    public static string Version { get; } = typeof(Machine).Assembly.GetCustomAttribute<AssemblyInformationalVersionAttribute>()!.InformationalVersion;

    /// <summary>The processor's name for itself; its architecture where it has none.</summary>
    public static string CpuName { get; } = ReadCpuName();

    /// <summary>Describes the machine and measures its memory and arithmetic: some seconds, all cores.</summary>
    /// <param name="clock">Tells the time.</param>
    /// <param name="progress">Told what is measured next.</param>
    /// <param name="cancellationToken">Stops between passes.</param>
    /// <param name="onlyThreads">Measure with so many threads alone; null for one and for all cores.</param>
    public static MachineReport Examine(TimeProvider clock, IProgress<string>? progress, CancellationToken cancellationToken, int? onlyThreads = null)
    {
        int cores = Environment.ProcessorCount;
        int[] threads = onlyThreads is int only ? [only] : cores == 1 ? [1] : [1, cores];
        IReadOnlyList<CacheReport> caches = ReadCaches("/sys/devices/system/cpu/cpu0/cache");
        MemoryReport memory = ReadMemory("/proc/meminfo");
        long array = ArrayBytes(caches, memory);
        progress?.Report($"memory bandwidth, {Passes} passes");
        BandwidthReport bandwidth = array < SmallestArray
            ? new BandwidthReport(null, [])
            : new BandwidthReport(array, [.. threads.Select(count => MemoryBandwidth.Measure(array, count, Passes, Cpu.Default, clock, cancellationToken))]);
        progress?.Report($"arithmetic, {Passes} passes");
        PeakReport[] peaks = [.. threads
            .SelectMany(count => PeakCompute.Measure(count, Passes, Cpu.Default, clock, cancellationToken))
            .GroupBy(peak => (peak.Kind, peak.Instruction), (kind, rates) => new PeakReport(kind.Kind, kind.Instruction, [.. rates.Select(peak => peak.Rate)]))];
        return new MachineReport(
            Version,
            RuntimeInformation.FrameworkDescription,
            RuntimeInformation.OSDescription,
            RuntimeInformation.ProcessArchitecture.ToString().ToLowerInvariant(),
            new CpuReport(CpuName, cores, Features(), caches),
            new InstructionSetReport([.. Cpu.Available.Select(Name)], Name(Cpu.Default), Environment.GetEnvironmentVariable(Cpu.Variable)),
            memory,
            bandwidth,
            peaks);

        static string Name(InstructionSet set) => set.ToString().ToLowerInvariant();
    }

    /// <summary>Many times the last-level cache, but never more than a share of the memory that is free.</summary>
    internal static long ArrayBytes(IReadOnlyList<CacheReport> caches, MemoryReport memory)
    {
        long lastLevel = caches.Select(cache => cache.Bytes).DefaultIfEmpty(UnknownCache).Max();
        return Math.Min(Math.Max(SmallestArray, ArrayPerCache * lastLevel), memory.AvailableBytes / LargestShareOfMemory);
    }

    /// <summary>Reads Linux' description of the caches; elsewhere the folder does not exist and nothing is known.</summary>
    internal static IReadOnlyList<CacheReport> ReadCaches(string folder)
    {
        if (!Directory.Exists(folder))
        {
            return [];
        }

        List<CacheReport> caches = [];
        foreach (string index in Directory.EnumerateDirectories(folder, "index*").Order(StringComparer.Ordinal))
        {
            if (Text("level") is { } level && Text("type") is { } type && Text("size") is { } size && int.TryParse(level, out int number)
                && size.EndsWith('K') && long.TryParse(size[..^1], NumberStyles.None, CultureInfo.InvariantCulture, out long kibibytes))
            {
                caches.Add(new CacheReport(number, type.ToLowerInvariant(), kibibytes << 10, CountCores(Text("shared_cpu_list"))));
            }

            string? Text(string name)
            {
                string path = Path.Combine(index, name);
                return File.Exists(path) ? File.ReadAllText(path).Trim() : null;
            }
        }

        return caches;
    }

    /// <summary>Counts the cores of a list such as <c>0-3,8</c>.</summary>
    internal static int CountCores(string? list) => (list ?? string.Empty).Split(',', StringSplitOptions.RemoveEmptyEntries).Sum(range => range.Split('-') switch
    {
        [string first, string last] when int.TryParse(first, out int from) && int.TryParse(last, out int to) => to - from + 1,
        _ => 1,
    });

    /// <summary>What Linux says, within the limit that .NET sees (a container's); what .NET sees elsewhere.</summary>
    internal static MemoryReport ReadMemory(string path)
    {
        GCMemoryInfo limits = GC.GetGCMemoryInfo();
        long total = limits.TotalAvailableMemoryBytes, available = total - limits.MemoryLoadBytes;
        if (!File.Exists(path))
        {
            return new MemoryReport(total, Math.Max(0, available));
        }

        Dictionary<string, long> lines = File.ReadLines(path)
            .Select(line => line.Split([' ', ':'], StringSplitOptions.RemoveEmptyEntries))
            .Where(parts => parts.Length >= 2 && long.TryParse(parts[1], out _))
            .ToDictionary(parts => parts[0], parts => long.Parse(parts[1], CultureInfo.InvariantCulture) << 10);
        total = Math.Min(total, lines.GetValueOrDefault("MemTotal", total));
        return new MemoryReport(total, Math.Min(total, lines.GetValueOrDefault("MemAvailable", available)));
    }

    private static string ReadCpuName()
    {
        const uint Extended = 0x80000000, BrandStart = 0x80000002, Parts = 3;
        if (X86Base.IsSupported && (uint)X86Base.CpuId(unchecked((int)Extended), 0).Eax >= BrandStart + Parts - 1)
        {
            int[] brand = new int[4 * Parts];
            for (int i = 0; i < Parts; i++)
            {
                (brand[4 * i], brand[(4 * i) + 1], brand[(4 * i) + 2], brand[(4 * i) + 3]) = X86Base.CpuId((int)(BrandStart + (uint)i), 0);
            }

            return Encoding.ASCII.GetString(MemoryMarshal.AsBytes(brand.AsSpan())).Trim('\0', ' ');
        }

        return RuntimeInformation.ProcessArchitecture.ToString();
    }

    private static string[] Features()
    {
        // The runtime's flags say what the system has enabled; CPUID says what the chip has beyond what the runtime knows.
        bool wide = Cpu.Available.Contains(InstructionSet.Avx512);
        int ecx = 0, eax = 0;
        if (X86Base.IsSupported && X86Base.CpuId(0, 0).Eax >= 7)
        {
            (ecx, eax) = (X86Base.CpuId(7, 0).Ecx, X86Base.CpuId(7, 1).Eax);
        }

        (string Name, bool Has)[] features =
        [
            ("sse4_2", Sse42.IsSupported), ("avx2", Avx2.IsSupported), ("fma", Fma.IsSupported), ("avx_vnni", AvxVnni.IsSupported),
            ("avx512f", Avx512F.IsSupported), ("avx512bw", Avx512BW.IsSupported), ("avx512dq", Avx512DQ.IsSupported), ("avx512vl", Avx512F.VL.IsSupported), ("avx512_vbmi", Avx512Vbmi.IsSupported),
            ("avx512_vnni", wide && (ecx & (1 << 11)) != 0), ("avx512_bf16", wide && (eax & (1 << 5)) != 0),
            ("asimd", AdvSimd.IsSupported), ("asimddp", Dp.IsSupported),
        ];
        return [.. features.Where(feature => feature.Has).Select(feature => feature.Name)];
    }
}
