using System.Globalization;
using System.Text;
using System.Xml;

namespace Bitsmith.Evaluation.Comparison.Rendering;

/// <summary>Where a text stands to its point.</summary>
internal enum Anchor
{
    Start,
    Middle,
    End,
}

/// <summary>Writes a picture as SVG 1.1, without scripts and fonts of its own, so that it can stand in a page or alone. Lengths are in pixels.</summary>
internal sealed class Svg : IDisposable
{
    /// <summary>About the width of a character over the size of its font.</summary>
    public const double CharacterWidth = 0.56;

    /// <summary>The same of a monospaced font.</summary>
    public const double MonospaceWidth = 0.6;

    // From here on scripts have characters that are as wide as two others.
    private const char FirstWide = '\u1100';

    private const string Namespace = "http://www.w3.org/2000/svg";

    private readonly StringBuilder text = new();
    private readonly XmlWriter writer;

    /// <summary>Begins a picture.</summary>
    public Svg(double width, double height, string title)
    {
        writer = XmlWriter.Create(text, new XmlWriterSettings { OmitXmlDeclaration = true, Indent = true, IndentChars = " ", NewLineChars = "\n" });
        writer.WriteStartElement("svg", Namespace);
        Attribute("viewBox", string.Create(CultureInfo.InvariantCulture, $"0 0 {width:0.##} {height:0.##}"));
        Attributes(("width", width), ("height", height));
        Attribute("role", "img");
        Attribute("font-family", "system-ui, 'Segoe UI', Helvetica, Arial, sans-serif");
        Title(title);
        Rectangle(0, 0, width, height, "#ffffff");
    }

    public void Rectangle(double x, double y, double width, double height, string fill, string? title = null) =>
        Shape("rect", title, [("x", x), ("y", y), ("width", width), ("height", height)], ("fill", fill));

    public void Circle(double x, double y, double radius, string fill, string stroke, string? title = null) =>
        Shape("circle", title, [("cx", x), ("cy", y), ("r", radius)], ("fill", fill), ("stroke", stroke), ("stroke-width", "2"));

    public void Line(double x1, double y1, double x2, double y2, string stroke, double width = 1, string? dashes = null) => Shape(
        "line", null, [("x1", x1), ("y1", y1), ("x2", x2), ("y2", y2), ("stroke-width", width)], dashes is null ? [("stroke", stroke)] : [("stroke", stroke), ("stroke-dasharray", dashes)]);

    public void Polyline(IEnumerable<(double X, double Y)> points, string stroke, double width, string? dashes = null, string? title = null)
    {
        string path = string.Join(' ', points.Select(point => string.Create(CultureInfo.InvariantCulture, $"{point.X:0.##},{point.Y:0.##}")));
        Shape(
            "polyline", title, [("stroke-width", width)],
            [("points", path), ("fill", "none"), ("stroke", stroke), ("stroke-linejoin", "round"), .. dashes is null ? ((string, string)[])[] : [("stroke-dasharray", dashes)]]);
    }

    public void Text(double x, double y, string content, double size, string fill = "#333333", Anchor anchor = Anchor.Start, bool isMonospace = false, double? turn = null)
    {
        writer.WriteStartElement("text", Namespace);
        Attributes(("x", x), ("y", y), ("font-size", size));
        Attribute("fill", fill);
        if (anchor != Anchor.Start)
        {
            Attribute("text-anchor", anchor == Anchor.Middle ? "middle" : "end");
        }

        if (isMonospace)
        {
            Attribute("font-family", "ui-monospace, 'DejaVu Sans Mono', Consolas, monospace");
            Attribute("xml:space", "preserve");
            Attributes(("textLength", Columns(content) * size * MonospaceWidth));
            Attribute("lengthAdjust", "spacingAndGlyphs");
        }

        if (turn is double degrees)
        {
            Attribute("transform", string.Create(CultureInfo.InvariantCulture, $"rotate({degrees:0.##} {x:0.##} {y:0.##})"));
        }

        writer.WriteString(Visible(content));
        writer.WriteEndElement();
    }

    /// <summary>Ends the picture.</summary>
    public string Finish()
    {
        writer.WriteEndElement();
        writer.Flush();
        return text.Append('\n').ToString();
    }

    public void Dispose() => writer.Dispose();

    /// <summary>Characters that cannot be seen, or that XML does not hold, as ones that can.</summary>
    public static string Visible(string text) => string.Concat(text.Select(letter => letter switch
    {
        '\n' => "⏎",
        '\t' => "⇥",
        < ' ' => ((char)(0x2400 + letter)).ToString(), // control pictures
        '\u007f' => "␡",
        '\ufffe' or '\uffff' => "\ufffd",
        _ => letter.ToString(),
    }));

    /// <summary>Columns that a text takes in a monospaced font.</summary>
    public static int Columns(string text) => text.Sum(letter => letter >= FirstWide && letter is not ((>= '\u2000' and <= '\u2bff') or '\ufffd') ? 2 : 1);

    private void Shape(string name, string? title, (string Name, double Value)[] numbers, params (string Name, string Value)[] words)
    {
        writer.WriteStartElement(name, Namespace);
        Attributes(numbers);
        foreach ((string word, string value) in words)
        {
            Attribute(word, value);
        }

        if (title is not null)
        {
            Title(title);
        }

        writer.WriteEndElement();
    }

    private void Title(string title)
    {
        writer.WriteStartElement("title", Namespace);
        writer.WriteString(Visible(title));
        writer.WriteEndElement();
    }

    private void Attributes(params ReadOnlySpan<(string Name, double Value)> numbers)
    {
        foreach ((string name, double value) in numbers)
        {
            Attribute(name, value.ToString("0.##", CultureInfo.InvariantCulture));
        }
    }

    private void Attribute(string name, string value)
    {
        if (name.StartsWith("xml:", StringComparison.Ordinal))
        {
            writer.WriteAttributeString("xml", name[4..], null, value);
        }
        else
        {
            writer.WriteAttributeString(name, value);
        }
    }
}
