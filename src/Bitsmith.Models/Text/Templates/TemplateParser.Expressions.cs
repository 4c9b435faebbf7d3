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
}
