using System.Text;

namespace Bitsmith.Publishing.Cards;

/// <summary>How a release is run: commands and programs for the clients that read its container.</summary>
internal static class RunSections
{
    /// <summary>Writes the sections.</summary>
    /// <param name="text">The card.</param>
    /// <param name="files">The models of the release.</param>
    /// <param name="name">The repository.</param>
    /// <param name="seesImages">True for a model with a vision tower.</param>
    public static void Write(StringBuilder text, IReadOnlyList<ReleasedFile> files, string name, bool seesImages)
    {
        text.Append("## How to run it\n\n");
        if (files[0].IsGguf)
        {
            Gguf(text, files, name, seesImages);
        }
        else
        {
            Folder(text, name, seesImages);
        }
    }

    private static void Folder(StringBuilder text, string name, bool seesImages)
    {
        text.Append($"""
            ### vLLM

            ```sh
            vllm serve {name} --dtype bfloat16
            ```

            vLLM takes the quantization from `config.json`. This command follows from vLLM's source and was not run here.

            ### transformers (with compressed-tensors)

            ```python

            """);
        text.Append(seesImages ? $$"""
            import torch
            from transformers import AutoModelForImageTextToText, AutoProcessor

            MODEL = "{{name}}"
            processor = AutoProcessor.from_pretrained(MODEL)
            model = AutoModelForImageTextToText.from_pretrained(MODEL, dtype=torch.bfloat16, device_map="auto")
            messages = [{"role": "user", "content": [{"type": "text", "text": "What is the capital of France?"}]}]
            # A picture: add {"type": "image", "url": "picture.png"} before the text.
            inputs = processor.apply_chat_template(messages, add_generation_prompt=True, tokenize=True, return_dict=True, return_tensors="pt").to(model.device)
            output = model.generate(**inputs, max_new_tokens=256)
            print(processor.decode(output[0][inputs["input_ids"].shape[1]:], skip_special_tokens=True))

            """ : $$"""
            import torch
            from transformers import AutoModelForCausalLM, AutoTokenizer

            MODEL = "{{name}}"
            tokenizer = AutoTokenizer.from_pretrained(MODEL)
            model = AutoModelForCausalLM.from_pretrained(MODEL, dtype=torch.bfloat16, device_map="auto")
            messages = [{"role": "user", "content": "What is the capital of France?"}]
            inputs = tokenizer.apply_chat_template(messages, add_generation_prompt=True, return_dict=True, return_tensors="pt").to(model.device)
            output = model.generate(**inputs, max_new_tokens=256)
            print(tokenizer.decode(output[0][inputs["input_ids"].shape[1]:], skip_special_tokens=True))

            """);
        text.Append("```\n\n");
        Local(text, name[(name.LastIndexOf('/') + 1)..], seesImages, projector: null);
    }

    private static void Gguf(StringBuilder text, IReadOnlyList<ReleasedFile> files, string name, bool seesImages)
    {
        ReleasedFile model = files.FirstOrDefault(file => !file.IsProjector) ?? files[0];
        string? projector = files.FirstOrDefault(file => file.IsProjector)?.Name;
        string mmproj = projector is null ? string.Empty : $" --mmproj {projector}";
        text.Append($"""
            ### llama.cpp

            ```sh
            llama-cli -m {model.Name} -p "What is the capital of France?"
            llama-server -m {model.Name}{mmproj} --port 8080
            ```


            """);
        if (seesImages && projector is null)
        {
            text.Append("For pictures llama.cpp needs the vision tower as a file of its own (`--mmproj`), which is not part of this release.\n\n");
        }

        Local(text, model.Name, seesImages && projector is not null, projector);
    }

    private static void Local(StringBuilder text, string model, bool seesImages, string? projector)
    {
        text.Append($"### Bitsmith (CPU)\n\n```sh\nbitsmith run {model} -p \"What is the capital of France?\"\n");
        if (seesImages)
        {
            text.Append($"bitsmith run {model}{(projector is null ? string.Empty : $" --mmproj {projector}")} -p \"Describe this image.\" --image picture.png\n");
        }

        text.Append("```\n\n");
    }
}
