namespace Bitsmith.Quantization.Recipes;

/// <summary>A recipe or an option is wrong: unknown keys, values out of range, patterns that match nothing, combinations that do not exist.</summary>
/// <param name="message">Place, finding, expectation and remedy.</param>
/// <param name="inner">The cause, if another exception told of it.</param>
public sealed class RecipeException(string message, Exception? inner = null) : Exception(message, inner);
