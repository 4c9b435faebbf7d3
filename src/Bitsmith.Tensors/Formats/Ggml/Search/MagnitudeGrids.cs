namespace Bitsmith.Tensors.Formats.Ggml.Search;

/// <summary>A grid of magnitudes, and how signs go with it.</summary>
internal interface IMagnitudeGrid
{
    static abstract Grid Grid { get; }

    /// <summary>Whether seven sign bits are stored for eight weights, the number of minus signs being even.</summary>
    static abstract bool EvenSigns { get; }
}

/// <summary>IQ3_XXS.</summary>
internal readonly struct Iq3XxsGrid : IMagnitudeGrid
{
    public static Grid Grid => Search.Grid.Iq3Xxs;

    public static bool EvenSigns => true;
}

/// <summary>IQ3_S.</summary>
internal readonly struct Iq3SGrid : IMagnitudeGrid
{
    public static Grid Grid => Search.Grid.Iq3S;

    public static bool EvenSigns => false;
}

/// <summary>IQ2_XXS.</summary>
internal readonly struct Iq2XxsGrid : IMagnitudeGrid
{
    public static Grid Grid => Search.Grid.Iq2Xxs;

    public static bool EvenSigns => true;
}

/// <summary>IQ2_XS.</summary>
internal readonly struct Iq2XsGrid : IMagnitudeGrid
{
    public static Grid Grid => Search.Grid.Iq2Xs;

    public static bool EvenSigns => true;
}

/// <summary>IQ2_S.</summary>
internal readonly struct Iq2SGrid : IMagnitudeGrid
{
    public static Grid Grid => Search.Grid.Iq2S;

    public static bool EvenSigns => false;
}
