using System.Text.Json;
using System.Text.Json.Serialization;

namespace Bitsmith.Evaluation.Tasks;

/// <summary>The tasks by which publishers compare models.</summary>
[JsonConverter(typeof(EvaluationTaskConverter))]
public enum EvaluationTask
{
    /// <summary>Questions of science exams, Easy and Challenge (Clark et al. 2018).</summary>
    Arc,

    /// <summary>How a description goes on (Zellers et al. 2019).</summary>
    HellaSwag,

    /// <summary>Exam questions of 57 subjects (Hendrycks et al. 2021).</summary>
    Mmlu,

    /// <summary>Questions that people answer wrongly; one right answer, "MC1" (Lin et al. 2022).</summary>
    TruthfulQa,

    /// <summary>Which of two words a blank stands for (Sakaguchi et al. 2020).</summary>
    WinoGrande,
}

/// <summary>Names of tasks.</summary>
public static class EvaluationTasks
{
    /// <summary>As in tables.</summary>
    public static string Title(this EvaluationTask task) => task switch
    {
        EvaluationTask.Arc => "ARC",
        EvaluationTask.Mmlu => "MMLU",
        EvaluationTask.TruthfulQa => "TruthfulQA",
        _ => task.ToString(),
    };

    /// <summary>As on command lines and in JSON.</summary>
    public static string Name(this EvaluationTask task) => task.ToString().ToLowerInvariant();

    /// <summary>The task of a name; null where there is none.</summary>
    public static EvaluationTask? Find(string name) => Enum.GetValues<EvaluationTask>().Cast<EvaluationTask?>().FirstOrDefault(task => task!.Value.Name() == name);
}

/// <summary>A task in JSON: its name.</summary>
internal sealed class EvaluationTaskConverter : JsonConverter<EvaluationTask>
{
    public override EvaluationTask Read(ref Utf8JsonReader reader, Type typeToConvert, JsonSerializerOptions options) =>
        EvaluationTasks.Find(reader.GetString() ?? string.Empty) ?? throw new JsonException($"'{reader.GetString()}' is no task");

    public override void Write(Utf8JsonWriter writer, EvaluationTask value, JsonSerializerOptions options) => writer.WriteStringValue(value.Name());
}
