using System.Numerics;

namespace Bitsmith.Models.Text.Templates;

/// <summary>A place in a template, both from 1.</summary>
internal readonly record struct Position(int Line, int Column);

internal enum TokenKind
{
    Data,
    VariableBegin,
    VariableEnd,
    BlockBegin,
    BlockEnd,
    Name,
    String,
    Integer,
    Float,
    Operator,
    End,
}

/// <summary>A token; <paramref name="Text"/> is the name, the operator or the text, already unescaped.</summary>
internal readonly record struct Token(TokenKind Kind, string Text, Position Position, BigInteger Integer = default, double Float = 0)
{
    public bool Is(string op) => Kind == TokenKind.Operator && Text == op;

    public bool IsName(string name) => Kind == TokenKind.Name && Text == name;

    /// <summary>How messages call it; the words are jinja2's.</summary>
    public string Description => Kind switch
    {
        TokenKind.Data => "template data / text",
        TokenKind.VariableBegin => "begin of print statement",
        TokenKind.VariableEnd => "end of print statement",
        TokenKind.BlockBegin => "begin of statement block",
        TokenKind.BlockEnd => "end of statement block",
        TokenKind.End => "end of template",
        TokenKind.Integer => Integer.GetBitLength() < 64 ? Integer.ToString() : "integer",
        TokenKind.Float => "float",
        _ => Text,
    };
}

internal abstract class Expression(Position position)
{
    public Position Position { get; } = position;
}

internal sealed class ConstantExpression(Position position, TemplateValue value) : Expression(position)
{
    public TemplateValue Value { get; } = value;
}

internal sealed class NameExpression(Position position, string name) : Expression(position)
{
    public string Name { get; } = name;
}

/// <summary>The text of a filter block, where the first filter of its chain has its operand.</summary>
internal sealed class InputExpression(Position position) : Expression(position);

internal sealed class SequenceExpression(Position position, IReadOnlyList<Expression> items, bool isTuple) : Expression(position)
{
    public IReadOnlyList<Expression> Items { get; } = items;

    public bool IsTuple { get; } = isTuple;
}

internal sealed class DictExpression(Position position, IReadOnlyList<(Expression Key, Expression Value)> pairs) : Expression(position)
{
    public IReadOnlyList<(Expression Key, Expression Value)> Pairs { get; } = pairs;
}

internal sealed class AttributeExpression(Position position, Expression target, string name) : Expression(position)
{
    public Expression Target { get; } = target;

    public string Name { get; } = name;
}

internal sealed class ItemExpression(Position position, Expression target, Expression index) : Expression(position)
{
    public Expression Target { get; } = target;

    public Expression Index { get; } = index;
}

/// <summary>The bounds of a slice; only ever the index of an <see cref="ItemExpression"/>.</summary>
internal sealed class SliceExpression(Position position, Expression? start, Expression? stop, Expression? step) : Expression(position)
{
    public Expression? Start { get; } = start;

    public Expression? Stop { get; } = stop;

    public Expression? Step { get; } = step;
}

internal sealed record ArgumentList(
    IReadOnlyList<Expression> Positional, IReadOnlyList<(string Name, Expression Value)> Keywords, Expression? Star, Expression? DoubleStar)
{
    public static ArgumentList Empty { get; } = new([], [], null, null);
}

internal sealed class CallExpression(Position position, Expression target, ArgumentList arguments) : Expression(position)
{
    public Expression Target { get; } = target;

    public ArgumentList Arguments { get; } = arguments;
}

internal sealed class FilterExpression(Position position, Expression target, string name, ArgumentList arguments) : Expression(position)
{
    public Expression Target { get; } = target;

    public string Name { get; } = name;

    public ArgumentList Arguments { get; } = arguments;
}

internal sealed class TestExpression(Position position, Expression target, string name, ArgumentList arguments) : Expression(position)
{
    public Expression Target { get; } = target;

    public string Name { get; } = name;

    public ArgumentList Arguments { get; } = arguments;
}

/// <summary><c>not</c>, <c>-</c> or <c>+</c>.</summary>
internal sealed class UnaryExpression(Position position, string op, Expression operand) : Expression(position)
{
    public string Operator { get; } = op;

    public Expression Operand { get; } = operand;
}

internal sealed class BinaryExpression(Position position, string op, Expression left, Expression right) : Expression(position)
{
    public string Operator { get; } = op;

    public Expression Left { get; } = left;

    public Expression Right { get; } = right;
}

/// <summary><c>and</c> or <c>or</c>: the right side is only looked at where the left does not decide.</summary>
internal sealed class LogicalExpression(Position position, bool isAnd, Expression left, Expression right) : Expression(position)
{
    public bool IsAnd { get; } = isAnd;

    public Expression Left { get; } = left;

    public Expression Right { get; } = right;
}

internal sealed class CompareExpression(
    Position position, Expression first, IReadOnlyList<(string Operator, Expression Operand)> rest) : Expression(position)
{
    public Expression First { get; } = first;

    public IReadOnlyList<(string Operator, Expression Operand)> Rest { get; } = rest;
}

internal sealed class ConcatExpression(Position position, IReadOnlyList<Expression> parts) : Expression(position)
{
    public IReadOnlyList<Expression> Parts { get; } = parts;
}

internal sealed class ConditionalExpression(Position position, Expression test, Expression then, Expression? otherwise) : Expression(position)
{
    public Expression Test { get; } = test;

    public Expression Then { get; } = then;

    public Expression? Otherwise { get; } = otherwise;
}
