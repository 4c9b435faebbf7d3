using System.Text.Json;
using Bitsmith.Checkpoints.Json;

namespace Bitsmith.Quantization.Packaging;

/// <summary>Pictures: AutoProcessor finds the processor by the class names in preprocessor_config.json.</summary>
internal sealed class ProcessorTypeCheck : IPackagingCheck
{
    private const string File = "preprocessor_config.json", TypeKey = "image_processor_type", ClassKey = "processor_class";

    private static readonly string[] Known =
        ["Glm4vImageProcessor", "Glm4vImageProcessorFast", "Glm46VImageProcessor", "Glm46VImageProcessorFast"];

    public string Name => "processor-type";

    public CheckResult Run(Package package, bool fix)
    {
        if (!package.Modules.HasVision)
        {
            return new CheckResult(Name, Verdict.Pass, "text only: no processor is needed");
        }

        if (package.Json(File) is not { } text)
        {
            return new CheckResult(Name, Verdict.Fail, $"the folder has no {File}: no client can prepare pictures", "take the file from the original model");
        }

        string? type = Text(text, TypeKey);
        if (type is null || !Known.Contains(type))
        {
            string evidence = type is null ? $"{File} has no {TypeKey}" : $"{TypeKey} '{type}' is not known to transformers 5";
            if (type is not null || !fix)
            {
                return new CheckResult(Name, Verdict.Fail, evidence, $"one of {string.Join(", ", Known)}");
            }

            package.Edit(File, text.With([TypeKey], "\"Glm4vImageProcessor\""));
            return new CheckResult(Name, Verdict.Fixed, evidence, "set to Glm4vImageProcessor");
        }

        bool is46 = type.StartsWith("Glm46V", StringComparison.Ordinal);
        string since = is46 ? "transformers 5 knows it; 4.57 does not, there AutoProcessor returns only a tokenizer" : "transformers 4.54 and later know it";
        if (is46 && Text(text, ClassKey) is null)
        {
            string evidence = $"{TypeKey} {type} without {ClassKey}: transformers picks Glm4vProcessor for this model type, which writes other time stamps into video prompts";
            if (!fix)
            {
                return new CheckResult(Name, Verdict.Fail, evidence, "processor_class Glm46VProcessor");
            }

            package.Edit(File, text.With([ClassKey], "\"Glm46VProcessor\""));
            return new CheckResult(Name, Verdict.Fixed, evidence, "processor_class set to Glm46VProcessor");
        }

        return new CheckResult(Name, Verdict.Pass, $"{TypeKey} {type}: {since}");
    }

    private static string? Text(JsonText text, string key) => text.Get(key) is { ValueKind: JsonValueKind.String } value ? value.GetString() : null;
}

/// <summary>The model's <c>generate()</c> refuses token_type_ids; older transformers emit them unless tokenizer_config.json says which inputs there are.</summary>
internal sealed class TokenTypeIdsCheck : IPackagingCheck
{
    private const string File = "tokenizer_config.json", Key = "model_input_names", Wanted = "[\n  \"input_ids\",\n  \"attention_mask\"\n]";

    public string Name => "token-type-ids";

    public CheckResult Run(Package package, bool fix)
    {
        if (package.Json(File) is not { } text)
        {
            return new CheckResult(Name, Verdict.Warning, $"the folder has no {File}; whoever adds a tokenizer decides its inputs");
        }

        string[]? names = text.Get(Key) is { ValueKind: JsonValueKind.Array } value ? [.. value.EnumerateArray().Select(item => item.ToString())] : null;
        if (names is not null && !names.Contains("token_type_ids"))
        {
            return new CheckResult(Name, Verdict.Pass, $"{Key} is {string.Join(", ", names)}");
        }

        string evidence = names is null
            ? $"{File} has no {Key}: transformers 4 then emits token_type_ids, which generate() refuses; 5 does not"
            : $"{Key} lists token_type_ids, which generate() refuses";
        if (!fix)
        {
            return new CheckResult(Name, names is null ? Verdict.Warning : Verdict.Fail, evidence, "model_input_names: input_ids, attention_mask");
        }

        package.Edit(File, text.With([Key], Wanted));
        return new CheckResult(Name, Verdict.Fixed, evidence, "model_input_names set to input_ids, attention_mask");
    }
}
