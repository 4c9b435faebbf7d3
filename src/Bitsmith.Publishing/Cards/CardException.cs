namespace Bitsmith.Publishing.Cards;

/// <summary>A card cannot be written as asked: something is not known, or the licence forbids it. The message says what to do.</summary>
/// <param name="message">What is wrong and what to do.</param>
public sealed class CardException(string message) : Exception(message);
