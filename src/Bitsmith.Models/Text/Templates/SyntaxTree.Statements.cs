namespace Bitsmith.Models.Text.Templates;

/// <summary>What an assignment, a loop or a with block writes to.</summary>
internal abstract class Target(Position position)
{
    public Position Position { get; } = position;
}

internal sealed class NameTarget(Position position, string name) : Target(position)
{
    public string Name { get; } = name;
}

internal sealed class NamespaceTarget(Position position, string name, string attribute) : Target(position)
{
    public string Name { get; } = name;

    public string Attribute { get; } = attribute;
}

internal sealed class TupleTarget(Position position, IReadOnlyList<Target> items) : Target(position)
{
    public IReadOnlyList<Target> Items { get; } = items;
}

internal abstract class Statement(Position position)
{
    public Position Position { get; } = position;
}

internal sealed class TextStatement(Position position, string text) : Statement(position)
{
    public string Text { get; } = text;
}

internal sealed class OutputStatement(Position position, Expression value) : Statement(position)
{
    public Expression Value { get; } = value;
}

internal sealed class IfStatement(
    Position position, IReadOnlyList<(Expression Test, IReadOnlyList<Statement> Body)> branches, IReadOnlyList<Statement> otherwise)
    : Statement(position)
{
    public IReadOnlyList<(Expression Test, IReadOnlyList<Statement> Body)> Branches { get; } = branches;

    public IReadOnlyList<Statement> Otherwise { get; } = otherwise;
}

internal sealed class ForStatement(Position position, Target target, Expression source) : Statement(position)
{
    public Target Target { get; } = target;

    public Expression Source { get; } = source;

    public Expression? Test { get; init; }

    public bool IsRecursive { get; init; }

    public required IReadOnlyList<Statement> Body { get; init; }

    public required IReadOnlyList<Statement> Otherwise { get; init; }
}

internal sealed class SetStatement(Position position, Target target, Expression value) : Statement(position)
{
    public Target Target { get; } = target;

    public Expression Value { get; } = value;
}

internal sealed class SetBlockStatement(Position position, Target target, Expression? filter, IReadOnlyList<Statement> body) : Statement(position)
{
    public Target Target { get; } = target;

    public Expression? Filter { get; } = filter;

    public IReadOnlyList<Statement> Body { get; } = body;
}

/// <summary>Parameters and body of a macro or of the caller of a call block.</summary>
internal sealed record MacroDefinition(string? Name, IReadOnlyList<(string Name, Expression? Default)> Parameters, IReadOnlyList<Statement> Body)
{
    /// <summary>jinja2 hands these three to a macro only where its body mentions them; elsewhere such arguments are an error.</summary>
    public bool UsesCaller { get; init; }

    public bool UsesKeywords { get; init; }

    public bool UsesVarargs { get; init; }
}

internal sealed class MacroStatement(Position position, MacroDefinition definition) : Statement(position)
{
    public MacroDefinition Definition { get; } = definition;
}

internal sealed class CallStatement(Position position, CallExpression call, MacroDefinition caller) : Statement(position)
{
    public CallExpression Call { get; } = call;

    public MacroDefinition Caller { get; } = caller;
}

internal sealed class FilterStatement(Position position, Expression filter, IReadOnlyList<Statement> body) : Statement(position)
{
    public Expression Filter { get; } = filter;

    public IReadOnlyList<Statement> Body { get; } = body;
}

internal sealed class WithStatement(
    Position position, IReadOnlyList<(Target Target, Expression Value)> bindings, IReadOnlyList<Statement> body) : Statement(position)
{
    public IReadOnlyList<(Target Target, Expression Value)> Bindings { get; } = bindings;

    public IReadOnlyList<Statement> Body { get; } = body;
}

/// <summary><c>{% generation %}</c>: its text goes through; what it sets stays inside, as in transformers.</summary>
internal sealed class GenerationStatement(Position position, IReadOnlyList<Statement> body) : Statement(position)
{
    public IReadOnlyList<Statement> Body { get; } = body;
}

internal sealed class JumpStatement(Position position, bool isBreak) : Statement(position)
{
    public bool IsBreak { get; } = isBreak;
}
