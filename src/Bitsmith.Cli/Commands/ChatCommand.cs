using System.CommandLine;
using System.Globalization;
using System.Runtime.InteropServices;
using System.Text;
using System.Text.Json.Nodes;
using Bitsmith.Models;
using Bitsmith.Models.Generation;
using Bitsmith.Models.Images;
using Bitsmith.Models.Images.Preprocessing;
using Bitsmith.Models.Vision;

namespace Bitsmith.Cli.Commands;

/// <summary><c>bitsmith chat</c>: a conversation.</summary>
internal static class ChatCommand
{
    public const string Name = "chat";

    private const string Help = "/image FILE adds a picture to the next message, /video DIR [FPS] a video, /clear starts anew, /exit ends. Ctrl-C stops an answer; without one it ends the program.";

    public static Command Create(Terminal terminal)
    {
        GenerationOptions generation = new();
        Command command = new(Name, $"Hold a conversation. {Help}\n\n  bitsmith chat ./GLM-4.6V-Flash-FP8");
        generation.AddTo(command);
        command.SetAction(parsed =>
        {
            using GlmModel model = generation.Open(parsed);
            using GenerationSession session = generation.NewSession(parsed, model);
            terminal.Error.WriteLine(Help);
            Run(terminal, model, session, generation.Settings(parsed, model));
            return ExitCode.Done;
        });
        return command;
    }

    private static void Run(Terminal terminal, GlmModel model, GenerationSession session, SamplingSettings settings)
    {
        List<JsonObject> messages = [];
        List<VisionInput> inputs = [], attached = [];
        while (true)
        {
            terminal.Error.Write("> ");
            if (terminal.In.ReadLine() is not { } line || line.Trim() == "/exit")
            {
                return;
            }

            switch (line.Trim().Split(' ', 2))
            {
                case [""]:
                    break;
                case ["/clear"]:
                    messages.Clear();
                    inputs.Clear();
                    attached.Clear();
                    break;
                case ["/image", string path]:
                    Attach(terminal, attached, () => model.ReadPicture(ImageDecoder.Load(path.Trim())));
                    break;
                case ["/video", string place]:
                    Attach(terminal, attached, () => VideoInput.Read(terminal, model, Video(place.Trim())));
                    break;
                case [['/', ..], ..]:
                    terminal.Error.WriteLine(Help);
                    break;
                default:
                    messages.Add(Conversation.UserMessage(line, attached.Count(input => input.Kind == TokenModality.Image), attached.Count(input => input.Kind == TokenModality.Video)));
                    inputs.AddRange(attached);
                    attached.Clear();
                    messages.Add(Conversation.AssistantMessage(Answer(terminal, model, session, settings, messages, inputs)));
                    break;
            }
        }
    }

    private static void Attach(Terminal terminal, List<VisionInput> attached, Func<VisionInput> read)
    {
        try
        {
            attached.Add(read());
        }
        catch (ImageException problem)
        {
            terminal.Error.WriteLine(problem.Message); // a mistyped name must not end the conversation
        }
    }

    // A number behind the place is the rate.
    private static VideoFrames Video(string text) =>
        text.LastIndexOf(' ') is > 0 and int space && double.TryParse(text[(space + 1)..], NumberStyles.AllowDecimalPoint, CultureInfo.InvariantCulture, out double rate) && rate > 0
            ? VideoFrames.Open(text[..space].TrimEnd(), rate)
            : VideoFrames.Open(text, null);

    /// <summary>Answers until the end or Ctrl-C; what was said by then stays in the conversation.</summary>
    private static string Answer(
        Terminal terminal, GlmModel model, GenerationSession session, SamplingSettings settings, List<JsonObject> messages, List<VisionInput> inputs)
    {
        StringBuilder answer = new();
        using CancellationTokenSource stop = new();
        using PosixSignalRegistration signal = PosixSignalRegistration.Create(PosixSignal.SIGINT, context =>
        {
            context.Cancel = true;
            stop.Cancel();
        });
        try
        {
            foreach (string piece in model.Answer(session, model.Prepare(Conversation.Of(messages), inputs), settings, stop.Token))
            {
                terminal.Out.Write(piece);
                terminal.Out.Flush();
                answer.Append(piece);
            }
        }
        catch (OperationCanceledException)
        {
            terminal.Error.Write(" [stopped]");
        }

        terminal.Out.WriteLine();
        return GlmAnswer.Parse(answer.ToString()).Content;
    }
}
