"""Tokens of conversations as recipes for llm-compressor make them: chat_tokens.py MODEL CHATS.jsonl MAX_LENGTH OUT.jsonl"""
import json
import sys

from transformers import AutoTokenizer

model, chats, max_length, out = sys.argv[1], sys.argv[2], int(sys.argv[3]), sys.argv[4]
tokenizer = AutoTokenizer.from_pretrained(model)
with open(chats, encoding="utf-8") as rows, open(out, "w", encoding="utf-8") as result:
    for row in rows:
        text = tokenizer.apply_chat_template(json.loads(row)["messages"], tokenize=False)
        ids = tokenizer(text, max_length=max_length, truncation=True, padding=False, add_special_tokens=False)["input_ids"]
        result.write(json.dumps({"input_ids": ids}) + "\n")
