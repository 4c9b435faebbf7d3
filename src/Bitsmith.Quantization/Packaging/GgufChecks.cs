using Bitsmith.Checkpoints;
using Bitsmith.Checkpoints.Gguf;
using Bitsmith.Models.Architectures;
using Bitsmith.Models.Weights;
using Bitsmith.Quantization.Mixes;

namespace Bitsmith.Quantization.Packaging;

/// <summary>What llama.cpp needs of a GGUF file's metadata, and what a user of it would stumble over.</summary>
internal static class GgufChecks
{
    private const string Tokens = "tokenizer.ggml.tokens", Template = "tokenizer.chat_template", Imatrix = "quantize.imatrix.file", Quantization = "general.quantization_version";

    /// <summary>Runs the checks.</summary>
    /// <param name="model">The file, open.</param>
    public static IReadOnlyList<CheckResult> Run(GgufModel model) => model.Metadata.Find("general.architecture") is { Content: "clip" }
        ? [FileType(model), Version(model)]
        : [Model(model), FileType(model), Version(model), Importance(model), Tokenizer(model), ChatTemplate(model)];

    /// <summary>The numbers are there, and every tensor that they ask for, in its shape.</summary>
    private static CheckResult Model(GgufModel model)
    {
        const string Name = "gguf-model";
        try
        {
            using ModelWeights weights = ModelWeights.Open(model.Files[0].Path);
            DecoderConfig config = DecoderConfig.Read(weights.Config);
            foreach (MappedWeight weight in WeightMap.Create(config, weights.Config.MtpLayers))
            {
                string? found = model.Find(weight.Gguf)?.Tensor.Describe();
                if (found is null ? !weight.IsOptional : !model.Find(weight.Gguf)!.Value.Tensor.Shape.SequenceEqual(weight.Shape))
                {
                    return new CheckResult(Name, Verdict.Fail, $"'{weight.Gguf}' is {found ?? "missing"}, the metadata imply [{string.Join(", ", weight.Shape)}]", "make the file again");
                }
            }

            return new CheckResult(Name, Verdict.Pass, $"{weights.Config.ModelType}, {config.NumHiddenLayers} layers: every tensor that the metadata imply is there, and no other");
        }
        catch (CheckpointException problem)
        {
            return new CheckResult(Name, Verdict.Fail, problem.Message, "make the file again");
        }
    }

    private static CheckResult FileType(GgufModel model)
    {
        const string Name = "gguf-file-type";
        long number = model.Metadata.Integer(GgufFileType.Key, -1);
        string types = string.Join(", ", model.Tensors.Where(tensor => tensor.Shape.Count > 1).GroupBy(tensor => tensor.Type.Name).OrderByDescending(type => type.Count()).Select(type => $"{type.Count()} {type.Key}"));
        return GgufFileType.NameOf(number) is not { } name
            ? new CheckResult(Name, Verdict.Warning, $"{GgufFileType.Key} is {(number < 0 ? "missing" : number)}: llama.cpp guesses what the file is. Its matrices are {types}")
            : GgufMix.TryParse(name, out GgufMix? mix) && !model.Tensors.Any(tensor => tensor.Type.Name == mix.Base.ToString())
            ? new CheckResult(Name, Verdict.Warning, $"{GgufFileType.Key} says {name}, but no tensor is {mix.Base}: {types}")
            : new CheckResult(Name, Verdict.Pass, $"{name}: {types}");
    }

    private static CheckResult Version(GgufModel model)
    {
        const string Name = "gguf-quantization-version";
        long version = model.Metadata.Integer(Quantization, -1);
        return version == 2 || !model.Tensors.Any(tensor => tensor.Type.BlockValues > 1)
            ? new CheckResult(Name, Verdict.Pass, version < 0 ? "not needed: no tensor is quantized" : $"{version}")
            : new CheckResult(Name, Verdict.Warning, $"{Quantization} is {(version < 0 ? "missing" : version)}, and tensors are quantized; llama.cpp writes 2");
    }

    private static CheckResult Importance(GgufModel model)
    {
        const string Name = "gguf-imatrix";
        string? needs = model.Tensors.Where(tensor => tensor.Type.Name is "IQ1_S" or "IQ1_M" or "IQ2_XXS" or "IQ2_XS" or "IQ2_S" or "IQ3_XXS").Select(tensor => $"{tensor.Name} is {tensor.Type.Name}").FirstOrDefault();
        return model.Metadata.Find(Imatrix) is { } file ? new CheckResult(Name, Verdict.Pass, $"made with {file}")
            : needs is null ? new CheckResult(Name, Verdict.Pass, "made without, and of no type that needs one")
            : new CheckResult(Name, Verdict.Warning, $"made without an importance matrix, or by a program that does not say so, although {needs}");
    }

    private static CheckResult Tokenizer(GgufModel model)
    {
        const string Name = "gguf-tokenizer";
        int? count = model.Metadata.Find(Tokens)?.Count;
        long? rows = model.Find("token_embd.weight")?.Tensor.Shape[0];
        if (count is null || count != rows)
        {
            return new CheckResult(Name, Verdict.Fail, $"{(count is null ? "no tokens" : $"{count} tokens")} for an embedding of {rows} rows", "make the file from a folder with its tokenizer");
        }

        try
        {
            Models.Text.Tokenizer tokenizer = Models.Text.Tokenizer.Load(model.Metadata, model.Files[0].Path);
            return model.Metadata.Find("tokenizer.ggml.eos_token_id") is null && model.Metadata.Find("tokenizer.ggml.eot_token_id") is null
                ? new CheckResult(Name, Verdict.Warning, "no token is said to end an answer: programs go on until the context is full")
                : new CheckResult(Name, Verdict.Pass, $"{count} tokens; a text comes back as it was: {tokenizer.Decode(tokenizer.Encode("Hello, world 123!"), skipSpecial: false)}");
        }
        catch (CheckpointException problem)
        {
            return new CheckResult(Name, Verdict.Fail, problem.Message, "make the file from a folder with its tokenizer");
        }
    }

    private static CheckResult ChatTemplate(GgufModel model) => model.Metadata.Find(Template) is { Content: string { Length: > 0 } text }
        ? new CheckResult("gguf-chat-template", Verdict.Pass, $"{text.Length} characters")
        : new CheckResult("gguf-chat-template", Verdict.Warning, "there is none: programs guess how to lay out a conversation");
}
