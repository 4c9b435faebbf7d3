namespace Bitsmith.Quantization.Jobs;

/// <summary>The work failed for a reason outside the input: no space, no permission, a folder in the way. The message says what to do.</summary>
/// <param name="message">Place, finding and remedy.</param>
/// <param name="inner">The cause, if another exception told of it.</param>
public sealed class JobException(string message, Exception? inner = null) : Exception(message, inner);

/// <summary>The request itself cannot be carried out as given (an output that exists, a source already quantized).</summary>
/// <param name="message">Finding and remedy.</param>
public sealed class RequestException(string message) : Exception(message);
