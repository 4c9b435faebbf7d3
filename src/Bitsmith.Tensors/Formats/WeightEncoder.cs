namespace Bitsmith.Tensors.Formats;

/// <summary>How the encoders of compressed-tensors formats pick scales and codes.</summary>
public enum WeightEncoder
{
    /// <summary>The bytes that the compressed-tensors library writes.</summary>
    Library,

    /// <summary>The scale of least squared error found by search, and the nearest codes.</summary>
    Best,
}
