using System.Text.Json;
using Bitsmith.Models.Generation;
using Bitsmith.Models.Images;
using Bitsmith.Models.Tests.Images;
using Bitsmith.Models.Vision;

namespace Bitsmith.Models.Tests.Generation;

/// <summary>Conversations in a session that keeps what it has run, against the same prompts in fresh ones.</summary>
public sealed class GenerationSessionTests : IDisposable
{
    private static readonly CancellationToken None = CancellationToken.None;

    private readonly GlmModel model = GlmModel.Open(Repository.PathOf("samples", "glm-4.6v-mini"));

    public void Dispose() => model.Dispose();

    [Theory]
    [InlineData(0)]
    [InlineData(1.5)]
    public void Later_turns_give_the_tokens_of_a_fresh_session_and_run_only_what_is_new(double temperature)
    {
        SamplingSettings settings = model.Defaults with { Temperature = temperature, Seed = 7, MaxTokens = 30 };
        using GenerationSession session = model.NewSession();
        List<(string Role, string Text)> turns = [];
        foreach (string question in (string[])["What is the opposite of wet?", "What sound does a bee make?", "Tell me a story about a dog."])
        {
            turns.Add(("user", question));
            PreparedPrompt prompt = Prompt(turns, []);
            int before = session.Length;

            int[] tokens = [.. session.Generate(prompt, settings, None)];

            Assert.Equal(Fresh(prompt, settings), tokens);
            Assert.Equal(prompt.Ids.Count + tokens.Length - (tokens.Length == 30 ? 1 : 0), session.Length);
            if (turns.Count > 1 && temperature == 0)
            {
                // The template writes the answer as it was generated: all of it is held.
                Assert.Equal(before, session.KeptTokens);
            }

            turns.Add(("assistant", model.Tokenizer.Decode(tokens, skipSpecial: true)));
        }
    }

    [Fact]
    public void A_picture_is_known_again_by_its_content_and_its_features_are_not_computed_again()
    {
        SamplingSettings settings = Greedy(20);
        using GenerationSession session = model.NewSession();
        VisionInput first = Picture("frame0"), again = Picture("frame0"), other = Picture("frame1");
        int[] description = [.. session.Generate(Prompt([("user", "Describe this image.")], [first]), settings, None)];
        string answer = model.Tokenizer.Decode(description, skipSpecial: true);
        int before = session.Length;

        PreparedPrompt next = Prompt([("user", "Describe this image."), ("assistant", answer), ("user", "What is the opposite of wet?")], [again]);
        int[] kept = [.. session.Generate(next, settings, None)];
        Assert.Equal(before, session.KeptTokens);
        Assert.False(Assert.Single(again.Parts).HasFeatures);
        Assert.Equal(Fresh(next, settings), kept);

        // Another picture of the same size has the same ids.
        PreparedPrompt changed = Prompt([("user", "Describe this image."), ("assistant", answer), ("user", "What is the opposite of wet?")], [other]);
        Assert.Equal(next.Ids, changed.Ids);
        int[] afresh = [.. session.Generate(changed, settings, None)];
        Assert.Equal(changed.Vision[0].Start, session.KeptTokens);
        Assert.True(Assert.Single(other.Parts).HasFeatures);
        Assert.Equal(Fresh(changed, settings), afresh);
    }

    [Fact]
    public void Placeholders_without_a_picture_are_not_taken_for_those_with_one()
    {
        using GenerationSession session = model.NewSession();
        PreparedPrompt prompt = Prompt([("user", "Describe this image.")], [Picture("frame0")]);
        PreparedPrompt bare = prompt with { Vision = [] };
        _ = session.Generate(bare, Greedy(3), None).Count();

        int[] tokens = [.. session.Generate(prompt, Greedy(10), None)];

        Assert.Equal(prompt.Vision[0].Start, session.KeptTokens);
        Assert.Equal(Fresh(prompt, Greedy(10)), tokens);
        _ = session.Generate(bare, Greedy(3), None).Count();
        Assert.Equal(prompt.Vision[0].Start, session.KeptTokens);
    }

    [Fact]
    public void The_same_tokens_at_other_positions_are_run_again()
    {
        using GenerationSession session = model.NewSession();
        PreparedPrompt prompt = Prompt([("user", "What is the opposite of wet?")], []);
        _ = session.Generate(prompt, Greedy(5), None).Count();
        PreparedPrompt moved = prompt with { Positions = [.. prompt.Positions!.Select(axis => axis.Select((position, index) => index < 4 ? position : position + 9).ToArray())], RopeDelta = 9 };

        int[] tokens = [.. session.Generate(moved, Greedy(5), None)];

        Assert.Equal(4, session.KeptTokens);
        Assert.Equal(Fresh(moved, Greedy(5)), tokens);
    }

    [Fact]
    public void A_prompt_that_is_held_already_runs_its_last_token_alone()
    {
        using GenerationSession session = model.NewSession();
        PreparedPrompt prompt = Prompt([("user", "What is the opposite of wet?")], []);
        int[] first = [.. session.Generate(prompt, Greedy(20), None)];

        Assert.Equal(first, session.Generate(prompt, Greedy(20), None));

        Assert.Equal(prompt.Ids.Count - 1, session.KeptTokens);
    }

    [Theory]
    [InlineData(0)]
    [InlineData(1)]
    [InlineData(5)]
    public void A_session_that_was_stopped_goes_on_as_if_nothing_had_been(int tokensBefore)
    {
        using GenerationSession session = model.NewSession();
        using CancellationTokenSource stop = new();
        PreparedPrompt longer = Prompt([("user", string.Concat(Enumerable.Repeat("Tell me a story about a dog. ", 20 + (GenerationSession.PassTokens / 3))))], []);
        Assert.True(longer.Ids.Count > 2 * GenerationSession.PassTokens);
        if (tokensBefore == 0)
        {
            stop.Cancel();
        }

        Assert.Throws<OperationCanceledException>(() =>
        {
            int made = 0;
            foreach (int _ in session.Generate(longer, Greedy(50) with { StopTokens = [] }, stop.Token))
            {
                if (++made == tokensBefore)
                {
                    stop.Cancel();
                }
            }
        });

        Assert.Equal(tokensBefore == 0 ? 0 : longer.Ids.Count + tokensBefore, session.Length);
        Assert.Equal(Fresh(longer, Greedy(20)), session.Generate(longer, Greedy(20), None));
        PreparedPrompt other = Prompt([("user", "What sound does a bee make?")], []);
        Assert.Equal(Fresh(other, Greedy(20)), session.Generate(other, Greedy(20), None));
    }

    [Fact]
    public void An_answer_cannot_go_on_once_another_has_begun()
    {
        using GenerationSession session = model.NewSession();
        PreparedPrompt prompt = Prompt([("user", "What is the opposite of wet?")], []);
        using IEnumerator<int> first = session.Generate(prompt, Greedy(20), None).GetEnumerator();
        Assert.True(first.MoveNext());

        Assert.NotEmpty(session.Generate(prompt, Greedy(20), None));

        Assert.Throws<InvalidOperationException>(() => first.MoveNext());
    }

    [Fact]
    public void A_prompt_that_fills_the_context_is_refused_and_a_shorter_one_stops_at_its_end()
    {
        PreparedPrompt prompt = Prompt([("user", "What is the opposite of wet?")], []);
        using GenerationSession full = new(model.Language, prompt.Ids.Count), tight = new(model.Language, prompt.Ids.Count + 3);

        Assert.Equal(prompt.Ids.Count, Assert.Throws<PromptTooLongException>(() => full.Generate(prompt, Greedy(20), None)).Context);
        Assert.Equal(Fresh(prompt, Greedy(3)), tight.Generate(prompt, Greedy(20), None));
    }

    private SamplingSettings Greedy(int most) => model.Defaults with { Temperature = 0, MaxTokens = most };

    private int[] Fresh(PreparedPrompt prompt, SamplingSettings settings) => [.. TokenGenerator.Run(model.Language, prompt, settings, model.Context, None)];

    private VisionInput Picture(string name) => model.ReadPicture(ImageDecoder.Load(PictureFixtures.Golden("tiny-glm4v", "images", name + ".png")));

    /// <summary>A conversation; pictures belong to its first message.</summary>
    private PreparedPrompt Prompt(List<(string Role, string Text)> turns, VisionInput[] pictures) => model.Prepare(
        JsonSerializer.SerializeToElement(turns.Select((turn, index) => new
        {
            role = turn.Role,
            content = index > 0 || pictures.Length == 0 ? (object)turn.Text : new object[] { new { type = "image" }, new { type = "text", text = turn.Text } },
        })),
        pictures);
}
