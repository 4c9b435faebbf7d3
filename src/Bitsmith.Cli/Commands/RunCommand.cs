using System.CommandLine;
using Bitsmith.Models;
using Bitsmith.Models.Generation;
using Bitsmith.Models.Images;
using Bitsmith.Quantization.Jobs;

namespace Bitsmith.Cli.Commands;

/// <summary><c>bitsmith run</c>: one answer.</summary>
internal static class RunCommand
{
    public static Command Create(Terminal terminal)
    {
        Option<string> prompt = new("--prompt", "-p") { Description = "What to ask.", Required = true };
        Option<string[]> pictures = new("--image") { Description = "A picture (PNG or JPEG) to look at. May be repeated.", DefaultValueFactory = _ => [] };
        GenerationOptions generation = new();
        Command command = new("run", "Give one answer.\n\n  bitsmith run ./GLM-4.6V-Flash-FP8 -p \"Describe this image.\" --image bridge.jpg");
        generation.AddTo(command);
        command.Options.Add(prompt);
        command.Options.Add(pictures);
        command.SetAction((parsed, cancellationToken) =>
        {
            RgbImage[] images = [.. (parsed.GetValue(pictures) ?? []).Select(path => ImageDecoder.Load(path))];
            using GlmModel model = generation.Open(parsed);
            if (images.Length > 0 && !model.HasVision)
            {
                throw new RequestException("--image: this is a text model, which cannot look at pictures. Leave the picture out, or take a vision model such as GLM-4.6V-Flash.");
            }

            SamplingSettings settings = generation.Settings(parsed, model);
            PreparedPrompt prepared = model.Prepare(Conversation.Of(Conversation.UserMessage(parsed.GetRequiredValue(prompt), images.Length)), images);
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
}
