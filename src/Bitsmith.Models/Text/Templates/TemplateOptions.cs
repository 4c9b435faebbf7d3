namespace Bitsmith.Models.Text.Templates;

/// <summary>
/// Bounds on what a template may do, and its clock. A template comes with a downloaded model: nothing in it may make the reader run
/// for long, fill the memory or overflow the stack. Reaching a bound is a <see cref="TemplateException"/> of kind
/// <see cref="TemplateErrorKind.Limit"/>.
/// </summary>
public sealed record TemplateOptions
{
    /// <summary>The defaults.</summary>
    public static TemplateOptions Default { get; } = new();

    /// <summary>UTF-16 units of a template's text; 1 Mi.</summary>
    public int MaxSourceLength { get; init; } = 1 << 20;

    /// <summary>Brackets, operators and blocks within one another, in the text and in values; 200.</summary>
    public int MaxNesting { get; init; } = 200;

    /// <summary>Macros and recursive loops that call one another; 100.</summary>
    public int MaxCallDepth { get; init; } = 100;

    /// <summary>Passes of all loops of one rendering together; 1,000,000.</summary>
    public int MaxLoopIterations { get; init; } = 1_000_000;

    /// <summary>UTF-16 units of the result, and of every text on the way to it; 64 Mi.</summary>
    public int MaxOutputLength { get; init; } = 1 << 26;

    /// <summary>
    /// Work of one rendering: evaluated nodes, visited elements, and one for every 16 units of text made; 50,000,000.
    /// </summary>
    public long MaxSteps { get; init; } = 50_000_000;

    /// <summary>What <c>strftime_now</c> reads; local time of the system.</summary>
    public TimeProvider Clock { get; init; } = TimeProvider.System;
}

/// <summary>What one rendering has spent.</summary>
internal sealed class Work(TemplateOptions options, CancellationToken cancellation)
{
    private const int StepsBetweenChecks = 4096;

    private long steps;
    private long nextCheck = StepsBetweenChecks;
    private int iterations;
    private int depth;
    private int calls;

    public TemplateOptions Options { get; } = options;

    public void Step(long count = 1)
    {
        steps += count;
        if (steps < nextCheck)
        {
            return;
        }

        nextCheck = steps + StepsBetweenChecks;
        cancellation.ThrowIfCancellationRequested();
        if (steps > Options.MaxSteps)
        {
            throw TemplateFault.Limit($"the rendering took more than {Options.MaxSteps} steps");
        }
    }

    public void Iteration()
    {
        Step();
        if (++iterations > Options.MaxLoopIterations)
        {
            throw TemplateFault.Limit($"the loops ran more than {Options.MaxLoopIterations} times");
        }
    }

    /// <summary>Announces a text of so many units before it is made.</summary>
    public void Text(long length)
    {
        CheckText(length);
        Step((length / 16) + 1);
    }

    /// <summary>Only checks the length of a text that is announced piece by piece.</summary>
    public void CheckText(long length)
    {
        if (length > Options.MaxOutputLength)
        {
            throw TemplateFault.Limit($"a text grew longer than {Options.MaxOutputLength} characters");
        }
    }

    /// <summary>Announces a list of so many elements before it is made; an element takes about as much memory as four units of text.</summary>
    public void Elements(long count)
    {
        if (count > Options.MaxOutputLength / 4)
        {
            throw TemplateFault.Limit($"a list grew longer than {Options.MaxOutputLength / 4} elements");
        }

        Step(count);
    }

    /// <summary>One level deeper into a value.</summary>
    public void Enter()
    {
        if (++depth > Options.MaxNesting)
        {
            depth--;
            throw TemplateFault.Limit($"values are nested more than {Options.MaxNesting} deep");
        }

        Step();
    }

    public void Leave() => depth--;

    public void EnterCall()
    {
        if (++calls > Options.MaxCallDepth)
        {
            calls--;
            throw TemplateFault.Limit($"macros call one another more than {Options.MaxCallDepth} deep");
        }
    }

    public void LeaveCall() => calls--;
}
