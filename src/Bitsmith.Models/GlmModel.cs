using System.Text.Json;
using Bitsmith.Checkpoints;
using Bitsmith.Models.Generation;
using Bitsmith.Models.Images;
using Bitsmith.Models.Images.Preprocessing;
using Bitsmith.Models.Text;
using Bitsmith.Models.Text.Templates;
using Bitsmith.Models.Vision;
using Bitsmith.Models.Weights;
using Bitsmith.Tensors.ElementTypes;
using Bitsmith.Tensors.Matrices;

namespace Bitsmith.Models;

/// <summary>
/// A model ready to answer: weights, tokenizer, chat template, image processor and sampling defaults. Thread-safe; each answer or session has its own state.
/// </summary>
public sealed class GlmModel : IDisposable
{
    private readonly ModelWeights weights;
    private readonly ModelParts parts;
    private readonly VisionReader? vision;

    private GlmModel(ModelWeights weights, ComputeOptions compute, bool exactActivations)
    {
        this.weights = weights;
        Language = LanguageModel.Create(weights, compute, exactActivations);
        parts = ModelParts.Of(weights);
        vision = VisionTower.Create(weights, compute) is { } tower ? new VisionReader(tower, parts.Pictures!, parts.Processors) : null;
        (Tokenizer, Template, Defaults) = (parts.Tokenizer, parts.Template, parts.Defaults);
        RequireTokens();
    }

    /// <summary>The language model.</summary>
    public LanguageModel Language { get; }

    /// <summary>The tokenizer.</summary>
    public Tokenizer Tokenizer { get; }

    /// <summary>The chat template.</summary>
    public ChatTemplate Template { get; }

    /// <summary>generation_config.json; of a GGUF file what its metadata say.</summary>
    public SamplingSettings Defaults { get; }

    /// <summary>Longest prompt and answer together.</summary>
    public int Context => Language.Config.MaxPositionEmbeddings;

    /// <summary>True where the model reads pictures.</summary>
    public bool HasVision => vision is not null;

    /// <summary>Opens a model.</summary>
    /// <param name="path">A Hugging Face folder, original or FP8 blocks, or a GGUF file.</param>
    /// <param name="compute">Threads and kernels; null for the defaults.</param>
    /// <param name="exactActivations">Inputs stay exact where the scheme quantizes them at run time.</param>
    /// <param name="mmproj">The file with the vision tower that belongs to a GGUF file; null for none.</param>
    /// <exception cref="CheckpointException">The model is incomplete or cannot be run; the message says why.</exception>
    public static GlmModel Open(string path, ComputeOptions? compute = null, bool exactActivations = false, string? mmproj = null)
    {
        ModelWeights weights = ModelWeights.Open(path, mmproj);
        try
        {
            return new GlmModel(weights, compute ?? ComputeOptions.Default, exactActivations);
        }
        catch
        {
            weights.Dispose();
            throw;
        }
    }

    /// <summary>Makes a picture ready for this model. It may be used in several prompts.</summary>
    /// <exception cref="ImageException">The model cannot look at it.</exception>
    public VisionInput ReadPicture(RgbImage picture)
    {
        ArgumentNullException.ThrowIfNull(picture);
        return Vision(picture.Source).Read(picture);
    }

    /// <summary>Reads those frames of a video that the model's processor takes, and makes them ready for this model. The result may be used in several prompts.</summary>
    /// <exception cref="ImageException">The model cannot look at it, or a frame cannot be used.</exception>
    public VisionInput ReadVideo(VideoFrames video)
    {
        ArgumentNullException.ThrowIfNull(video);
        return Vision(video.Source).Read(video);
    }

    /// <summary>Renders a conversation with the model's template and makes it ready to run.</summary>
    /// <param name="messages">An array of messages in OpenAI's form; pictures are parts of type <c>image</c>, videos of type <c>video</c>.</param>
    /// <param name="inputs">The pictures in the order of their parts, and the videos in the order of theirs.</param>
    /// <param name="templateArguments">Further variables of the template, for example <c>enable_thinking</c>.</param>
    /// <exception cref="TemplateException">The template refuses the conversation.</exception>
    /// <exception cref="ArgumentException">There is another number of pictures or videos than of parts.</exception>
    public PreparedPrompt Prepare(JsonElement messages, IReadOnlyList<VisionInput> inputs, IReadOnlyDictionary<string, JsonElement>? templateArguments = null)
    {
        ArgumentNullException.ThrowIfNull(inputs);
        string prompt = Template.RenderChat(messages, null, addGenerationPrompt: true, templateArguments ?? new Dictionary<string, JsonElement>());
        if (vision is null)
        {
            return inputs.Count == 0 ? PreparedPrompt.OfTokens(Tokenizer.Encode(prompt)) : throw new ArgumentException($"{weights.Path} is a text model.", nameof(inputs));
        }

        VisionInput[] pictures = [.. inputs.Where(input => input.Kind == TokenModality.Image)], videos = [.. inputs.Where(input => input.Kind == TokenModality.Video)];
        VisionGrid[] grids = [.. pictures.Select(picture => picture.Grid)];
        int[] ids = Tokenizer.Encode(VisionPlaceholders.Expand(prompt, grids, [.. videos.Select(video => new VideoPlace(video.Grid, video.Times))], vision.MergeSize, vision.Prompt));
        TokenModality[] modalities = VisionPlaceholders.Modalities(ids, TokenId("image_token_id"), TokenId("video_start_token_id"), TokenId("video_end_token_id"));
        VisionPositions positions = VisionPositions.Compute(modalities, grids, [.. videos.Select(video => video.Grid)], vision.MergeSize);
        return new PreparedPrompt(
            ids,
            Runs(modalities, [.. pictures.SelectMany(picture => picture.Parts)], [.. videos.SelectMany(video => video.Parts)]),
            [positions.Time.ToArray(), positions.Height.ToArray(), positions.Width.ToArray()],
            positions.RopeDelta);
    }

    /// <summary>Starts a conversation, whose turns need not be run again.</summary>
    /// <param name="cacheType">What keys and values are stored as: F32, BF16, F16 or F8_E4M3.</param>
    /// <exception cref="ArgumentException">The type is none of the four.</exception>
    public GenerationSession NewSession(ElementType cacheType = ElementType.F32) => new(Language, Context, cacheType);

    /// <summary>Answers once, piece by piece; special tokens are not shown.</summary>
    /// <param name="prompt">From <see cref="Prepare"/>.</param>
    /// <param name="settings">How tokens are chosen.</param>
    /// <param name="cancellationToken">Stops between tokens.</param>
    /// <exception cref="PromptTooLongException">The prompt leaves no room for an answer.</exception>
    public IEnumerable<string> Answer(PreparedPrompt prompt, SamplingSettings settings, CancellationToken cancellationToken)
    {
        using GenerationSession session = NewSession();
        foreach (string piece in Answer(session, prompt, settings, cancellationToken))
        {
            yield return piece;
        }
    }

    /// <summary>Answers in a conversation, piece by piece; special tokens are not shown.</summary>
    /// <param name="session">From <see cref="NewSession"/>.</param>
    /// <param name="prompt">The whole conversation, from <see cref="Prepare"/>.</param>
    /// <param name="settings">How tokens are chosen.</param>
    /// <param name="cancellationToken">Stops between tokens; the session stays usable.</param>
    /// <exception cref="PromptTooLongException">The prompt leaves no room for an answer.</exception>
    public IEnumerable<string> Answer(GenerationSession session, PreparedPrompt prompt, SamplingSettings settings, CancellationToken cancellationToken)
    {
        ArgumentNullException.ThrowIfNull(session);
        ArgumentNullException.ThrowIfNull(settings);
        StreamingDecoder decoder = new(Tokenizer);
        StopStringFilter filter = new(settings.StopStrings);
        foreach (int token in session.Generate(prompt, settings, cancellationToken))
        {
            string piece = filter.Add(decoder.Append(token));
            if (piece.Length > 0)
            {
                yield return piece;
            }

            if (filter.IsStopped)
            {
                yield break;
            }
        }

        string rest = filter.Add(decoder.Flush()) + filter.Flush();
        if (rest.Length > 0)
        {
            yield return rest;
        }
    }

    /// <inheritdoc/>
    public void Dispose() => weights.Dispose();

    private VisionReader Vision(string source) => vision ?? throw new ImageException(source, ImageProblem.Unsuitable, $"{weights.Path} is a text model, which cannot look at pictures. Leave the picture out, or take a vision model such as GLM-4.6V-Flash.");

    /// <summary>Puts pictures and frame pairs behind each other as the placeholders stand in the prompt.</summary>
    private static List<VisionRun> Runs(TokenModality[] modalities, VisionPart[] pictures, VisionPart[] pairs)
    {
        List<VisionRun> runs = [];
        int picture = 0, pair = 0;
        for (int token = 0; token < modalities.Length; token = runs.Count > 0 && runs[^1].End > token ? runs[^1].End : token + 1)
        {
            if (modalities[token] != TokenModality.Text)
            {
                runs.Add(new VisionRun(token, modalities[token] == TokenModality.Image ? pictures[picture++] : pairs[pair++]));
            }
        }

        return runs;
    }

    /// <summary>What the template and config.json take for one token is one in tokenizer.json.</summary>
    private void RequireTokens()
    {
        string file = parts.TokenizerSource;
        foreach (string marker in Template.Markers)
        {
            if (Tokenizer.Encode(marker).Length != 1)
            {
                throw new CheckpointException(
                    file, $"has no token '{marker}', which the chat template ({Template.Name}) writes. The model would read it as ordinary text; take both files from the same revision of the model.");
            }
        }

        if (vision is not null && TokenId("image_token_id") is int id && Tokenizer.IdOf(VisionPlaceholders.Image) != id)
        {
            throw new CheckpointException(
                file, $"has {(Tokenizer.IdOf(VisionPlaceholders.Image) is int found ? $"'{VisionPlaceholders.Image}' as token {found}" : $"no token '{VisionPlaceholders.Image}'")}, expected it as token {id}, the image_token_id of config.json. The tokenizer belongs to another model.");
        }
    }

    private int TokenId(string key) => weights.Config.Text.Get(key) is { ValueKind: JsonValueKind.Number } value && value.TryGetInt32(out int id)
        ? id
        : throw new CheckpointException(weights.Config.Text.Path, $"has no '{key}', which a model that reads pictures needs.");
}
