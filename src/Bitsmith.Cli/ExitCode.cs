namespace Bitsmith.Cli;

/// <summary>What the process returns; documented in docs/commands.md.</summary>
internal static class ExitCode
{
    public const int Done = 0;
    public const int Failed = 1;
    public const int WrongRequest = 2;
    public const int BrokenInput = 3;
    public const int Interrupted = 130;
}
