namespace Bitsmith.Tensors.Formats.Ggml.Search;

/// <summary>The factors that a group's scale code may stand for: factor = (code + Offset) * Step.</summary>
internal readonly record struct ScaleCodes(int Lowest, int Highest, float Offset = 0, float Step = 1)
{
    public float Factor(int code) => (code + Offset) * Step;
}
