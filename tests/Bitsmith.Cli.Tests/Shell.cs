namespace Bitsmith.Cli.Tests;

/// <summary>Runs the command line in this process and keeps what it prints; offers the sample model and a temporary folder.</summary>
internal sealed class Shell : IDisposable
{
    private readonly DirectoryInfo root = Directory.CreateTempSubdirectory("bitsmith-cli-");

    public string Sample { get; } = FindSample();

    public string Output { get; private set; } = string.Empty;

    public string Error { get; private set; } = string.Empty;

    public string PathOf(string name) => Path.Combine(root.FullName, name);

    /// <summary>What the command reads from standard input.</summary>
    public string Input { get; set; } = string.Empty;

    public int Run(params string[] args)
    {
        StringWriter output = new(), error = new();
        int code = Application.RunAsync(args, new Terminal(new StringReader(Input), output, error, outputRedirected: true, errorRedirected: true)).GetAwaiter().GetResult();
        (Output, Error) = (output.ToString(), error.ToString());
        return code;
    }

    public void Dispose() => root.Delete(recursive: true);

    private static string FindSample()
    {
        for (DirectoryInfo? folder = new(AppContext.BaseDirectory); folder is not null; folder = folder.Parent)
        {
            string candidate = Path.Combine(folder.FullName, "samples", "glm-4.6v-mini");
            if (Directory.Exists(candidate))
            {
                return candidate;
            }
        }

        throw new DirectoryNotFoundException("samples/glm-4.6v-mini");
    }
}
