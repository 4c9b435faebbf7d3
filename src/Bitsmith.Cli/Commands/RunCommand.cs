using System.CommandLine;
using Bitsmith.Models;
using Bitsmith.Models.Generation;
using Bitsmith.Models.Images;
using Bitsmith.Models.Vision;
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
        Option<string[]> videos = new("--video") { Description = "A video to look at: a folder of frames (PNG or JPEG) in the order of their names, or files with commas between them. May be repeated.", DefaultValueFactory = _ => [] };
        Option<double?> rate = CommonOptions.FramesPerSecond();
        Command command = new("run", "Give one answer.\n\n  bitsmith run ./GLM-4.6V-Flash-FP8 -p \"Describe this image.\" --image bridge.jpg\n  bitsmith run ./GLM-4.6V-Flash-FP8 -p \"What happens here?\" --video ./frames --fps 8");
        generation.AddTo(command);
        command.Options.Add(prompt);
        command.Options.Add(pictures);
        command.Options.Add(videos);
        command.Options.Add(rate);
        command.SetAction((parsed, cancellationToken) =>
        {
            RgbImage[] images = [.. (parsed.GetValue(pictures) ?? []).Select(path => ImageDecoder.Load(path))];
            VideoFrames[] films = [.. (parsed.GetValue(videos) ?? []).Select(place => VideoFrames.Open(place, parsed.GetValue(rate)))];
            using GlmModel model = generation.Open(parsed);
            if (images.Length + films.Length > 0 && !model.HasVision)
            {
                throw new RequestException("--image, --video: this is a text model, which cannot look at pictures. Leave them out, or take a vision model such as GLM-4.6V-Flash; a GGUF file takes its vision tower with --mmproj.");
            }

            SamplingSettings settings = generation.Settings(parsed, model);
            VisionInput[] inputs = [.. images.Select(model.ReadPicture), .. films.Select(video => VideoInput.Read(terminal, model, video))];
            PreparedPrompt prepared = model.Prepare(Conversation.Of(Conversation.UserMessage(parsed.GetRequiredValue(prompt), images.Length, films.Length)), inputs);
            using GenerationSession session = generation.NewSession(parsed, model);
            foreach (string piece in model.Answer(session, prepared, settings, cancellationToken))
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
