#!/usr/bin/env python3
"""The sample model's answers in transformers: greedy, with its own processor and chat template.

  sample_answers.py SAMPLES OUT.tsv --dtype float32|bfloat16|float16 [--attention sdpa|eager] [--questions 60] [--max-tokens 60]

SAMPLES holds glm-4.6v-mini, text/questions.jsonl and pictures/captions.jsonl. A line of OUT: question number or picture file, tab, answer.
"""
import argparse, json, os, sys
os.environ.setdefault("HF_HUB_OFFLINE", "1")
import torch, transformers
from PIL import Image
from transformers import AutoTokenizer, Glm4vForConditionalGeneration


def picture_processor(folder):
    """The picture half of the processor; the sample has no video to need the other."""
    from transformers.models.glm46v.image_processing_glm46v import Glm46VImageProcessor
    return Glm46VImageProcessor.from_pretrained(folder)


def lines(path):
    with open(path, encoding="utf-8") as file:
        return [json.loads(line) for line in file if line.strip()]


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("samples"), parser.add_argument("out")
    parser.add_argument("--dtype", choices=["float32", "bfloat16", "float16"], required=True)
    parser.add_argument("--attention", choices=["sdpa", "eager"], default="sdpa")
    parser.add_argument("--questions", type=int, default=60)
    parser.add_argument("--max-tokens", type=int, default=60)
    a = parser.parse_args()
    folder = os.path.join(a.samples, "glm-4.6v-mini")
    model = Glm4vForConditionalGeneration.from_pretrained(folder, dtype=getattr(torch, a.dtype), attn_implementation=a.attention).eval()
    tokenizer, pictures = AutoTokenizer.from_pretrained(folder), picture_processor(folder)
    with open(os.path.join(folder, "chat_template.jinja"), encoding="utf-8") as file:
        tokenizer.chat_template = file.read()
    with open(os.path.join(folder, "config.json"), encoding="utf-8") as file:
        config = json.load(file)
    stop = json.load(open(os.path.join(folder, "generation_config.json"), encoding="utf-8"))["eos_token_id"]

    def answer(question, picture=None):
        content = question if picture is None else [{"type": "image"}, {"type": "text", "text": question}]
        prompt = tokenizer.apply_chat_template([{"role": "user", "content": content}], tokenize=False, add_generation_prompt=True)
        inputs = {}
        if picture is not None:
            inputs = dict(pictures(images=[Image.open(picture).convert("RGB")], return_tensors="pt"))
            count = int(inputs["image_grid_thw"][0].prod()) // pictures.merge_size ** 2
            prompt = prompt.replace("<|image|>", "<|image|>" * count)
            inputs["pixel_values"] = inputs["pixel_values"].to(model.dtype)
        ids = torch.tensor([tokenizer(prompt, add_special_tokens=False)["input_ids"]])
        if picture is not None:
            inputs["mm_token_type_ids"] = (ids == config["image_token_id"]).long()
        with torch.no_grad():
            out = model.generate(input_ids=ids, attention_mask=torch.ones_like(ids), do_sample=False, temperature=None, top_p=None, min_p=None,
                                 max_new_tokens=a.max_tokens, eos_token_id=stop, pad_token_id=stop[0], **inputs)
        return tokenizer.decode(out[0, ids.shape[1]:], skip_special_tokens=True).strip().replace("\n", " ").replace("\t", " ")

    with open(a.out, "w", encoding="utf-8") as out:
        for number, line in enumerate(lines(os.path.join(a.samples, "text", "questions.jsonl"))[:a.questions]):
            out.write(f"{number}\t{answer(line['question'])}\n")
        for line in lines(os.path.join(a.samples, "pictures", "captions.jsonl")):
            out.write(f"{line['file']}\t{answer(line['question'], os.path.join(a.samples, 'pictures', line['file']))}\n")
    print(f"transformers {transformers.__version__}, torch {torch.__version__}, {a.dtype}, {a.attention} attention, {torch.get_num_threads()} threads")


if __name__ == "__main__":
    sys.exit(main())
