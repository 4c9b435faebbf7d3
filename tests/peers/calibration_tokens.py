#!/usr/bin/env python3
"""Write calibration samples as token ids, one JSON list of lists, so that every method can be given the very same data.

  calibration_tokens.py MODEL_DIR -o TOKENS.json --text calibration.txt --chats chats.jsonl [--num-samples 128] [--max-length 512]
                        [--chat-share 0.25] [--seed 1]

A text sample is a window of exactly --max-length tokens at a random place of the text. A chat sample is a random line's `messages`,
rendered with the model's template, cut after --max-length tokens, without padding. No windows overlap and no chat comes twice.
"""
import argparse, json, os, random
os.environ.setdefault("HF_HUB_OFFLINE", "1")
from transformers import AutoTokenizer


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("model")
    parser.add_argument("-o", "--output", required=True)
    parser.add_argument("--text", required=True)
    parser.add_argument("--chats", required=True)
    parser.add_argument("--num-samples", type=int, default=128)
    parser.add_argument("--max-length", type=int, default=512)
    parser.add_argument("--chat-share", type=float, default=0.25)
    parser.add_argument("--seed", type=int, default=1)
    args = parser.parse_args()
    tokenizer = AutoTokenizer.from_pretrained(args.model)
    choice = random.Random(args.seed)
    chats = round(args.num_samples * args.chat_share)

    with open(args.text, encoding="utf-8") as file:
        ids = tokenizer(file.read(), add_special_tokens=False, verbose=False)["input_ids"]
    windows = len(ids) // args.max_length
    texts = args.num_samples - chats
    if texts > windows:
        parser.error(f"--text has {windows} windows of {args.max_length} tokens, {texts} are needed")
    shift = choice.randrange(len(ids) - windows * args.max_length + 1)
    samples = [ids[shift + k * args.max_length:shift + (k + 1) * args.max_length] for k in choice.sample(range(windows), texts)]

    with open(args.chats, encoding="utf-8") as file:
        lines = [line for line in file if line.strip()]
    if chats > len(lines):
        parser.error(f"--chats has {len(lines)} lines, {chats} are needed")
    for line in choice.sample(lines, chats):
        text = tokenizer.apply_chat_template(json.loads(line)["messages"], tokenize=False)
        samples.append(tokenizer(text, add_special_tokens=False)["input_ids"][:args.max_length])
    choice.shuffle(samples)
    with open(args.output, "w", encoding="utf-8") as file:
        json.dump(samples, file)
    print(f"{len(samples)} samples, {sum(map(len, samples))} tokens, {chats} of them chats, seed {args.seed}")


if __name__ == "__main__":
    main()
