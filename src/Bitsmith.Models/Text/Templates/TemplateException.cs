namespace Bitsmith.Models.Text.Templates;

/// <summary>What kind of thing a template failed with.</summary>
public enum TemplateErrorKind
{
    /// <summary>The template's text is not valid.</summary>
    Syntax,

    /// <summary>An undefined value was used where only a defined one may be.</summary>
    Undefined,

    /// <summary>An operation does not fit its operands.</summary>
    Operation,

    /// <summary>The template touched something that the sandbox keeps from it.</summary>
    Security,

    /// <summary>The template itself refused its input with <c>raise_exception</c>.</summary>
    Raised,

    /// <summary>A bound of <see cref="TemplateOptions"/> was reached.</summary>
    Limit,

    /// <summary>Valid Jinja that this engine does not have.</summary>
    Unsupported,
}

/// <summary>A chat template could not be read or rendered. The message names the template, the place, what was found and what was expected.</summary>
/// <param name="template">The name of the template.</param>
/// <param name="line">The line, from 1.</param>
/// <param name="column">The column in UTF-16 units, from 1.</param>
/// <param name="kind">What kind of failure.</param>
/// <param name="problem">What was found and what was expected, without the place.</param>
/// <param name="inner">The cause, if another exception told of it.</param>
public sealed class TemplateException(
    string template, int line, int column, TemplateErrorKind kind, string problem, Exception? inner = null)
    : Exception($"{template}, line {line}, column {column}: {problem}", inner)
{
    /// <summary>The name of the template.</summary>
    public string Template { get; } = template;

    /// <summary>The line, from 1.</summary>
    public int Line { get; } = line;

    /// <summary>The column in UTF-16 units, from 1.</summary>
    public int Column { get; } = column;

    /// <summary>What kind of failure.</summary>
    public TemplateErrorKind Kind { get; } = kind;

    /// <summary>What was found and what was expected, without the place; for <see cref="TemplateErrorKind.Raised"/> the template's own words.</summary>
    public string Problem { get; } = problem;
}

/// <summary>A failure on its way to the one that knows the place and makes a <see cref="TemplateException"/> of it.</summary>
internal sealed class TemplateFault(TemplateErrorKind kind, string problem) : Exception(problem)
{
    public TemplateErrorKind Kind { get; } = kind;

    public static TemplateFault Operation(string problem) => new(TemplateErrorKind.Operation, problem);

    public static TemplateFault Limit(string problem) => new(TemplateErrorKind.Limit, problem);

    public static TemplateFault Unsupported(string problem) => new(TemplateErrorKind.Unsupported, problem);

    public static TemplateFault NotIterable(TemplateValue value) => Operation($"'{value.TypeName}' object is not iterable");
}
