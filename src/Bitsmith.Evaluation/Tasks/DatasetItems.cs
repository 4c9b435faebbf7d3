using System.Globalization;
using System.Text.Json;
using System.Text.RegularExpressions;
using Bitsmith.Checkpoints;
using Bitsmith.Checkpoints.Datasets;

namespace Bitsmith.Evaluation.Tasks;

/// <summary>
/// Items of the data sets as they are published: ARC (allenai/ai2_arc), HellaSwag (Rowan/hellaswag), MMLU (cais/mmlu, and hendrycks' CSV), TruthfulQA (truthful_qa, multiple_choice, and the authors'
/// CSV and JSON), WinoGrande (allenai/winogrande). Questions are put as lm-evaluation-harness puts those of ARC.
/// </summary>
internal static partial class DatasetItems
{
    /// <summary>What a question becomes.</summary>
    public const string Template = "Question: {question}\nAnswer:";

    private const string Letters = "ABCDEFGHIJKLMNOPQRSTUVWXYZ";

    // hendrycks' files have no header.
    private static readonly string[] MmluColumns = ["question", "A", "B", "C", "D", "answer"];

    public static ItemFile Read(EvaluationTask task, string path)
    {
        ChoiceItem[] items = [.. Dataset.Read(path, task == EvaluationTask.Mmlu ? MmluColumns : null).Select(row => Item(task, new RowFields(path, row)))];
        string format = Path.GetExtension(path).ToLowerInvariant() switch { ".csv" => "CSV", ".parquet" => "Parquet", _ => "JSON" };
        return new ItemFile(
            items, $"published data set, {format}", task == EvaluationTask.HellaSwag ? ItemDraw.Shuffled : ItemDraw.Some,
            task is EvaluationTask.HellaSwag or EvaluationTask.WinoGrande ? [] : [$"{Path.GetFileName(path)}: questions are put as '{Template.Replace("\n", "\\n", StringComparison.Ordinal)}'."]);
    }

    private static ChoiceItem Item(EvaluationTask task, RowFields row)
    {
        try
        {
            return Read(task, row);
        }
        catch (InvalidOperationException)
        {
            throw row.Broken("a text holds half of a surrogate pair");
        }
    }

    private static ChoiceItem Read(EvaluationTask task, RowFields row) => task switch
    {
        EvaluationTask.HellaSwag => HellaSwag(row),
        EvaluationTask.WinoGrande => WinoGrandeCsv.Item(row.Place, row.Text("sentence"), row.Text("option1"), row.Text("option2"), row.TextOrNumber("answer")),
        EvaluationTask.Arc => Arc(row),
        EvaluationTask.Mmlu => Mmlu(row),
        _ => TruthfulQa(row),
    };

    /// <summary>As lm-evaluation-harness cleans WikiHow's marks away, and as llama-perplexity's text file was made.</summary>
    private static ChoiceItem HellaSwag(RowFields row)
    {
        string context = Clean($"{row.Text("activity_label")}: {row.Text("ctx")}");
        string[] endings = row.Texts("endings");
        string label = row.TextOrNumber("label");
        return int.TryParse(label, NumberStyles.None, CultureInfo.InvariantCulture, out int right) && right < endings.Length
            ? Choices(row, context, [.. endings.Select(Clean)], choice => choice == right)
            : throw row.Broken($"'label' is '{label}', expected the number of one of {endings.Length} endings from 0 on (a test set has none; take the validation set)");
    }

    private static ChoiceItem Arc(RowFields row)
    {
        string[] texts, labels;
        string question;
        if (row.Object("question") is { } inner)
        {
            question = inner.Text("stem");
            RowFields[] choices = [.. inner.Objects("choices")];
            (texts, labels) = ([.. choices.Select(choice => choice.Text("text"))], [.. choices.Select(choice => choice.TextOrNumber("label"))]);
        }
        else
        {
            RowFields choices = row.Object("choices") ?? throw row.Broken("has no 'choices' with 'text' and 'label'");
            (question, texts, labels) = (row.Text("question"), choices.Texts("text"), choices.Texts("label"));
        }

        string key = row.TextOrNumber("answerKey");
        int right = Array.IndexOf(labels, key);
        return right >= 0 && labels.Length == texts.Length
            ? Question(row, question, texts, choice => choice == right)
            : throw row.Broken($"'answerKey' is '{key}', expected one of the labels {string.Join(", ", labels)} of {texts.Length} choices");
    }

    private static ChoiceItem Mmlu(RowFields row)
    {
        string[] texts = row.Has("choices") ? row.Texts("choices") : [row.Text("A"), row.Text("B"), row.Text("C"), row.Text("D")];
        string answer = row.TextOrNumber("answer");
        int right = int.TryParse(answer, NumberStyles.None, CultureInfo.InvariantCulture, out int number) ? number : answer.Length == 1 ? Letters.IndexOf(answer[0], StringComparison.Ordinal) : -1;
        return right >= 0 && right < texts.Length
            ? Question(row, row.Text("question"), texts, choice => choice == right)
            : throw row.Broken($"'answer' is '{answer}', expected a letter or the number of one of {texts.Length} choices from 0 on");
    }

    private static ChoiceItem TruthfulQa(RowFields row)
    {
        if (row.Has("Best Answer"))
        {
            string[] wrong = [.. row.Text("Incorrect Answers").Split(';', StringSplitOptions.TrimEntries | StringSplitOptions.RemoveEmptyEntries)];
            return Question(row, row.Text("Question"), [row.Text("Best Answer").Trim(), .. wrong], choice => choice == 0);
        }

        RowFields targets = row.Object("mc1_targets") ?? throw row.Broken("has no 'mc1_targets', nor 'Best Answer' and 'Incorrect Answers'. Take the multiple_choice set");
        (string[] texts, long[] labels) = targets.Has("choices") ? (targets.Texts("choices"), targets.Numbers("labels")) : targets.Labelled();
        return texts.Length == labels.Length
            ? Question(row, row.Text("question"), texts, choice => labels[choice] == 1)
            : throw row.Broken($"'mc1_targets' has {texts.Length} choices and {labels.Length} labels");
    }

    private static ChoiceItem Question(RowFields row, string question, string[] answers, Func<int, bool> right) => string.IsNullOrWhiteSpace(question)
        ? throw row.Broken("the question is empty")
        : Choices(row, Template.Replace("{question}", question, StringComparison.Ordinal), answers, right);

    private static ChoiceItem Choices(RowFields row, string context, string[] choices, Func<int, bool> right)
    {
        bool[] labels = [.. Enumerable.Range(0, choices.Length).Select(right)];
        int count = labels.Count(label => label);
        string? problem = choices.Any(string.IsNullOrWhiteSpace) ? "a choice is empty"
            : count != 1 ? $"{count} of {labels.Length} choices are right, expected one"
            : labels.Length is < 2 or > ChoiceItem.MostChoices ? $"has {labels.Length} choices, expected 2 to {ChoiceItem.MostChoices}"
            : null;
        return problem is null ? new ChoiceItem(row.Place, $"{context} ", choices, null, labels) : throw row.Broken(problem);
    }

    private static string Clean(string text) =>
        Brackets().Replace(text.Trim().Replace(" [title]", ". ", StringComparison.Ordinal), string.Empty).Replace("  ", " ", StringComparison.Ordinal);

    [GeneratedRegex(@"\[.*?\]", RegexOptions.CultureInvariant)]
    private static partial Regex Brackets();

    /// <summary>The fields of a row; an error names the file, the place and the field.</summary>
    private sealed class RowFields(string path, string where, JsonElement value)
    {
        public RowFields(string path, DatasetRow row)
            : this(path, row.Place, row.Value)
        {
        }

        public ItemPlace Place => new(path, where);

        public CheckpointException Broken(string problem) => new(path, $"{where}: {problem}.");

        public bool Has(string name) => value.TryGetProperty(name, out _);

        public string Text(string name) => Field(name) is { ValueKind: JsonValueKind.String } field ? field.GetString()! : throw Unexpected(name, "a text");

        public string TextOrNumber(string name) => Field(name) switch
        {
            { ValueKind: JsonValueKind.String } text => text.GetString()!,
            { ValueKind: JsonValueKind.Number } number => number.GetRawText(),
            _ => throw Unexpected(name, "a text or a number"),
        };

        public string[] Texts(string name) => [.. Items(name).Select(item => item.ValueKind == JsonValueKind.String ? item.GetString()! : throw Unexpected(name, "an array of texts"))];

        public long[] Numbers(string name) =>
            [.. Items(name).Select(item => item.ValueKind == JsonValueKind.Number && item.TryGetInt64(out long number) ? number : throw Unexpected(name, "an array of whole numbers"))];

        /// <summary>An object in the field; null where the field holds something else or is missing.</summary>
        public RowFields? Object(string name) => value.TryGetProperty(name, out JsonElement field) && field.ValueKind == JsonValueKind.Object ? new RowFields(path, where, field) : null;

        public IEnumerable<RowFields> Objects(string name) =>
            Items(name).Select(item => item.ValueKind == JsonValueKind.Object ? new RowFields(path, where, item) : throw Unexpected(name, "an array of objects"));

        /// <summary>The object itself as texts with a number for each.</summary>
        public (string[] Texts, long[] Labels) Labelled() =>
            ([.. value.EnumerateObject().Select(pair => pair.Name)], [.. value.EnumerateObject().Select(pair => pair.Value.ValueKind == JsonValueKind.Number && pair.Value.TryGetInt64(out long label) ? label : 0)]);

        private JsonElement Field(string name) => value.TryGetProperty(name, out JsonElement field)
            ? field
            : throw Broken($"has no '{name}'; it has {string.Join(", ", value.EnumerateObject().Select(pair => $"'{pair.Name}'").Take(20))}");

        private JsonElement.ArrayEnumerator Items(string name) => Field(name) is { ValueKind: JsonValueKind.Array } field ? field.EnumerateArray() : throw Unexpected(name, "an array");

        private CheckpointException Unexpected(string name, string expected) => Broken($"'{name}' is not {expected}");
    }
}
