using System.CommandLine;
using System.Text.Json;
using System.Text.Json.Nodes;
using Bitsmith.Checkpoints;
using Bitsmith.Models;
using Bitsmith.Models.Generation;
using Bitsmith.Models.Images;
using Bitsmith.Tensors.InstructionSets;
using Bitsmith.Tensors.Matrices;

namespace Bitsmith.Cli.Commands;

/// <summary><c>bitsmith run</c>: one answer.</summary>
internal static class RunCommand
{
    public static Command Create(Terminal terminal)
    {
        Argument<string> folder = new("MODEL") { Description = "A Hugging Face model folder, original or FP8." };
        Option<string> prompt = new("--prompt", "-p") { Description = "What to ask.", Required = true };
        Option<string[]> pictures = new("--image") { Description = "A picture (PNG or JPEG) to look at. May be repeated.", DefaultValueFactory = _ => [] };
        Option<int?> maxTokens = new("--max-tokens", "-n") { Description = "Most tokens of the answer." };
        Option<double?> temperature = new("--temperature") { Description = "0 takes the most likely token each time." };
        Option<int?> seed = new("--seed") { Description = "Makes the answer repeatable." };
        Option<string?> generation = new("--override-generation-config") { Description = "JSON merged over the model's generation_config.json, for example {\"temperature\": 0.8, \"min_p\": 0.05}." };
        Option<string> activations = new("--activations") { Description = "exact: inputs stay exact where the scheme quantizes them.", DefaultValueFactory = _ => "scheme" };
        activations.AcceptOnlyFromAmong("scheme", "exact");
        Option<int> threads = new("--threads") { Description = "Threads; default: all cores.", DefaultValueFactory = _ => Environment.ProcessorCount };
        Command command = new("run", "Give one answer.\n\n  bitsmith run ./GLM-4.6V-Flash-FP8 -p \"Describe this image.\" --image bridge.jpg");
        command.Arguments.Add(folder);
        foreach (Option option in (Option[])[prompt, pictures, maxTokens, temperature, seed, generation, activations, threads])
        {
            command.Options.Add(option);
        }

        command.SetAction((parsed, cancellationToken) =>
        {
            RgbImage[] images = [.. (parsed.GetValue(pictures) ?? []).Select(path => ImageDecoder.Load(path))];
            using GlmModel model = GlmModel.Open(
                parsed.GetRequiredValue(folder),
                new ComputeOptions(Math.Max(1, parsed.GetValue(threads)), Cpu.Default),
                exactActivations: parsed.GetValue(activations) == "exact");
            SamplingSettings settings = Override(model.Defaults, parsed.GetValue(generation));
            settings = settings with
            {
                MaxTokens = parsed.GetValue(maxTokens) ?? settings.MaxTokens,
                Temperature = parsed.GetValue(temperature) ?? settings.Temperature,
                Seed = parsed.GetValue(seed) ?? settings.Seed,
            };
            PreparedPrompt prepared = model.Prepare(Question(parsed.GetRequiredValue(prompt), images.Length), images);
            foreach (string piece in model.Answer(prepared, settings, cancellationToken))
            {
                terminal.Out.Write(piece);
                terminal.Out.Flush();
            }

            terminal.Out.WriteLine();
            return Task.FromResult(ExitCode.Done);
        });
        return command;
    }

    private static SamplingSettings Override(SamplingSettings defaults, string? json)
    {
        if (json is null)
        {
            return defaults;
        }

        const string Source = "--override-generation-config";
        try
        {
            using JsonDocument document = JsonDocument.Parse(json);
            return defaults.With(document.RootElement, Source);
        }
        catch (JsonException problem)
        {
            throw new CheckpointException(Source, $"is no JSON: {problem.Message}", problem);
        }
    }

    /// <summary>One user message: the pictures, then the text.</summary>
    private static JsonElement Question(string text, int pictures)
    {
        JsonNode content = pictures == 0
            ? JsonValue.Create(text)
            : new JsonArray(
            [
                .. Enumerable.Range(0, pictures).Select(JsonNode (_) => new JsonObject { ["type"] = "image" }),
                new JsonObject { ["type"] = "text", ["text"] = text },
            ]);
        JsonArray messages = new(new JsonObject { ["role"] = "user", ["content"] = content });
        using JsonDocument document = JsonDocument.Parse(messages.ToJsonString());
        return document.RootElement.Clone();
    }
}
