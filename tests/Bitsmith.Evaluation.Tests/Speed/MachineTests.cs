using System.Text.Json;
using Bitsmith.Evaluation.Speed;
using Bitsmith.Tensors.InstructionSets;

namespace Bitsmith.Evaluation.Tests.Speed;

public sealed class MachineTests
{
    [Fact]
    public void The_report_names_processor_kernels_and_versions_and_holds_a_rate_for_one_thread_and_for_all()
    {
        MachineReport report = Machine.Examine(TimeProvider.System, null, TestContext.Current.CancellationToken);

        Assert.NotEmpty(report.Cpu.Name);
        Assert.Equal(Cpu.Default.ToString(), report.InstructionSets.Chosen, ignoreCase: true);
        Assert.Contains(report.InstructionSets.Chosen, report.InstructionSets.Available);
        Assert.InRange(report.Memory.AvailableBytes, 1, report.Memory.TotalBytes);
        int[] threads = [.. ((int[])[1, Environment.ProcessorCount]).Distinct()];
        Assert.Contains("f32_fma", report.Peaks.Select(peak => peak.Kind));
        Assert.All(report.Peaks, peak => Assert.Equal(threads, peak.OperationsPerSecond.Select(rate => rate.Threads)));
        Assert.All(
            report.Peaks.SelectMany(peak => peak.OperationsPerSecond).Concat(report.Bandwidth.BytesPerSecond),
            rate => Assert.True(rate.Median > 0 && rate.Best >= rate.Median && double.IsFinite(rate.Best), rate.ToString()));
        JsonElement json = JsonDocument.Parse(report.ToJson()).RootElement;
        Assert.Equal(
            ["bitsmith", "runtime", "operating_system", "architecture", "cpu", "instruction_sets", "memory", "bandwidth", "peaks"],
            json.EnumerateObject().Select(property => property.Name));
        Assert.Equal(["threads", "best", "median", "passes"], json.GetProperty("peaks")[0].GetProperty("operations_per_second")[0].EnumerateObject().Select(property => property.Name));
    }

    [Fact]
    public void Caches_are_read_from_the_systems_files_and_what_they_lack_is_left_out()
    {
        using Files files = new();
        files.Write("index0/level", "1\n");
        files.Write("index0/type", "Data\n");
        files.Write("index0/size", "48K\n");
        files.Write("index0/shared_cpu_list", "0\n");
        files.Write("index1/level", "3\n");
        files.Write("index1/type", "Unified\n");
        files.Write("index1/size", "32768K\n");
        files.Write("index1/shared_cpu_list", "0-3,8-11\n");
        files.Write("index2/level", "4\n");

        Assert.Equal([new CacheReport(1, "data", 48 << 10, 1), new CacheReport(3, "unified", 32 << 20, 8)], Machine.ReadCaches(files.Folder));
        Assert.Empty(Machine.ReadCaches(Path.Combine(files.Folder, "nowhere")));
    }

    [Theory]
    [InlineData("0", 1)]
    [InlineData("0-1", 2)]
    [InlineData("0-3,8", 5)]
    [InlineData(null, 0)]
    public void Lists_of_cores_are_counted(string? list, int cores) => Assert.Equal(cores, Machine.CountCores(list));

    [Fact]
    public void Memory_is_what_the_system_says_in_its_files_or_else_what_the_runtime_sees()
    {
        using Files files = new();
        files.Write("meminfo", "MemTotal:        2048 kB\nMemFree:  1 kB\nMemAvailable:    1024 kB\nHugePages_Total:       0\n");

        Assert.Equal(new MemoryReport(2 << 20, 1 << 20), Machine.ReadMemory(Path.Combine(files.Folder, "meminfo")));
        Assert.Equal(GC.GetGCMemoryInfo().TotalAvailableMemoryBytes, Machine.ReadMemory(Path.Combine(files.Folder, "nowhere")).TotalBytes);
    }

    [Theory]
    [InlineData(32, 24_000, 512)] // never less than 512 MiB
    [InlineData(256, 24_000, 4096)] // 16 times the largest cache
    [InlineData(768, 24_000, 6000)] // but no more than a quarter of what is free
    [InlineData(null, 24_000, 1024)] // an unknown cache counts as 64 MiB
    public void The_array_is_far_larger_than_the_last_cache_and_leaves_memory_to_others(int? cacheMiB, long availableMiB, long arrayMiB)
    {
        CacheReport[] caches = cacheMiB is int size ? [new(1, "data", 48 << 10, 1), new(3, "unified", (long)size << 20, 2)] : [];

        Assert.Equal(arrayMiB << 20, Machine.ArrayBytes(caches, new MemoryReport(long.MaxValue, availableMiB << 20)));
    }

    private sealed class Files : IDisposable
    {
        public string Folder { get; } = Directory.CreateTempSubdirectory("bitsmith-machine-").FullName;

        public void Write(string name, string text)
        {
            string path = Path.Combine(Folder, name);
            Directory.CreateDirectory(Path.GetDirectoryName(path)!);
            File.WriteAllText(path, text);
        }

        public void Dispose() => Directory.Delete(Folder, recursive: true);
    }
}
