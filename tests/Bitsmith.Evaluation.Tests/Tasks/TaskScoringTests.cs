using System.Text.Json;
using Bitsmith.Checkpoints;
using Bitsmith.Evaluation.Tasks;
using Bitsmith.Models.Text;

namespace Bitsmith.Evaluation.Tests.Tasks;

public sealed class TaskScoringTests
{
    private const string Words = "the baker weighs flour and looks at a clock while two people sit in their boat near lower road counting apples for bread";

    [Theory]
    [InlineData(EvaluationTask.HellaSwag, "hellaswag.txt", "hellaswag")]
    [InlineData(EvaluationTask.WinoGrande, "winogrande.csv", "winogrande")]
    [InlineData(EvaluationTask.Mmlu, "multiple-choice.bin", "multiple_choice")]
    public void Scores_are_those_of_transformers_model_under_llama_perplexitys_rules(EvaluationTask task, string file, string reference)
    {
        using EvaluatedModel model = TaskFixture.Model();
        ItemResult[] found = Score(model, TaskFixture.Read(task, file).Items);
        JsonElement[] expected = [.. JsonElement.Parse(File.ReadAllText(TaskFixture.Path("reference-scores.json"))).GetProperty(reference).EnumerateArray()];
        Assert.Equal(expected.Length, found.Length);
        for (int i = 0; i < found.Length; i++)
        {
            double[] scores = [.. expected[i].GetProperty("scores").EnumerateArray().Select(score => score.GetDouble())];
            Assert.Equal(scores.Length, found[i].Scores.Count);
            Assert.All(scores.Zip(found[i].Scores), pair => Assert.Equal(pair.First, pair.Second, 2e-4));
            Assert.Equal(Array.IndexOf(scores, scores.Max()), found[i].Choice);
        }
    }

    /// <summary>What llama-perplexity 0.7.0 printed for these files (tests/Fixtures/gguf/tasks/*.out.txt).</summary>
    [Fact]
    public void The_report_has_the_scores_and_errors_that_llama_perplexity_printed()
    {
        using EvaluatedModel model = TaskFixture.Model();
        TasksReport report = TaskEvaluation.Run(
            model,
            [
                new TaskRequest(EvaluationTask.HellaSwag, [TaskFixture.Path("hellaswag.txt")]), new TaskRequest(EvaluationTask.Arc, [TaskFixture.Path("multiple-choice.bin")]),
                new TaskRequest(EvaluationTask.WinoGrande, [TaskFixture.Path("winogrande.csv")]),
            ],
            new TaskSettings(WithoutLastRow: true), TimeProvider.System, null, TestContext.Current.CancellationToken);
        Assert.Equal([true, false, false, false], report.Tasks[0].Items.Select(item => item.Correct));
        Assert.Equal("25.00000000 [4.5587, 69.9358]", $"{report.Tasks[0].Score.Percent:0.00000000} [{report.Tasks[0].Score.Interval.Low:0.0000}, {report.Tasks[0].Score.Interval.High:0.0000}]");
        TaskScore arc = report.Tasks[1].Score;
        Assert.Equal("75.0000 +/- 25.0000, 30.7692 +/- 26.6469", $"{arc.Percent:0.0000} +/- {arc.Error:0.0000}, {arc.Chance.Value:0.0000} +/- {arc.Chance.Error:0.0000}");
        Assert.Equal((4, 4), (report.Tasks[2].Score.Items, report.Tasks[2].Score.Correct));
        Assert.Equal((25.0 + 75 + 100) / 3, report.Average!.Value.Value, 1e-9);
        Assert.Equal(Math.Sqrt((25 * 25) + (25 * 25)) / 3, report.Average!.Value.Error, 1e-9);
        JsonElement json = JsonElement.Parse(report.ToJson());
        Assert.Equal("hellaswag", json.GetProperty("tasks")[0].GetProperty("task").GetString());
        Assert.Equal(75, json.GetProperty("tasks")[1].GetProperty("score").GetProperty("percent").GetDouble());
    }

    [Fact]
    public void Several_files_of_a_task_count_as_one_and_each_apart()
    {
        using EvaluatedModel model = TaskFixture.Model();
        byte[] items = File.ReadAllBytes(TaskFixture.Path("multiple-choice.bin"));
        TaskFixture.With("other.bin", items, other =>
        {
            TaskResult arc = TaskEvaluation.Run(
                model, [new TaskRequest(EvaluationTask.Arc, [TaskFixture.Path("multiple-choice.bin"), other])], new TaskSettings(), TimeProvider.System, null, TestContext.Current.CancellationToken).Tasks[0];
            Assert.Equal((8, 6, 8), (arc.Score.Items, arc.Score.Correct, arc.Available));
            Assert.Equal([(TaskFixture.Path("multiple-choice.bin"), 3), (other, 3)], arc.Parts.Select(part => (part.File, part.Score.Correct)));
            return 0;
        });
    }

    /// <summary>Of items of all kinds and sizes, some more than a pass holds, none depends on what runs beside it.</summary>
    [Fact]
    public void Items_run_together_have_the_bits_of_items_run_alone()
    {
        using EvaluatedModel model = TaskFixture.Model();
        int seed = Random.Shared.Next();
        Random random = new(seed);
        ChoiceItem[] items = [.. Enumerable.Range(0, 21).Select(i => Item(random, i))];
        ItemResult[] together = Score(model, items);
        ItemResult[] alone = [.. items.SelectMany(item => Score(model, [item]))];
        Assert.Equal(items.Length, together.Length);
        for (int i = 0; i < items.Length; i++)
        {
            Assert.True(together[i].Scores.SequenceEqual(alone[i].Scores), $"seed {seed}, item {i}");
        }
    }

    /// <summary>The shared start run once gives what a whole text gives, token by token.</summary>
    [Fact]
    public void A_score_is_the_mean_log_probability_of_the_tokens_behind_the_shared_ones()
    {
        using EvaluatedModel model = TaskFixture.Model();
        ChoiceItem item = TaskFixture.Read(EvaluationTask.HellaSwag, "hellaswag.txt").Items[0];
        int[][] texts = [.. Enumerable.Range(0, 4).Select(choice => model.Tokenizer.Encode(item.Text(choice), parseSpecial: false))];
        int shared = Enumerable.Range(0, texts.Min(text => text.Length)).TakeWhile(i => texts.All(text => text[i] == texts[0][i])).Count();
        ItemResult found = Score(model, [item])[0];
        for (int choice = 0; choice < 4; choice++)
        {
            using Models.Layers.KvCache cache = model.Language.NewCache(texts[choice].Length, model.Settings.CacheType);
            float[] hidden = model.Language.Embed(texts[choice]);
            model.Language.Forward(hidden, cache);
            float[] logits = model.Language.Logits(hidden);
            int vocabulary = model.Language.Config.VocabSize;
            double sum = 0;
            for (int place = shared; place < texts[choice].Length; place++)
            {
                float[] row = logits[((place - 1) * vocabulary)..(place * vocabulary)];
                sum += row[texts[choice][place]] - Math.Log(row.Sum(logit => Math.Exp(logit)));
            }

            Assert.Equal(sum / (texts[choice].Length - shared), found.Scores[choice], 1e-5);
        }
    }

    [Fact]
    public void Equal_scores_go_to_the_first_choice_and_of_a_blank_to_the_second()
    {
        using EvaluatedModel model = TaskFixture.Model();
        ItemPlace place = new("f", "item 1");
        ItemResult[] found = Score(model, [new(place, "the baker ", ["sings", "sings"], null, [true, false]), new(place, "the ", ["baker", "baker"], " sings a song in the road.", [true, false])]);
        Assert.Equal(found[0].Scores[0], found[0].Scores[1]);
        Assert.Equal((0, true), (found[0].Choice, found[0].Correct));
        Assert.Equal((1, false), (found[1].Choice, found[1].Correct));
    }

    [Fact]
    public void An_item_that_is_too_long_is_named_with_what_to_do()
    {
        using EvaluatedModel model = TaskFixture.Model();
        ChoiceItem item = new(new ItemPlace("f.bin", "item 9"), string.Concat(Enumerable.Repeat("flour ", 40)), ["a", "b"], null, [true, false]);
        using TaskScoring scoring = new(model.Language, model.Tokenizer, 20);
        string message = Assert.Throws<ItemTooLongException>(() => scoring.Score([item], TestContext.Current.CancellationToken).ToArray()).Message;
        Assert.StartsWith("f.bin: item 9: has ", message, StringComparison.Ordinal);
        Assert.Contains("and the context 20. Take a larger context (--ctx-size)", message, StringComparison.Ordinal);
    }

    [Fact]
    public void A_text_of_one_token_leaves_nothing_to_score()
    {
        using EvaluatedModel model = TaskFixture.Model();
        ChoiceItem item = new(new ItemPlace("f.bin", "item 1"), string.Empty, ["a", "b"], null, [true, false]);
        Assert.Contains("no token can be scored", Assert.Throws<CheckpointException>(() => Score(model, [item])).Message, StringComparison.Ordinal);
    }

    /// <summary>Behind the choice, unless a text has at most three tokens behind the shared ones; then the second text's first token is scored as llama-perplexity does, by the end of the first text.</summary>
    [Fact]
    public void Behind_a_blank_the_rest_of_the_sentence_counts_without_its_last_token()
    {
        Tokenizer tokenizer = Tokenizer.Load(TaskFixture.Path("tokenizer.json"));
        ChoiceTokens tokens = ChoiceTokens.Of(new ChoiceItem(new ItemPlace("f", "1"), "in the box the ", ["lamp", "road"], " was too small for it.", [true, false]), tokenizer, 768);
        for (int choice = 0; choice < 2; choice++)
        {
            int start = tokenizer.Encode(tokens.Item.Start(choice), parseSpecial: false).Length, length = tokens.Sequences[choice].Length;
            Assert.Equal(Enumerable.Range(start, length - 1 - start).Select(place => new Prediction(choice, place - 1, tokens.Sequences[choice][place])), tokens.Predictions[choice]);
        }

        ChoiceTokens brief = ChoiceTokens.Of(new ChoiceItem(new ItemPlace("f", "1"), "in the box the ", ["a", "b"], ".", [true, false]), tokenizer, 768);
        int shared = brief.Shared;
        Assert.Equal([new Prediction(0, shared - 1, brief.Sequences[0][shared])], brief.Predictions[0]);
        Assert.Equal([new Prediction(0, brief.Sequences[0].Length - 1, brief.Sequences[1][shared])], brief.Predictions[1]);
    }

    private static ItemResult[] Score(EvaluatedModel model, IEnumerable<ChoiceItem> items)
    {
        using TaskScoring scoring = new(model.Language, model.Tokenizer, 512, model.Settings.CacheType);
        return [.. scoring.Score(items, TestContext.Current.CancellationToken)];
    }

    private static ChoiceItem Item(Random random, int number)
    {
        string[] words = Words.Split(' ');
        string Some(int most) => string.Join(' ', Enumerable.Range(0, random.Next(1, most + 1)).Select(_ => words[random.Next(words.Length)]));
        bool blank = number % 3 == 0;
        string[] choices = [.. Enumerable.Range(0, blank ? 2 : random.Next(2, 14)).Select(i => Some(blank ? 2 : 12) + i)];
        return new ChoiceItem(
            new ItemPlace("f", $"item {number}"), Some(number % 7 == 0 ? 90 : 15) + " ", choices, blank ? " " + Some(number % 2 == 0 ? 1 : 9) + "." : null, [.. choices.Select((_, i) => i == 0)]);
    }
}
