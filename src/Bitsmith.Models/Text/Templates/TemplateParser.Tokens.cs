namespace Bitsmith.Models.Text.Templates;

/// <summary>Steps through the tokens.</summary>
internal sealed partial class TemplateParser
{
    private Token Expect(TokenKind kind)
    {
        Token token = Current;
        if (token.Kind != kind)
        {
            string expected = kind == TokenKind.Name ? "name" : new Token(kind, string.Empty, default).Description;
            throw Error(token.Position, $"expected token '{expected}', got '{token.Description}'");
        }

        at++;
        return token;
    }

    private void ExpectName(string expected)
    {
        if (!SkipName(expected))
        {
            throw Error(Current.Position, $"expected token '{expected}', got '{Current.Description}'");
        }
    }

    private void ExpectOperator(string op)
    {
        if (!SkipOperator(op))
        {
            throw Error(Current.Position, $"expected token '{op}', got '{Current.Description}'");
        }
    }

    private bool SkipName(string expected)
    {
        bool found = Current.IsName(expected);
        at += found ? 1 : 0;
        return found;
    }

    private bool SkipOperator(string op)
    {
        bool found = Current.Is(op);
        at += found ? 1 : 0;
        return found;
    }

    private void Enter()
    {
        if (++nesting > options.MaxNesting || !System.Runtime.CompilerServices.RuntimeHelpers.TryEnsureSufficientExecutionStack())
        {
            throw new TemplateException(name, Current.Position.Line, Current.Position.Column, TemplateErrorKind.Limit,
                $"the template is nested more than {options.MaxNesting} deep here");
        }
    }

    private void Leave() => nesting--;

    private TemplateException Error(Position position, string problem) =>
        new(name, position.Line, position.Column, TemplateErrorKind.Syntax, problem);
}
