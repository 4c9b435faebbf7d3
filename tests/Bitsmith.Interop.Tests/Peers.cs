using System.Diagnostics;

namespace Bitsmith.Interop.Tests;

/// <summary>
/// The real libraries, installed in a root of their own that PEERS names (default: peers in the temporary folder). Files that they must see are copied
/// into a folder there, which is removed at the end.
/// </summary>
internal sealed class Peers : IDisposable
{
    private static readonly string Root = Environment.GetEnvironmentVariable("PEERS") ?? Path.Combine(Path.GetTempPath(), "peers");

    private readonly DirectoryInfo exchange;

    public Peers()
    {
        Assert.SkipUnless(
            File.Exists(Path.Combine(Root, ".ready")),
            $"transformers and compressed-tensors are not installed in {Root}; set PEERS to their root to run this test");
        exchange = Directory.CreateDirectory(Path.Combine(Root, "tmp", $"bitsmith-interop-{Guid.NewGuid():n}"));
        foreach (string script in Directory.EnumerateFiles(Path.Combine(AppContext.BaseDirectory, "peers")))
        {
            File.Copy(script, Path.Combine(exchange.FullName, Path.GetFileName(script)));
        }
    }

    /// <summary>A path in the exchange folder as this process sees it.</summary>
    public string Here(string name) => Path.Combine(exchange.FullName, name);

    /// <summary>The same path as the peers see it.</summary>
    public string Inside(string name) => $"/tmp/{exchange.Name}/{name}";

    /// <summary>Runs a script; arguments that start with '@' name files of the exchange folder.</summary>
    public (int Code, string Output) Run(string script, params string[] args) => Program("python3", ["@" + script, .. args]);

    /// <summary>Runs a program, for example llama-quantize; arguments that start with '@' name files of the exchange folder.</summary>
    public (int Code, string Output) Program(string program, params string[] args)
    {
        ProcessStartInfo start = new("chroot") { RedirectStandardOutput = true, RedirectStandardError = true };
        foreach (string argument in (string[])[Root, program, .. args.Select(argument => argument.StartsWith('@') ? Inside(argument[1..]) : argument)])
        {
            start.ArgumentList.Add(argument);
        }

        using Process process = Process.Start(start)!;
        Task<string> error = process.StandardError.ReadToEndAsync();
        string output = process.StandardOutput.ReadToEnd();
        process.WaitForExit();
        return (process.ExitCode, output + error.Result);
    }

    public void Dispose() => exchange.Delete(recursive: true);
}
