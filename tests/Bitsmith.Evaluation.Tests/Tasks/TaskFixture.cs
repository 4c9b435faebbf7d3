using Bitsmith.Evaluation.Tasks;

namespace Bitsmith.Evaluation.Tests.Tasks;

/// <summary>A small model and files of tasks, for which llama-perplexity 0.7.0 printed its scores, and transformers' model gave those of each choice.</summary>
internal static class TaskFixture
{
    public static string Path(string name) => System.IO.Path.Combine(AppContext.BaseDirectory, "gguf", name);

    public static EvaluatedModel Model() => EvaluatedModel.Open(Path("tiny-glm4-f16.gguf"), new EvaluationSettings(2));

    public static ItemFile Read(EvaluationTask task, string name) => TaskFiles.Read(task, Path(name));

    /// <summary>Writes a file, reads it and removes it.</summary>
    public static T With<T>(string name, byte[] content, Func<string, T> read)
    {
        DirectoryInfo folder = Directory.CreateTempSubdirectory("bitsmith-tasks-");
        try
        {
            string path = System.IO.Path.Combine(folder.FullName, name);
            File.WriteAllBytes(path, content);
            return read(path);
        }
        finally
        {
            folder.Delete(recursive: true);
        }
    }
}
