using System.Globalization;

namespace Bitsmith.Evaluation.Comparison.Rendering;

/// <summary>An axis of a chart: places values between two pixels, linear or logarithmic.</summary>
internal sealed class Axis
{
    private const int WantedTicks = 7;

    private readonly double low, high, from, to;
    private readonly bool isLogarithmic;

    private Axis(double low, double high, double from, double to, bool isLogarithmic) => (this.low, this.high, this.from, this.to, this.isLogarithmic) = (low, high, from, to, isLogarithmic);

    /// <summary>Marks with what is written beside them.</summary>
    public IReadOnlyList<(double Value, string Label)> Ticks => isLogarithmic ? LogarithmicTicks() : LinearTicks();

    /// <summary>A linear axis that holds all values, with some room at both ends.</summary>
    public static Axis Linear(IReadOnlyCollection<double> values, double from, double to)
    {
        double least = values.Min(), most = values.Max(), room = Math.Max((most - least) * 0.08, Math.Max(Math.Abs(most) * 0.01, 1e-9));
        return new Axis(least - room, most + room, from, to, isLogarithmic: false);
    }

    /// <summary>A logarithmic axis that holds all values above 0; others are placed at its lower end.</summary>
    public static Axis Logarithmic(IEnumerable<double> values, double from, double to)
    {
        double[] positive = [.. values.Where(value => value > 0 && double.IsFinite(value))];
        (double least, double most) = positive.Length == 0 ? (1e-3, 1) : (positive.Min(), positive.Max());
        return new Axis(Math.Log10(least) - 0.15, Math.Max(Math.Log10(most) + 0.15, Math.Log10(least) + 0.5), from, to, isLogarithmic: true);
    }

    /// <summary>The pixel of a value; those outside stand at the ends.</summary>
    public double Place(double value)
    {
        double scaled = !isLogarithmic ? value : value > 0 ? Math.Log10(value) : low;
        return from + ((Math.Clamp(scaled, low, high) - low) / (high - low) * (to - from));
    }

    private List<(double Value, string Label)> LinearTicks()
    {
        double rough = (high - low) / WantedTicks, power = Math.Pow(10, Math.Floor(Math.Log10(rough)));
        double step = power * ((rough / power) switch { <= 1 => 1, <= 2 => 2, <= 5 => 5, _ => 10 });
        List<(double Value, string Label)> ticks = [];
        for (double tick = Math.Ceiling(low / step) * step; tick <= high; tick += step)
        {
            double value = Math.Round(tick, 12) + 0.0; // -0 is written as 0
            ticks.Add((value, value.ToString("0.############", CultureInfo.InvariantCulture)));
        }

        return ticks;
    }

    // Decades, and where there are few of them 2 and 5 between.
    private List<(double Value, string Label)> LogarithmicTicks()
    {
        List<(double Value, string Label)> ticks = [];
        double[] steps = high - low < 3.5 ? [1, 2, 5] : [1];
        for (int decade = (int)Math.Floor(low); decade <= (int)Math.Ceiling(high); decade++)
        {
            foreach (double value in steps.Select(step => step * Math.Pow(10, decade)).Where(value => Math.Log10(value) >= low && Math.Log10(value) <= high))
            {
                ticks.Add((value, value is >= 1e-4 and < 1e5 ? value.ToString("0.######", CultureInfo.InvariantCulture) : value.ToString("0e0", CultureInfo.InvariantCulture)));
            }
        }

        return ticks;
    }
}

/// <summary>The colours of models; neighbours differ in lightness too.</summary>
internal static class Palette
{
    private static readonly string[] Colours = ["#4477aa", "#ee6677", "#228833", "#bb8800", "#332288", "#33bbee", "#aa3377", "#777777", "#dd5500", "#009988", "#773311", "#222222"];

    public const string Ink = "#222222", Faint = "#e4e4e4", Soft = "#777777";

    public static string Of(int model) => Colours[model % Colours.Length];

    /// <summary>From white for a divergence of 1e-4 nats and less to dark red for 1 and more, by its logarithm.</summary>
    public static string OfDivergence(double divergence)
    {
        double share = divergence <= 1e-4 ? 0 : Math.Clamp((Math.Log10(divergence) + 4) / 4, 0, 1);
        (double Red, double Green, double Blue)[] stops = [(255, 255, 255), (254, 224, 144), (244, 109, 67), (165, 0, 38)];
        double place = share * (stops.Length - 1);
        int below = Math.Min((int)place, stops.Length - 2);
        double part = place - below;
        return $"#{Mix(stops[below].Red, stops[below + 1].Red):x2}{Mix(stops[below].Green, stops[below + 1].Green):x2}{Mix(stops[below].Blue, stops[below + 1].Blue):x2}";

        int Mix(double low, double high) => (int)Math.Round(low + (part * (high - low)));
    }
}
