#!/usr/bin/env python3
"""What other programs find in a GGUF file.

  check_gguf.py dump FILE.gguf OUT.json               the gguf package's reading: metadata with types, tensors with types, shapes, offsets and SHA-256
  check_gguf.py logits FILE.gguf MODEL_DIR [--seed N] [--bound B]
                                                      llama.cpp on the file against transformers on the checkpoint that it was made from
  check_gguf.py quantize FILE.gguf OUT.gguf TYPE      llama-quantize's result
  check_gguf.py tokens FILE.gguf TEXT_FILE            the ids that llama.cpp cuts a text into, as JSON
  check_gguf.py captions FILE.gguf MMPROJ.gguf PICTURE...
                                                      llama.cpp's descriptions of pictures, as JSON
  check_gguf.py probabilities JOBS.json OUT           llama.cpp's log-probabilities of the next token, in binary32, job after job, prompt after prompt. A job is
                                                      {"file": F, "vocabulary": N, "prompts": [...], "mmproj": F, "quantize": {"source": F, "type": T, "head": T}}; a prompt is a
                                                      list of ids, or {"prompt_string": text with <__media__>, "multimodal_data": [base64]}; with 'quantize'
                                                      llama-quantize first makes the file, every matrix of the type but those of the head's, by a random importance
                                                      matrix
"""
import argparse, base64, hashlib, json, os, random, struct, subprocess, sys, tempfile
os.environ.setdefault("HF_HUB_OFFLINE", "1")
import gguf
import random_imatrix
from glm4_gguf import config_of
from llama_server import next_token, serve

# Nothing rounded that need not be. Repacked kernels round inputs differently: they differ from llama.cpp's own others by as much as one rounding does.
# One thread: two wait for each other longer than these small models compute.
PLAIN = ["-ctk", "f32", "-ctv", "f32", "-fa", "off", "--no-repack", "-t", "1", "--no-warmup", "-fit", "off"]


def value_of(field):
    kind, *rest = [t.name for t in field.types]
    value = field.contents()
    # 'repr' keeps every bit of a number.
    return {"types": [kind, *rest], "value": value if isinstance(value, str) or (isinstance(value, list) and value and isinstance(value[0], str)) else repr(value)}


def dump(file, out):
    reader = gguf.GGUFReader(file)
    fields = {name: value_of(field) for name, field in reader.fields.items() if not name.startswith("GGUF.")}
    tensors = [{"name": t.name, "type": t.tensor_type.name, "shape": [int(n) for n in reversed(t.shape)], "offset": int(t.data_offset), "bytes": int(t.n_bytes),
                "sha256": hashlib.sha256(t.data.tobytes()).hexdigest()} for t in reader.tensors]
    with open(out, "w", encoding="utf-8") as target:
        json.dump({"fields": fields, "tensors": tensors, "alignment": reader.alignment}, target, ensure_ascii=False, indent=1)
    return 0


def quantize(file, out, kind):
    run = subprocess.run(["llama-quantize", file, out, kind, "2"], capture_output=True, text=True)
    print(run.stderr[-1000:])
    return run.returncode


def logits(file, folder, seed, bound):
    import torch
    from transformers import AutoModelForCausalLM, AutoModelForImageTextToText
    config = config_of(folder)
    text = config.get("text_config", config)
    vocabulary, draw = text["vocab_size"], random.Random(seed)
    # The last tokens of vision models stand for pictures.
    prompts = [[draw.randrange(vocabulary - (64 if "vision_config" in config else 0)) for _ in range(length)] for length in (2, 9, 33, 120)]
    loader = AutoModelForImageTextToText if "vision_config" in config else AutoModelForCausalLM
    model = loader.from_pretrained(folder, dtype=torch.float32).eval()
    with torch.no_grad():
        expected = [model(input_ids=torch.tensor([prompt])).logits[0, -1].log_softmax(-1) for prompt in prompts]
    tokens = gguf.GGUFReader(file).fields["tokenizer.ggml.tokens"].contents()
    answers = next_token(file, prompts, vocabulary, tokens.index("A"), PLAIN)
    divergences = [float((p.exp() * (p - torch.tensor(q))).sum()) for p, q in zip(expected, answers)]
    worst = max(divergences)
    print(f"llama.cpp on {os.path.basename(file)} against transformers in float32: KL divergence at most {worst:.2e} ({len(prompts)} prompts of 2 to 120 random tokens)")
    return 0 if worst <= bound else 1


def llama_quantize(source, type, head, out, seed):
    with tempfile.TemporaryDirectory() as work:
        imatrix = os.path.join(work, "imatrix.gguf")
        random_imatrix.write(source, imatrix, seed, embeddings=True)
        # Where a row is no multiple of the block llama-quantize itself takes another type.
        run = subprocess.run(["llama-quantize", "--imatrix", imatrix, "--tensor-type", f"weight={type}", "--token-embedding-type", head, "--output-tensor-type", head, source, out, "Q8_0"],
                             capture_output=True, text=True)
    if run.returncode != 0:
        sys.exit(f"llama-quantize to {type} failed: {run.stderr[-1500:]}")


def probabilities(jobs, out, seed):
    with open(jobs, encoding="utf-8") as source:
        work = json.load(source)
    with open(out, "wb") as target:
        for job in work:
            if "quantize" in job:
                llama_quantize(job["quantize"]["source"], job["quantize"]["type"], job["quantize"]["head"], job["file"], seed)
            tokens = gguf.GGUFReader(job["file"]).fields["tokenizer.ggml.tokens"].contents()
            options = [*PLAIN, *(["--mmproj", job["mmproj"]] if job.get("mmproj") else [])]
            for answer in next_token(job["file"], job["prompts"], job["vocabulary"], tokens.index("A"), options):
                target.write(struct.pack(f"<{len(answer)}f", *answer))
    return 0


def tokens(file, text):
    run = subprocess.run(["llama-tokenize", "-m", file, "-f", text, "--ids", "--no-bos", "--log-disable"], capture_output=True, text=True)
    print(run.stdout.strip() if run.returncode == 0 else run.stderr[-2000:])
    return run.returncode


def captions(file, mmproj, pictures):
    answers = []
    with serve(file, ["--mmproj", mmproj, "-c", "2048", "--jinja"]) as ask:
        for picture in pictures:
            with open(picture, "rb") as source:
                url = "data:image/png;base64," + base64.b64encode(source.read()).decode()
            content = [{"type": "image_url", "image_url": {"url": url}}, {"type": "text", "text": "Describe this image."}]
            answer = ask("/v1/chat/completions", {"messages": [{"role": "user", "content": content}], "temperature": 0, "max_tokens": 40})
            answers.append(answer["choices"][0]["message"]["content"].strip())
    print(json.dumps(answers))
    return 0


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("task", choices=["dump", "logits", "quantize", "tokens", "captions", "probabilities"])
    parser.add_argument("file")
    parser.add_argument("other")
    parser.add_argument("pictures", nargs="*")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--bound", type=float, default=1e-5)
    a = parser.parse_args()
    if a.task == "dump":
        return dump(a.file, a.other)
    if a.task == "probabilities":
        return probabilities(a.file, a.other, a.seed)
    if a.task == "quantize":
        return quantize(a.file, a.other, a.pictures[0])
    if a.task == "tokens":
        return tokens(a.file, a.other)
    return captions(a.file, a.other, a.pictures) if a.task == "captions" else logits(a.file, a.other, a.seed, a.bound)


if __name__ == "__main__":
    sys.exit(main())
