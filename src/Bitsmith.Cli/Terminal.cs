using Spectre.Console;

namespace Bitsmith.Cli;

/// <summary>Where results and progress go: results on standard output, progress and messages on standard error.</summary>
internal sealed class Terminal
{
    // Tables in a file or a pipe are not wrapped at the 80 columns of a terminal that is not there.
    private const int WidthWithoutTerminal = 180;

    public Terminal(TextReader input, TextWriter output, TextWriter error, bool outputRedirected, bool errorRedirected)
    {
        In = input;
        Out = output;
        Error = error;
        Results = Create(output, outputRedirected);
        Messages = Create(error, errorRedirected);
        IsInteractive = !errorRedirected;
    }

    /// <summary>Standard input.</summary>
    public TextReader In { get; }

    /// <summary>Raw standard output, for JSON.</summary>
    public TextWriter Out { get; }

    /// <summary>Raw standard error.</summary>
    public TextWriter Error { get; }

    /// <summary>Standard output for tables.</summary>
    public IAnsiConsole Results { get; }

    /// <summary>Standard error for progress.</summary>
    public IAnsiConsole Messages { get; }

    /// <summary>True where a person watches standard error.</summary>
    public bool IsInteractive { get; }

    private static IAnsiConsole Create(TextWriter writer, bool redirected)
    {
        IAnsiConsole console = AnsiConsole.Create(new AnsiConsoleSettings
        {
            Out = new AnsiConsoleOutput(writer),
            Ansi = redirected ? AnsiSupport.No : AnsiSupport.Detect,
            Interactive = redirected ? InteractionSupport.No : InteractionSupport.Detect,
        });
        if (redirected)
        {
            console.Profile.Width = WidthWithoutTerminal;
        }

        return console;
    }
}
