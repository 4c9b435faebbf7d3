using Bitsmith.Cli;

return await Application.RunAsync(args, new Terminal(Console.In, Console.Out, Console.Error, Console.IsOutputRedirected, Console.IsErrorRedirected)).ConfigureAwait(false);
