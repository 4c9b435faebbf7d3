using System.CommandLine;
using System.Diagnostics;
using Bitsmith.Checkpoints;
using Bitsmith.Synthesize;

// synthesize --list FILE -o DIR [--weights random|sparse] [--seed N] [--max-shard-bytes N]
Option<string> listFile = new("--list") { Description = "A tensor list, for example tests/Fixtures/tensors/GLM-4.6V-Flash.json.", Required = true };
Option<string> output = new("--output", "-o") { Description = "The folder to write; must be new or empty.", Required = true };
Option<string> mode = new("--weights") { Description = "random: normal weights of standard deviation 0.02. sparse: headers and holes, which take no disk.", DefaultValueFactory = _ => "random" };
mode.AcceptOnlyFromAmong("random", "sparse");
Option<ulong> seed = new("--seed") { Description = "Equal seeds give equal bytes.", DefaultValueFactory = _ => 1 };
Option<long> maxShardBytes = new("--max-shard-bytes") { Description = "Limit of a weight file.", DefaultValueFactory = _ => 5_000_000_000 };
RootCommand root = new("Writes a checkpoint with the names, shapes and types of a real model's tensors.") { listFile, output, mode, seed, maxShardBytes };
root.SetAction(parsed =>
{
    try
    {
        return Run(parsed.GetRequiredValue(listFile), parsed.GetRequiredValue(output), parsed.GetValue(mode) == "sparse", parsed.GetValue(seed), parsed.GetValue(maxShardBytes));
    }
    catch (Exception problem) when (problem is CheckpointException or IOException)
    {
        Console.Error.WriteLine($"synthesize: {problem.Message}");
        return problem is CheckpointException ? 3 : 1;
    }
});
ParseResult command = root.Parse(args);
int code = command.Invoke();
return command.Errors.Count > 0 ? 2 : code;

static int Run(string listFile, string folder, bool sparse, ulong seed, long maxShardBytes)
{
    TensorList list = TensorList.Load(listFile);
    string full = Path.GetFullPath(folder);
    if (Directory.Exists(full) && Directory.EnumerateFileSystemEntries(full).Any())
    {
        throw new IOException($"{folder} is not empty. Choose another folder or empty it.");
    }

    Directory.CreateDirectory(full);
    long free = new DriveInfo(full).AvailableFreeSpace;
    if (!sparse && free < list.Bytes + (64 << 20))
    {
        throw new IOException($"{list.Model} takes {list.Bytes} bytes, {folder} has {free} free.");
    }

    Stopwatch clock = Stopwatch.StartNew();
    CheckpointWriter.Write(list, full, maxShardBytes, sparse ? null : new WeightSource(seed));
    double seconds = clock.Elapsed.TotalSeconds;
    Console.WriteLine($"{list.Model}: {list.Tensors.Count} tensors, {list.Bytes} bytes{(sparse ? " (sparse)" : $", {list.Bytes / seconds / 1e9:0.00} GB/s")}, {seconds:0.0} s");
    return 0;
}
