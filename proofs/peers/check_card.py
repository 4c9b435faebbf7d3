"""Checks a model card as the Hugging Face hub does, from its published rules, and writes out the program for transformers that it holds.

Usage: check_card.py CARD [PROGRAM]. Prints one line for each question; exits 1 where one is answered no.
"""
import re
import sys

from huggingface_hub import ModelCard

# The hub's lists, as far as language models and vision-language models need them.
RELATIONS = {"quantized", "finetune", "adapter", "merge"}
LICENSES = set("apache-2.0 mit openrail bsd bsd-2-clause bsd-3-clause cc cc0-1.0 cc-by-4.0 cc-by-sa-4.0 cc-by-nc-4.0 gpl-3.0 lgpl-3.0 agpl-3.0 mpl-2.0 llama2 llama3 llama3.1 gemma unknown other".split())
PIPELINES = {"text-generation", "image-text-to-text"}
LIBRARIES = {"transformers", "gguf"}
KNOWN = {"base_model", "base_model_relation", "library_name", "license", "license_name", "license_link", "pipeline_tag", "language", "tags", "quantized_by"}
REPOSITORY = re.compile(r"[A-Za-z0-9][\w.-]*/[A-Za-z0-9][\w.-]*")


def main() -> int:
    text = open(sys.argv[1], encoding="utf-8").read()
    card = ModelCard(text)  # parses as the hub's client does; broken metadata raise
    data = card.data.to_dict()
    questions = [
        ("front matter stands at the top", text.startswith("---\n")),
        ("every field is one the hub knows", set(data) <= KNOWN),
        ("base_model is a repository", isinstance(data.get("base_model"), str) and bool(REPOSITORY.fullmatch(data["base_model"]))),
        ("base_model_relation is one of the hub's", data.get("base_model_relation") in RELATIONS),
        ("license is an identifier of the hub", data.get("license") in LICENSES),
        ("a licence 'other' has name and link", data.get("license") != "other" or bool(data.get("license_name") and data.get("license_link"))),
        ("library_name is one of the hub's", data.get("library_name") in LIBRARIES),
        ("pipeline_tag is one of the hub's", data.get("pipeline_tag") in PIPELINES),
        ("language is a list of ISO 639 codes", all(isinstance(code, str) and re.fullmatch(r"[a-z]{2,3}", code) for code in data.get("language") or [])),
        ("tags are words", isinstance(data.get("tags"), list) and all(isinstance(tag, str) and tag for tag in data["tags"])),
        ("the client writes the same metadata again", ModelCard(str(card)).data.to_dict() == data),
    ]
    wrong = 0
    for question, answer in questions:
        print(f"{'yes' if answer else 'NO'}  {question}")
        wrong += not answer
    if len(sys.argv) > 2:
        programs = re.findall(r"```python\n(.*?)```", text, re.S)
        print(f"{'yes' if len(programs) == 1 else 'NO'}  one program for transformers")
        wrong += len(programs) != 1
        open(sys.argv[2], "w", encoding="utf-8").write(programs[0])
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
