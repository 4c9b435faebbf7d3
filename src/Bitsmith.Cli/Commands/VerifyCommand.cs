using System.CommandLine;
using Bitsmith.Cli.Rendering;
using Bitsmith.Evaluation.Answers;
using Bitsmith.Models.Images;
using Bitsmith.Quantization.Jobs;
using Bitsmith.Quantization.Verification;

namespace Bitsmith.Cli.Commands;

/// <summary><c>bitsmith verify</c>.</summary>
internal static class VerifyCommand
{
    public static Command Create(Terminal terminal)
    {
        Argument<string> folder = new("OUT") { Description = "A quantized folder, or a .gguf file." };
        Option<string?> baseModel = new("--base") { Description = "The original model, a folder (for a .gguf file also a .gguf file): every tensor is compared with it." };
        Option<bool> fix = new("--fix") { Description = "Make the repairs of the packaging checks." };
        Option<string[]> pictures = new("--image") { Description = "A picture that the model describes; the answer must hold the --expect at the same place. May be repeated.", DefaultValueFactory = _ => [] };
        Option<string[]> words = new("--expect") { Description = "A word, or words, that the description of the --image at the same place must hold. May be repeated.", DefaultValueFactory = _ => [] };
        Option<bool> prompts = new("--prompts") { Description = "Run the model on fixed prompts and look for loops in its answers." };
        Option<int> maxTokens = new Option<int>("--max-tokens") { Description = "Most tokens of such an answer.", DefaultValueFactory = _ => AnswerSettings.DefaultMaxTokens }.AtLeastOne();
        Option<string?> mmproj = CommonOptions.Mmproj();
        Option<int> threads = CommonOptions.Threads();
        Option<bool> json = CommonOptions.Json();
        Command command = new("verify", "Check a result: hashes, structure, content against the base model, packaging; with --image or --prompts also by running it. Exits 1 with a list of what is wrong.\n\n  bitsmith verify ./GLM-4.6V-Flash-FP8 --base ./GLM-4.6V-Flash\n  bitsmith verify ./GLM-4.6V-Flash-FP8 --image bridge.jpg --expect bridge --prompts\n  bitsmith verify GLM-4-9B-0414-Q4_K_M.gguf --base ./GLM-4-9B-0414 --prompts");
        command.Arguments.Add(folder);
        foreach (Option option in (Option[])[baseModel, fix, pictures, words, prompts, maxTokens, mmproj, threads, json])
        {
            command.Options.Add(option);
        }

        command.Validators.Add(result =>
        {
            string[] expected = result.GetValue(words) ?? [];
            if ((result.GetValue(pictures)?.Length ?? 0) != expected.Length)
            {
                result.AddError("Every --image needs its --expect, in the same order.");
            }

            if (expected.Any(string.IsNullOrWhiteSpace))
            {
                result.AddError("--expect is empty; write a word that the answer must hold.");
            }
        });
        command.SetAction((parsed, cancellationToken) =>
        {
            ExpectedPicture[] expected = [.. parsed.GetValue(pictures)!.Zip(parsed.GetValue(words)!, (path, word) => new ExpectedPicture(ImageDecoder.Load(path), word))];
            AnswerSettings settings = new(expected, parsed.GetValue(prompts) ? AnswerSettings.FixedPrompts : [], parsed.GetValue(maxTokens));
            string result = parsed.GetRequiredValue(folder);
            if (IsGguf(result) && parsed.GetValue(fix))
            {
                throw new RequestException("--fix has no meaning for GGUF files: what is wrong with one is mended by making it again.");
            }

            VerificationReport report = Run(terminal, result, parsed.GetValue(baseModel), parsed.GetValue(fix), parsed.GetValue(threads), cancellationToken);
            if (settings.Pictures.Count + settings.Prompts.Count > 0)
            {
                LineProgress<AnswerCheck> progress = new(terminal.Error, answer => $"answered {answer.Picture ?? $"\"{answer.Question}\""} with {answer.Tokens} tokens");
                report = AnswerVerification.Run(report, result, parsed.GetValue(mmproj), settings, parsed.GetValue(threads), progress, cancellationToken);
            }

            if (parsed.GetValue(json))
            {
                terminal.Out.WriteLine(VerificationJson.Write(report));
            }
            else
            {
                VerificationTable.Write(terminal, report);
            }

            return Task.FromResult(report.IsSound ? ExitCode.Done : ExitCode.Failed);
        });
        return command;
    }

    public static VerificationReport Run(
        Terminal terminal, string folder, string? baseModel, bool fix, int threads, CancellationToken cancellationToken) =>
        ProgressDisplay.Run(terminal, "verify", progress => IsGguf(folder)
            ? GgufVerifier.Verify(folder, baseModel, threads, progress, cancellationToken)
            : Verifier.Verify(folder, baseModel, fix, threads, progress, cancellationToken));

    private static bool IsGguf(string result) => !Directory.Exists(result) && (File.Exists(result) || result.EndsWith(".gguf", StringComparison.OrdinalIgnoreCase));
}
