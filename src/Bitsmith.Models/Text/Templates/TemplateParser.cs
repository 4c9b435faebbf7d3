namespace Bitsmith.Models.Text.Templates;

/// <summary>Makes the statements of a template from its tokens; the grammar is jinja2 3.1's with loop controls and transformers' generation tag.</summary>
internal sealed partial class TemplateParser
{
    private static readonly string[] Refused =
        ["include", "extends", "import", "from", "block", "autoescape", "trans", "pluralize", "do", "debug"];

    private readonly IReadOnlyList<Token> tokens;
    private readonly string name;
    private readonly TemplateOptions options;
    private readonly Stack<HashSet<string>> macroNames = new();
    private readonly Stack<string> openTags = new();
    private int at;
    private int nesting;
    private int loops;

    private TemplateParser(IReadOnlyList<Token> tokens, string name, TemplateOptions options)
    {
        this.tokens = tokens;
        this.name = name;
        this.options = options;
    }

    private Token Current => tokens[at];

    private Token Ahead => tokens[Math.Min(at + 1, tokens.Count - 1)];

    public static IReadOnlyList<Statement> Parse(string source, string name, TemplateOptions options)
    {
        if (source.Length > options.MaxSourceLength)
        {
            throw new TemplateException(name, 1, 1, TemplateErrorKind.Limit, $"the template has {source.Length} characters, at most {options.MaxSourceLength} are allowed");
        }

        TemplateParser parser = new(TemplateLexer.Read(source, name), name, options);
        return parser.Statements([]);
    }

    /// <summary>Statements up to a tag of one of the given names, whose name is then the current token; without names, up to the end.</summary>
    private List<Statement> Statements(string[] ends)
    {
        Enter();
        List<Statement> body = [];
        while (true)
        {
            Token token = Current;
            switch (token.Kind)
            {
                case TokenKind.Data:
                    at++;
                    body.Add(new TextStatement(token.Position, token.Text));
                    break;
                case TokenKind.VariableBegin:
                    at++;
                    body.Add(new OutputStatement(token.Position, TupleOrExpression()));
                    Expect(TokenKind.VariableEnd);
                    break;
                case TokenKind.BlockBegin:
                    at++;
                    if (Current.Kind == TokenKind.Name && ends.Contains(Current.Text))
                    {
                        Leave();
                        return body;
                    }

                    body.AddRange(Statement(ends));
                    Expect(TokenKind.BlockEnd);
                    break;
                default:
                    if (ends.Length > 0)
                    {
                        throw Error(token.Position, $"Unexpected end of template. Jinja was looking for the following tags: {Names(ends)}. " +
                            $"The innermost block that needs to be closed is '{openTags.Peek()}'.");
                    }

                    Leave();
                    return body;
            }
        }
    }

    /// <summary>What follows a tag's end, up to the tags that may close it.</summary>
    private List<Statement> Body(params string[] ends)
    {
        SkipOperator(":");
        Expect(TokenKind.BlockEnd);
        return Statements(ends);
    }

    private List<Statement> BodyThrough(string end)
    {
        List<Statement> body = Body(end);
        at++;
        return body;
    }

    private IEnumerable<Statement> Statement(string[] ends)
    {
        Token tag = Current;
        if (tag.Kind != TokenKind.Name)
        {
            throw Error(tag.Position, $"tag name expected, found '{tag.Description}'");
        }

        at++;
        openTags.Push(tag.Text);
        IEnumerable<Statement> result = tag.Text switch
        {
            "for" => [For(tag.Position)],
            "if" => [If(tag.Position)],
            "set" => [Set(tag.Position)],
            "macro" => [Macro(tag.Position)],
            "call" => [Call(tag.Position)],
            "filter" => [new FilterStatement(tag.Position, Filters(new InputExpression(tag.Position), startsInline: true), InBuffer(() => BodyThrough("endfilter")))],
            "with" => [With(tag.Position)],
            "print" => Print(),
            "generation" => [new GenerationStatement(tag.Position, InBuffer(() => BodyThrough("endgeneration")))],
            "break" or "continue" => loops > 0 ? [new JumpStatement(tag.Position, tag.Text == "break")]
                : throw Error(tag.Position, $"'{tag.Text}' stands outside of a loop, or in a macro or block inside of one"),
            _ when Refused.Contains(tag.Text) =>
                throw new TemplateException(name, tag.Position.Line, tag.Position.Column, TemplateErrorKind.Unsupported,
                    $"the tag '{tag.Text}' is not available to chat templates, which consist of one file"),
            _ => throw Error(tag.Position, $"Encountered unknown tag '{tag.Text}'." +
                (ends.Length == 0 ? string.Empty : $" Jinja was looking for the following tags: {Names(ends)}.")),
        };
        openTags.Pop();
        return result;
    }

    private static string Names(string[] ends) => string.Join(" or ", ends.Select(e => $"'{e}'"));

    private ForStatement For(Position position)
    {
        Target target = AssignTarget(withNamespace: false, end: "in");
        RefuseLoop(target);
        ExpectName("in");
        Expression source = TupleOrExpression(withConditional: false, end: "recursive");
        Expression? test = SkipName("if") ? Expression() : null;
        bool recursive = SkipName("recursive");
        loops++;
        List<Statement> body = Body("endfor", "else");
        loops--;
        bool hasElse = Current.Text == "else";
        at++;
        List<Statement> otherwise = hasElse ? BodyThrough("endfor") : [];
        return new ForStatement(position, target, source) { Test = test, IsRecursive = recursive, Body = body, Otherwise = otherwise };
    }

    private void RefuseLoop(Target target)
    {
        switch (target)
        {
            case NameTarget { Name: "loop" }:
                throw Error(target.Position, "Can't assign to special loop variable in for-loop target");
            case TupleTarget tuple:
                foreach (Target item in tuple.Items)
                {
                    RefuseLoop(item);
                }

                break;
        }
    }

    private IfStatement If(Position position)
    {
        List<(Expression Test, IReadOnlyList<Statement> Body)> branches = [];
        List<Statement> otherwise = [];
        while (true)
        {
            Expression test = TupleOrExpression(withConditional: false);
            branches.Add((test, Body("elif", "else", "endif")));
            string tag = Current.Text;
            at++;
            if (tag == "elif")
            {
                continue;
            }

            otherwise = tag == "else" ? BodyThrough("endif") : otherwise;
            return new IfStatement(position, branches, otherwise);
        }
    }

    private Statement Set(Position position)
    {
        Target target = AssignTarget(withNamespace: true);
        if (SkipOperator("="))
        {
            return new SetStatement(position, target, TupleOrExpression());
        }

        Expression? filter = Current.Is("|") ? Filters(new InputExpression(position), startsInline: false) : null;
        return new SetBlockStatement(position, target, filter, InBuffer(() => BodyThrough("endset")));
    }

    private MacroStatement Macro(Position position)
    {
        string macro = ExpectIdentifier();
        return new MacroStatement(position, Definition(macro, withSignature: true, "endmacro"));
    }

    private CallStatement Call(Position position)
    {
        List<(string Name, Expression? Default)> parameters = Current.Is("(") ? Signature() : [];
        Position place = Current.Position;
        CallExpression call = Expression() as CallExpression ?? throw Error(place, "expected call");
        return new CallStatement(position, call, Definition(null, withSignature: false, "endcall") with { Parameters = parameters });
    }

    private MacroDefinition Definition(string? macro, bool withSignature, string end)
    {
        HashSet<string> names = [];
        List<(string Name, Expression? Default)> parameters = withSignature ? Signature() : [];
        macroNames.Push(names);
        List<Statement> body = InBuffer(() => BodyThrough(end));
        macroNames.Pop();
        names.ExceptWith(parameters.Select(p => p.Name));
        return new MacroDefinition(macro, parameters, body)
        {
            UsesCaller = names.Contains("caller"),
            UsesKeywords = names.Contains("kwargs"),
            UsesVarargs = names.Contains("varargs"),
        };
    }

    private List<(string Name, Expression? Default)> Signature()
    {
        List<(string Name, Expression? Default)> parameters = [];
        ExpectOperator("(");
        while (!Current.Is(")"))
        {
            if (parameters.Count > 0)
            {
                ExpectOperator(",");
            }

            Position place = Current.Position;
            string parameter = ExpectIdentifier();
            if (parameters.Exists(p => p.Name == parameter))
            {
                throw Error(place, $"duplicate parameter '{parameter}'");
            }

            Expression? byDefault = SkipOperator("=") ? Expression() : null;
            if (byDefault is null && parameters.Count > 0 && parameters[^1].Default is not null)
            {
                throw Error(place, "non-default argument follows default argument");
            }

            parameters.Add((parameter, byDefault));
        }

        at++;
        return parameters;
    }

    private WithStatement With(Position position)
    {
        List<(Target Target, Expression Value)> bindings = [];
        while (Current.Kind != TokenKind.BlockEnd)
        {
            if (bindings.Count > 0)
            {
                ExpectOperator(",");
            }

            Target target = AssignTarget(withNamespace: false);
            ExpectOperator("=");
            bindings.Add((target, Expression()));
        }

        return new WithStatement(position, bindings, BodyThrough("endwith"));
    }

    private List<Statement> Print()
    {
        List<Statement> outputs = [];
        while (Current.Kind != TokenKind.BlockEnd)
        {
            if (outputs.Count > 0)
            {
                ExpectOperator(",");
            }

            Position place = Current.Position;
            outputs.Add(new OutputStatement(place, Expression()));
        }

        return outputs;
    }

    /// <summary>A body whose text is collected: a jump out of it would leave the loop with the text half made.</summary>
    private T InBuffer<T>(Func<T> body)
    {
        int outer = loops;
        loops = 0;
        T result = body();
        loops = outer;
        return result;
    }

    private Target AssignTarget(bool withNamespace, string? end = null)
    {
        Position place = Current.Position;
        Enter();
        List<Target> items = [];
        bool isTuple = false;
        while (true)
        {
            if (items.Count > 0 && (Current.Kind is TokenKind.VariableEnd or TokenKind.BlockEnd || Current.Is(")") || (end is not null && Current.IsName(end))))
            {
                break;
            }

            items.Add(SimpleTarget(withNamespace));
            if (!SkipOperator(","))
            {
                break;
            }

            isTuple = true;
        }

        Leave();
        return isTuple ? new TupleTarget(place, items) : items[0];
    }

    private Target SimpleTarget(bool withNamespace)
    {
        Token token = Current;
        if (SkipOperator("("))
        {
            Target inner = AssignTarget(withNamespace: false);
            ExpectOperator(")");
            return inner;
        }

        string target = ExpectIdentifier();
        if (withNamespace && SkipOperator("."))
        {
            return new NamespaceTarget(token.Position, target, Expect(TokenKind.Name).Text);
        }

        return new NameTarget(token.Position, target);
    }

    /// <summary>A name that may be assigned to.</summary>
    private string ExpectIdentifier()
    {
        Token token = Expect(TokenKind.Name);
        return token.Text is "true" or "false" or "none" or "True" or "False" or "None"
            ? throw Error(token.Position, $"can't assign to '{token.Text}'") : token.Text;
    }
}
