using System.CommandLine;
using System.Runtime.InteropServices;
using System.Text;
using System.Text.Json.Nodes;
using Bitsmith.Models;
using Bitsmith.Models.Generation;
using Bitsmith.Models.Images;

namespace Bitsmith.Cli.Commands;

/// <summary><c>bitsmith chat</c>: a conversation.</summary>
internal static class ChatCommand
{
    public const string Name = "chat";

    private const string Help = "/image FILE adds a picture to the next message, /clear starts anew, /exit ends. Ctrl-C stops an answer; without one it ends the program.";

    public static Command Create(Terminal terminal)
    {
        GenerationOptions generation = new();
        Command command = new(Name, $"Hold a conversation. {Help}\n\n  bitsmith chat ./GLM-4.6V-Flash-FP8");
        generation.AddTo(command);
        command.SetAction(parsed =>
        {
            using GlmModel model = generation.Open(parsed);
            terminal.Error.WriteLine(Help);
            Run(terminal, model, generation.Settings(parsed, model));
            return ExitCode.Done;
        });
        return command;
    }

    private static void Run(Terminal terminal, GlmModel model, SamplingSettings settings)
    {
        List<JsonObject> messages = [];
        List<RgbImage> pictures = [], attached = [];
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
                    pictures.Clear();
                    attached.Clear();
                    break;
                case ["/image", _] when !model.HasVision:
                    terminal.Error.WriteLine("This is a text model, which cannot look at pictures.");
                    break;
                case ["/image", string path]:
                    Attach(terminal, path.Trim(), attached);
                    break;
                case [['/', ..], ..]:
                    terminal.Error.WriteLine(Help);
                    break;
                default:
                    messages.Add(Conversation.UserMessage(line, attached.Count));
                    pictures.AddRange(attached);
                    attached.Clear();
                    messages.Add(Conversation.AssistantMessage(Answer(terminal, model, settings, messages, pictures)));
                    break;
            }
        }
    }

    private static void Attach(Terminal terminal, string path, List<RgbImage> attached)
    {
        try
        {
            attached.Add(ImageDecoder.Load(path));
        }
        catch (ImageException problem)
        {
            terminal.Error.WriteLine(problem.Message); // a mistyped name must not end the conversation
        }
    }

    /// <summary>Answers until the end or Ctrl-C; what was said by then stays in the conversation.</summary>
    private static string Answer(Terminal terminal, GlmModel model, SamplingSettings settings, List<JsonObject> messages, List<RgbImage> pictures)
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
            foreach (string piece in model.Answer(model.Prepare(Conversation.Of(messages), pictures), settings, stop.Token))
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
