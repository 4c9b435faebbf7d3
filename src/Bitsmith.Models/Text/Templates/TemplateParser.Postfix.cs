namespace Bitsmith.Models.Text.Templates;

/// <summary>What follows an operand: members, elements, calls, filters and tests.</summary>
internal sealed partial class TemplateParser
{
    private Expression Postfix(Expression operand)
    {
        while (true)
        {
            Token token = Current;
            if (SkipOperator("."))
            {
                Token member = Current;
                at++;
                operand = member.Kind switch
                {
                    TokenKind.Name => new AttributeExpression(token.Position, operand, member.Text),
                    TokenKind.Integer => new ItemExpression(token.Position, operand, new ConstantExpression(member.Position, new IntValue(member.Integer))),
                    _ => throw Error(member.Position, $"expected name or number, got '{member.Description}'"),
                };
            }
            else if (SkipOperator("["))
            {
                operand = new ItemExpression(token.Position, operand, Subscript(token.Position));
            }
            else if (token.Is("("))
            {
                operand = new CallExpression(token.Position, operand, Arguments());
            }
            else
            {
                return operand;
            }
        }
    }

    private Expression Subscript(Position place)
    {
        List<Expression> items = [];
        while (!Current.Is("]"))
        {
            if (items.Count > 0)
            {
                ExpectOperator(",");
            }

            Position slice = Current.Position;
            Expression? start = Current.Is(":") ? null : Expression();
            if (!SkipOperator(":"))
            {
                items.Add(start!);
                continue;
            }

            Expression? stop = Current.Is(":") || Current.Is("]") || Current.Is(",") ? null : Expression();
            Expression? step = SkipOperator(":") && !Current.Is("]") && !Current.Is(",") ? Expression() : null;
            items.Add(new SliceExpression(slice, start, stop, step));
        }

        at++;
        return items.Count == 1 ? items[0]
            : !items.Exists(i => i is SliceExpression) ? new SequenceExpression(place, items, isTuple: true)
            : throw Error(place, "a slice cannot stand beside other subscripts");
    }

    private Expression FiltersAndTests(Expression operand)
    {
        while (true)
        {
            Token token = Current;
            if (token.Is("|"))
            {
                operand = Filters(operand, startsInline: false);
            }
            else if (token.IsName("is"))
            {
                operand = Test(operand);
            }
            else if (token.Is("("))
            {
                operand = new CallExpression(token.Position, operand, Arguments());
            }
            else
            {
                return operand;
            }
        }
    }

    private Expression Filters(Expression operand, bool startsInline)
    {
        while (startsInline || SkipOperator("|"))
        {
            startsInline = false;
            Token token = Current;
            string filter = DottedName();
            operand = new FilterExpression(token.Position, operand, filter, Current.Is("(") ? Arguments() : ArgumentList.Empty);
        }

        return operand;
    }

    private string DottedName()
    {
        string result = Expect(TokenKind.Name).Text;
        while (SkipOperator("."))
        {
            result += "." + Expect(TokenKind.Name).Text;
        }

        return result;
    }

    private Expression Test(Expression operand)
    {
        Position place = Current.Position;
        at++;
        bool negated = SkipName("not");
        string test = DottedName();
        ArgumentList arguments = ArgumentList.Empty;
        Token next = Current;
        if (next.Is("("))
        {
            arguments = Arguments();
        }
        else if (next.Kind is TokenKind.Name or TokenKind.String or TokenKind.Integer or TokenKind.Float || next.Is("[") || next.Is("{"))
        {
            if (next.IsName("is"))
            {
                throw Error(next.Position, "You cannot chain multiple tests with is");
            }

            if (!next.IsName("else") && !next.IsName("or") && !next.IsName("and"))
            {
                arguments = ArgumentList.Empty with { Positional = [Postfix(Primary())] };
            }
        }

        TestExpression result = new(place, operand, test, arguments);
        return negated ? new UnaryExpression(place, "not", result) : result;
    }

    private ArgumentList Arguments()
    {
        Position place = Current.Position;
        ExpectOperator("(");
        List<Expression> positional = [];
        List<(string Name, Expression Value)> keywords = [];
        Expression? star = null, doubleStar = null;
        while (!Current.Is(")"))
        {
            bool valid = true;
            if (SkipOperator("*"))
            {
                valid = star is null && doubleStar is null;
                star = Expression();
            }
            else if (SkipOperator("**"))
            {
                valid = doubleStar is null;
                doubleStar = Expression();
            }
            else if (Current.Kind == TokenKind.Name && Ahead.Is("="))
            {
                string keyword = Current.Text;
                valid = doubleStar is null && !keywords.Exists(k => k.Name == keyword);
                at += 2;
                keywords.Add((keyword, Expression()));
            }
            else
            {
                valid = star is null && doubleStar is null && keywords.Count == 0;
                positional.Add(Expression());
            }

            if (!valid)
            {
                throw Error(place, "invalid syntax for function call expression");
            }

            if (!SkipOperator(",") && !Current.Is(")"))
            {
                ExpectOperator(",");
            }
        }

        at++;
        return new ArgumentList(positional, keywords, star, doubleStar);
    }
}
