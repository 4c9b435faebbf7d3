using Bitsmith.Models.Images;

namespace Bitsmith.Evaluation.Answers;

/// <summary>A picture and what its description must name.</summary>
/// <param name="Image">The picture.</param>
/// <param name="Word">A word, or words, of the description.</param>
public sealed record ExpectedPicture(RgbImage Image, string Word);

/// <summary>What a model is asked, to see whether it still answers sensibly.</summary>
/// <param name="Pictures">Pictures to describe.</param>
/// <param name="Prompts">Questions without pictures.</param>
/// <param name="MaxTokens">Most tokens of an answer.</param>
public sealed record AnswerSettings(IReadOnlyList<ExpectedPicture> Pictures, IReadOnlyList<string> Prompts, int MaxTokens = AnswerSettings.DefaultMaxTokens)
{
    /// <summary>Long enough that a loop shows.</summary>
    public const int DefaultMaxTokens = 256;

    /// <summary>What is asked about a picture.</summary>
    public const string PictureQuestion = "Describe this image.";

    /// <summary>A fact, a story, an explanation, code, and Chinese: short answers and long ones.</summary>
    public static IReadOnlyList<string> FixedPrompts { get; } =
    [
        "What is the capital of France?",
        "Write a short story about a lighthouse keeper.",
        "Explain in a few sentences why the sky is blue.",
        "Write a Python function that returns the n-th Fibonacci number.",
        "请用三句话介绍长江。",
    ];
}

/// <summary>A question, its answer, and what is wrong with it.</summary>
/// <param name="Question">What was asked.</param>
/// <param name="Picture">The picture's file; null where there was none.</param>
/// <param name="Expected">What the answer had to name; null where nothing.</param>
/// <param name="Answer">All that was generated, special tokens left out.</param>
/// <param name="Tokens">Tokens generated.</param>
/// <param name="CutOff">The limit ended the answer, not the model.</param>
/// <param name="Problem">What is wrong; null where nothing.</param>
public sealed record AnswerCheck(string Question, string? Picture, string? Expected, string Answer, int Tokens, bool CutOff, string? Problem);
