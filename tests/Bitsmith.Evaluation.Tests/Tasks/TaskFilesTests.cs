using System.Text;
using Bitsmith.Checkpoints;
using Bitsmith.Evaluation.Tasks;

namespace Bitsmith.Evaluation.Tests.Tasks;

public sealed class TaskFilesTests
{
    private const string Arc = """{"id":"1","question":"What melts?","choices":{"text":["ice","stone","iron"],"label":["A","B","C"]},"answerKey":"B"}""";
    private const string Mmlu = """{"question":"2 + 2?","subject":"x","choices":["3","4","5","6"],"answer":1}""";
    private const string TruthfulQa = """{"question":"Do pigs fly?","mc1_targets":{"choices":["No.","Yes.","On Mondays."],"labels":[1,0,0]},"mc2_targets":{"choices":[],"labels":[]}}""";
    private const string HellaSwag = """{"ind":1,"activity_label":"Rowing","ctx_a":"A man","ctx_b":"he","ctx":"A man sits  in a boat [header] he","endings":["rows.","sings [title] loudly.","sinks [x]away.","sleeps."],"label":"2"}""";
    private const string WinoGrande = """{"qID":"1","sentence":"The lamp fell because _ was, as they say, loose.","option1":"the lamp","option2":"the box","answer":"2"}""";

    [Theory]
    [InlineData(EvaluationTask.Arc, Arc, "Question: What melts?\nAnswer: ice|Question: What melts?\nAnswer: stone|Question: What melts?\nAnswer: iron", 1)]
    [InlineData(EvaluationTask.Arc, """{"question":{"stem":"Why?","choices":[{"text":"a b","label":"1"},{"text":"c","label":"2"}]},"answerKey":"1"}""", "Question: Why?\nAnswer: a b|Question: Why?\nAnswer: c", 0)]
    [InlineData(EvaluationTask.Mmlu, Mmlu, "Question: 2 + 2?\nAnswer: 3|Question: 2 + 2?\nAnswer: 4|Question: 2 + 2?\nAnswer: 5|Question: 2 + 2?\nAnswer: 6", 1)]
    [InlineData(EvaluationTask.TruthfulQa, TruthfulQa, "Question: Do pigs fly?\nAnswer: No.|Question: Do pigs fly?\nAnswer: Yes.|Question: Do pigs fly?\nAnswer: On Mondays.", 0)]
    [InlineData(EvaluationTask.TruthfulQa, """{"question":"Why?","mc1_targets":{"x":0,"y":1}}""", "Question: Why?\nAnswer: x|Question: Why?\nAnswer: y", 1)]
    [InlineData(EvaluationTask.HellaSwag, HellaSwag, "Rowing: A man sits in a boat he rows.|Rowing: A man sits in a boat he sings. loudly.|Rowing: A man sits in a boat he sinks away.|Rowing: A man sits in a boat he sleeps.", 2)]
    [InlineData(EvaluationTask.WinoGrande, WinoGrande, "The lamp fell because the lamp was, as they say, loose.|The lamp fell because the box was, as they say, loose.", 1)]
    public void A_row_of_a_published_set_becomes_texts_of_which_one_is_right(EvaluationTask task, string row, string texts, int right)
    {
        foreach ((string name, string content) in new[] { ("f.jsonl", $"{row}\n\n{row}\n"), ("f.json", $"[{row},\n{row}]") })
        {
            ItemFile file = TaskFixture.With(name, Encoding.UTF8.GetBytes(content), path => TaskFiles.Read(task, path));
            Assert.Equal(2, file.Items.Count);
            Assert.Equal(texts.Split('|'), Enumerable.Range(0, file.Items[1].Choices.Count).Select(file.Items[1].Text));
            Assert.Equal(Enumerable.Range(0, file.Items[1].Choices.Count).Select(choice => choice == right), file.Items[1].Right);
            Assert.Equal(task == EvaluationTask.HellaSwag ? ItemDraw.Shuffled : ItemDraw.Some, file.Draw);
        }
    }

    [Fact]
    public void Hendrycks_CSV_has_no_header()
    {
        ItemFile file = Read(EvaluationTask.Mmlu, "f.csv", "\"Which, of these?\",one,\"a \"\"two\"\"\",three,four,B\nNext?,1,2,3,4,D\n");
        Assert.Equal("Question: Which, of these?\nAnswer: a \"two\"", file.Items[0].Text(1));
        Assert.Equal([[false, true, false, false], [false, false, false, true]], file.Items.Select(item => item.Right));
        Assert.Equal("line 2", file.Items[1].Place.Where);
    }

    [Fact]
    public void TruthfulQA_CSV_has_one_best_answer_and_several_wrong_ones()
    {
        ItemFile file = Read(EvaluationTask.TruthfulQa, "f.csv", "Type,Category,Question,Best Answer,Correct Answers,Incorrect Answers,Source\nx,y,Why?,Because,Because; so,\"No; Never ; \",z\n");
        Assert.Equal(["Because", "No", "Never"], file.Items[0].Choices);
        Assert.Equal([true, false, false], file.Items[0].Right);
    }

    [Fact]
    public void WinoGrande_CSV_with_a_header_is_the_published_set_and_without_one_llama_perplexitys()
    {
        ItemFile published = Read(EvaluationTask.WinoGrande, "f.csv", "qID,sentence,option1,option2,answer\n1,\"He said \"\"go\"\", and _ went.\",Al,Bo,1\n");
        Assert.Equal("He said \"go\", and Al went.", published.Items[0].Text(0));
        ItemFile own = Read(EvaluationTask.WinoGrande, "f.csv", "0,\"He said \"\"go\"\", and _ went.\",Al,Bo,1\n1,The _ ran.,dog,cat,2\n");
        Assert.Equal("He said \"\"go\"\", and Al went.", own.Items[0].Text(0));
        Assert.Equal(["The dog ran.", "The cat ran."], [own.Items[1].Text(0), own.Items[1].Text(1)]);
        Assert.Equal("The cat", own.Items[1].Start(1));
    }

    [Theory]
    [InlineData("0,A _ b.,x,y,1\n1,A _ c.,x,y,2\n", 2, 1)]
    [InlineData("0,A _ b.,x,y,1\n1,A _ c.,x,y,2", 2, 1)]
    [InlineData("0,A _ b.,x,y,1\n1,A _ c.,x,y,2\n\n", 2, 2)]
    public void The_last_row_counts_unless_it_is_to_be_left_out_as_llama_perplexity_does(string text, int rows, int withoutLast)
    {
        byte[] content = Encoding.UTF8.GetBytes(text);
        ItemFile all = TaskFixture.With("f.csv", content, path => TaskFiles.Read(EvaluationTask.WinoGrande, path));
        ItemFile fewer = TaskFixture.With("f.csv", content, path => TaskFiles.Read(EvaluationTask.WinoGrande, path, withoutLastRow: true));
        Assert.Equal((rows, withoutLast), (all.Items.Count, fewer.Items.Count));
        Assert.Equal(rows != withoutLast, all.Notes.Any(note => note.Contains($"llama-perplexity leaves it out and has {withoutLast} items", StringComparison.Ordinal)));
    }

    [Theory]
    [InlineData(EvaluationTask.HellaSwag, "f.txt", "a\n0\nb\nc\nd\n", "has 5 lines; expected 6 for each item")]
    [InlineData(EvaluationTask.HellaSwag, "f.txt", "a\n4\nb\nc\nd\ne\n", "line 2: is '4'; expected the number of the right ending, 0 to 3")]
    [InlineData(EvaluationTask.HellaSwag, "f.txt", "a\r\n0\r\nb\r\nc\r\nd\r\ne\r\n", "line 1: ends in a carriage return")]
    [InlineData(EvaluationTask.WinoGrande, "f.csv", "0,A _ b.,x,y,1\n1,no blank here,x,y,1\n", "line 2: the sentence 'no blank here' has no blank (_)")]
    [InlineData(EvaluationTask.WinoGrande, "f.csv", "0,A _ b.,x,y,3\n", "line 1: the answer is '3', expected 1 or 2")]
    [InlineData(EvaluationTask.WinoGrande, "f.csv", "0,A _ b.,x,,1\n", "line 1: a choice is empty")]
    [InlineData(EvaluationTask.WinoGrande, "f.csv", "0,A _, b.,x\n", "line 1: has 4 fields, expected index, sentence")]
    [InlineData(EvaluationTask.WinoGrande, "f.jsonl", """{"sentence":"A _.","option1":"a","option2":"b","answer":""}""", "line 1: the answer is '', expected 1 or 2 (a test set has none")]
    [InlineData(EvaluationTask.WinoGrande, "f.jsonl", """{"sentence":"A _.","option1":"a","answer":"1"}""", "line 1: has no 'option2'; it has 'sentence', 'option1', 'answer'")]
    [InlineData(EvaluationTask.Arc, "f.jsonl", "{}\n", "line 1: has no 'choices' with 'text' and 'label'")]
    [InlineData(EvaluationTask.Arc, "f.jsonl", "\n{\"question\":1", "line 2: is not valid JSON")]
    [InlineData(EvaluationTask.Arc, "f.jsonl", "[1]\n", "line 1: holds a JSON Array, expected an object")]
    [InlineData(EvaluationTask.Arc, "f.jsonl", """{"question":"q","choices":{"text":["a","b"],"label":["A","B"]},"answerKey":"C"}""", "line 1: 'answerKey' is 'C', expected one of the labels A, B of 2 choices")]
    [InlineData(EvaluationTask.Arc, "f.jsonl", """{"question":"q","choices":{"text":["a",""],"label":["A","B"]},"answerKey":"A"}""", "line 1: a choice is empty")]
    [InlineData(EvaluationTask.Arc, "f.jsonl", """{"question":"q","choices":{"text":["a","\ud800"],"label":["A","B"]},"answerKey":"A"}""", "line 1: a text holds half of a surrogate pair")]
    [InlineData(EvaluationTask.Arc, "f.jsonl", """{"question":"q","choices":{"text":["a",7],"label":["A","B"]},"answerKey":"A"}""", "line 1: 'text' is not an array of texts")]
    [InlineData(EvaluationTask.Mmlu, "f.jsonl", """{"question":"q","choices":["a","b"],"answer":2}""", "line 1: 'answer' is '2', expected a letter or the number of one of 2 choices")]
    [InlineData(EvaluationTask.Mmlu, "f.csv", "q,a,b,c,d,A\nq,a,b\n", "line 2: has 3 fields, expected 6")]
    [InlineData(EvaluationTask.Mmlu, "f.csv", "q,a,b,c,d,A\n\"q,a,b,c,d,A\n", "is not valid CSV")]
    [InlineData(EvaluationTask.TruthfulQa, "f.jsonl", """{"question":"q","mc1_targets":{"choices":["a","b"],"labels":[1,1]}}""", "line 1: 2 of 2 choices are right, expected one")]
    [InlineData(EvaluationTask.TruthfulQa, "f.jsonl", "{\"question\":\"q\"}", "line 1: has no 'mc1_targets', nor 'Best Answer'")]
    [InlineData(EvaluationTask.HellaSwag, "f.jsonl", """{"activity_label":"x","ctx":"y","endings":["a","b","c","d"],"label":""}""", "line 1: 'label' is '', expected the number of one of 4 endings")]
    [InlineData(EvaluationTask.Mmlu, "f.json", "[]", "has no items")]
    [InlineData(EvaluationTask.Mmlu, "f.json", "{}", "expected an array of objects")]
    [InlineData(EvaluationTask.Mmlu, "f.bin", "", "before the number of items")]
    [InlineData(EvaluationTask.Mmlu, "f.dat", "abcdefgh", "It is no whole file of llama-perplexity's --multiple-choice")]
    public void What_is_wrong_with_a_file_is_said_with_its_place(EvaluationTask task, string name, string content, string finding) => Assert.Contains(finding, Refused(task, name, Encoding.UTF8.GetBytes(content)), StringComparison.Ordinal);

    [Fact]
    public void A_hundred_choices_are_the_most()
    {
        string choices = string.Join(',', Enumerable.Range(0, 101).Select(i => $"\"{i}\""));
        Assert.Contains("has 101 choices, expected 2 to 100", Refused(EvaluationTask.Mmlu, "f.jsonl", Encoding.UTF8.GetBytes($$"""{"question":"q","choices":[{{choices}}],"answer":0}""")), StringComparison.Ordinal);
    }

    [Theory]
    [InlineData(EvaluationTask.HellaSwag, "f.txt", "A _ b\u00FF")]
    [InlineData(EvaluationTask.WinoGrande, "f.csv", "0,A _ b\u00FF,x,y,1")]
    [InlineData(EvaluationTask.Arc, "f.jsonl", "{\"question\":\"\u00FF\"}")]
    public void Text_that_is_not_UTF_8_is_refused(EvaluationTask task, string name, string content) => Assert.Contains("UTF-8", Refused(task, name, Encoding.Latin1.GetBytes(content)), StringComparison.Ordinal);

    [Fact]
    public void Items_that_share_bytes_are_refused()
    {
        byte[] file = File.ReadAllBytes(TaskFixture.Path("multiple-choice.bin"));
        file.AsSpan(4, 4).CopyTo(file.AsSpan(8));
        Assert.Contains("item 2 is to lie at 20, and the one before ends at", Refused(EvaluationTask.Arc, "f.bin", file), StringComparison.Ordinal);
    }

    [Theory]
    [InlineData(EvaluationTask.Arc, "multiple-choice.bin")]
    [InlineData(EvaluationTask.HellaSwag, "hellaswag.txt")]
    [InlineData(EvaluationTask.WinoGrande, "winogrande.csv")]
    public void A_damaged_file_is_read_or_refused_within_its_own_size(EvaluationTask task, string name)
    {
        byte[] valid = File.ReadAllBytes(TaskFixture.Path(name));
        int seed = Random.Shared.Next(), refused = 0;
        Random random = new(seed);
        TaskFixture.With(name, valid, path =>
        {
            for (int run = 0; run < 400; run++)
            {
                byte[] damaged = run % 3 == 0 ? valid[..random.Next(valid.Length)] : [.. valid];
                for (int change = random.Next(1, 4); change > 0 && damaged.Length > 0; change--)
                {
                    damaged[random.Next(damaged.Length)] = random.Next(4) switch { 0 => 0xFF, 1 => (byte)'\n', 2 => 0, _ => (byte)random.Next(256) };
                }

                File.WriteAllBytes(path, damaged);
                long before = GC.GetAllocatedBytesForCurrentThread();
                try
                {
                    Assert.NotEmpty(TaskFiles.Read(task, path).Items);
                }
                catch (CheckpointException refusal)
                {
                    Assert.StartsWith(path, refusal.Message, StringComparison.Ordinal);
                    refused++;
                }

                Assert.True(GC.GetAllocatedBytesForCurrentThread() - before < 200_000, $"seed {seed}, run {run}");
            }

            return 0;
        });
        Assert.True(refused > 0, $"seed {seed}");
    }

    private static ItemFile Read(EvaluationTask task, string name, string content) => TaskFixture.With(name, Encoding.UTF8.GetBytes(content), path => TaskFiles.Read(task, path));

    private static string Refused(EvaluationTask task, string name, byte[] content) => TaskFixture.With(name, content, path =>
    {
        string message = Assert.Throws<CheckpointException>(() => TaskFiles.Read(task, path)).Message;
        Assert.StartsWith(path, message, StringComparison.Ordinal);
        return message;
    });
}
