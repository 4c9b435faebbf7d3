namespace Bitsmith.Models.Text.Templates;

/// <summary>The expressions, from the loosest binding to the tightest.</summary>
internal sealed partial class TemplateParser
{
    /// <summary>One expression, or a tuple where commas follow.</summary>
    private Expression TupleOrExpression(bool withConditional = true, string? end = null, bool inParentheses = false)
    {
        Position place = Current.Position;
        List<Expression> items = [];
        bool isTuple = false;
        while (!(Current.Kind is TokenKind.VariableEnd or TokenKind.BlockEnd || Current.Is(")") || (end is not null && Current.IsName(end))))
        {
            items.Add(Expression(withConditional));
            if (!SkipOperator(","))
            {
                break;
            }

            isTuple = true;
        }

        return !isTuple && items.Count == 1 ? items[0]
            : isTuple || inParentheses ? new SequenceExpression(place, items, isTuple: true)
            : throw Error(place, $"Expected an expression, got '{Current.Description}'");
    }

    private Expression Expression(bool withConditional = true)
    {
        Enter();
        Expression result = withConditional ? Conditional() : Or();
        Leave();
        return result;
    }

    private Expression Conditional()
    {
        Expression then = Or();
        while (Current.IsName("if"))
        {
            Position place = Current.Position;
            at++;
            Expression test = Or();
            then = new ConditionalExpression(place, test, then, SkipName("else") ? Expression() : null);
        }

        return then;
    }

    private Expression Or()
    {
        Expression left = And();
        for (Position place = Current.Position; SkipName("or"); place = Current.Position)
        {
            left = new LogicalExpression(place, isAnd: false, left, And());
        }

        return left;
    }

    private Expression And()
    {
        Expression left = Not();
        for (Position place = Current.Position; SkipName("and"); place = Current.Position)
        {
            left = new LogicalExpression(place, isAnd: true, left, Not());
        }

        return left;
    }

    private Expression Not()
    {
        Position place = Current.Position;
        if (!SkipName("not"))
        {
            return Compare();
        }

        Enter();
        UnaryExpression result = new(place, "not", Not());
        Leave();
        return result;
    }

    private Expression Compare()
    {
        Position place = Current.Position;
        Expression first = Sum();
        List<(string Operator, Expression Operand)> rest = [];
        while (true)
        {
            Token token = Current;
            if (token.Kind == TokenKind.Operator && token.Text is "==" or "!=" or "<" or "<=" or ">" or ">=")
            {
                at++;
                rest.Add((token.Text, Sum()));
            }
            else if (token.IsName("in"))
            {
                at++;
                rest.Add(("in", Sum()));
            }
            else if (token.IsName("not") && Ahead.IsName("in"))
            {
                at += 2;
                rest.Add(("not in", Sum()));
            }
            else
            {
                return rest.Count == 0 ? first : new CompareExpression(place, first, rest);
            }
        }
    }

    private Expression Sum()
    {
        Expression left = Concat();
        while (Current.Is("+") || Current.Is("-"))
        {
            Token op = tokens[at++];
            left = new BinaryExpression(op.Position, op.Text, left, Concat());
        }

        return left;
    }

    private Expression Concat()
    {
        Position place = Current.Position;
        Expression first = Product();
        if (!Current.Is("~"))
        {
            return first;
        }

        List<Expression> parts = [first];
        while (SkipOperator("~"))
        {
            parts.Add(Product());
        }

        return new ConcatExpression(place, parts);
    }

    private Expression Product()
    {
        Expression left = Power();
        while (Current.Kind == TokenKind.Operator && Current.Text is "*" or "/" or "//" or "%")
        {
            Token op = tokens[at++];
            left = new BinaryExpression(op.Position, op.Text, left, Power());
        }

        return left;
    }

    /// <summary>Powers bind from the left and looser than a sign, other than in Python: that is how jinja2 has it.</summary>
    private Expression Power()
    {
        Expression left = Unary(withFilter: true);
        while (Current.Is("**"))
        {
            Token op = tokens[at++];
            left = new BinaryExpression(op.Position, "**", left, Unary(withFilter: true));
        }

        return left;
    }

    private Expression Unary(bool withFilter)
    {
        Token token = Current;
        Expression operand;
        if (token.Is("-") || token.Is("+"))
        {
            at++;
            Enter();
            operand = new UnaryExpression(token.Position, token.Text, Unary(withFilter: false));
            Leave();
        }
        else
        {
            operand = Primary();
        }

        operand = Postfix(operand);
        return withFilter ? FiltersAndTests(operand) : operand;
    }

    private Expression Primary()
    {
        Token token = Current;
        at++;
        switch (token.Kind)
        {
            case TokenKind.Name:
                return Named(token);
            case TokenKind.String:
                string text = token.Text;
                while (Current.Kind == TokenKind.String)
                {
                    text += tokens[at++].Text;
                }

                return new ConstantExpression(token.Position, new StringValue(text));
            case TokenKind.Integer:
                return new ConstantExpression(token.Position, new IntValue(token.Integer));
            case TokenKind.Float:
                return new ConstantExpression(token.Position, new FloatValue(token.Float));
            case TokenKind.Operator when token.Text == "(":
                Expression inner = TupleOrExpression(inParentheses: true);
                ExpectOperator(")");
                return inner;
            case TokenKind.Operator when token.Text == "[":
                return ListLiteral(token.Position);
            case TokenKind.Operator when token.Text == "{":
                return DictLiteral(token.Position);
            default:
                at--;
                throw Error(token.Position, $"unexpected '{token.Description}', an expression is expected");
        }
    }

    private Expression Named(Token token)
    {
        switch (token.Text)
        {
            case "true" or "True":
                return new ConstantExpression(token.Position, BoolValue.Of(true));
            case "false" or "False":
                return new ConstantExpression(token.Position, BoolValue.Of(false));
            case "none" or "None":
                return new ConstantExpression(token.Position, NoneValue.Instance);
        }

        foreach (HashSet<string> names in macroNames)
        {
            names.Add(token.Text);
        }

        return new NameExpression(token.Position, token.Text);
    }

    private SequenceExpression ListLiteral(Position place)
    {
        List<Expression> items = [];
        while (!Current.Is("]"))
        {
            items.Add(Expression());
            if (!SkipOperator(",") && !Current.Is("]"))
            {
                ExpectOperator(",");
            }
        }

        at++;
        return new SequenceExpression(place, items, isTuple: false);
    }

    private DictExpression DictLiteral(Position place)
    {
        List<(Expression Key, Expression Value)> pairs = [];
        while (!Current.Is("}"))
        {
            Expression key = Expression();
            ExpectOperator(":");
            pairs.Add((key, Expression()));
            if (!SkipOperator(",") && !Current.Is("}"))
            {
                ExpectOperator(",");
            }
        }

        at++;
        return new DictExpression(place, pairs);
    }

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
