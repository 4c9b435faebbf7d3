using Bitsmith.Tensors.ElementTypes;

namespace Bitsmith.Evaluation.Speed;

/// <summary>What one measurement runs, as llama-bench names it: a prompt (pp), generation (tg), or a prompt followed by generation.</summary>
/// <param name="PromptTokens">Tokens processed in passes; 0 for none.</param>
/// <param name="GeneratedTokens">Tokens then generated one by one; 0 for none.</param>
public sealed record SpeedTest(int PromptTokens, int GeneratedTokens)
{
    /// <summary>For example <c>pp512</c>, <c>tg128</c> or <c>pp512+tg128</c>.</summary>
    public string Name => string.Join('+', ((string?[])[PromptTokens > 0 ? $"pp{PromptTokens}" : null, GeneratedTokens > 0 ? $"tg{GeneratedTokens}" : null]).OfType<string>());

    /// <summary>All tokens of one run.</summary>
    public int Tokens => PromptTokens + GeneratedTokens;
}

/// <summary>How a bench is run.</summary>
/// <param name="Tests">What to measure, in order.</param>
/// <param name="Repetitions">Measured runs of each test, behind one that is not measured.</param>
/// <param name="Threads">Threads.</param>
/// <param name="ExactActivations">Inputs stay exact where the checkpoint's scheme quantizes them.</param>
/// <param name="Seed">Chooses the random tokens.</param>
/// <param name="CacheType">What keys and values are stored as.</param>
public sealed record SpeedSettings(
    IReadOnlyList<SpeedTest> Tests, int Repetitions, int Threads, bool ExactActivations = false, int Seed = 0, ElementType CacheType = ElementType.F32);

/// <summary>Told while a bench runs.</summary>
/// <param name="Test">The test at work.</param>
/// <param name="Run">The run that is finished, counted from 1; 0 is the one that is not measured.</param>
/// <param name="TokensPerSecond">Its rate.</param>
public sealed record SpeedProgress(SpeedTest Test, int Run, double TokensPerSecond);
