#!/usr/bin/env python3
"""A Glm4ForCausalLM checkpoint in bfloat16 as a BF16 GGUF file for llama.cpp, and a comparison of the two programs on it.

  glm4_gguf.py write MODEL_DIR OUT.gguf             the same weights: matrices in BF16, norms and biases in F32
  glm4_gguf.py check MODEL_DIR [--seed N]           llama.cpp on such a file against transformers on MODEL_DIR, on random tokens

The token table is a stand-in (bytes and placeholders): programs that are given token ids do not look at it. 'check' also tries q and k with
rows in the order of the other rotary form; it must be clearly worse, or the comparison shows nothing. Exit code 1 where llama.cpp differs.
"""
import argparse, json, os, random, sys, tempfile
os.environ.setdefault("HF_HUB_OFFLINE", "1")
import gguf, torch
from gguf import GGMLQuantizationType, MODEL_ARCH, TokenType, get_tensor_name_map
from safetensors import safe_open
from llama_server import next_token

MOST_DIVERGENCE, LEAST_CONTROL = 2e-3, 10


def config_of(folder):
    with open(os.path.join(folder, "config.json"), encoding="utf-8") as file:
        return json.load(file)


def token_table(size):
    """ASCII's bytes by GPT-2's letters, then placeholders: a token that is no whole character would be held back by the server."""
    letters = [chr(b) if 0x20 < b < 0x7F else chr(0x100 + (b if b <= 0x20 else 0x21)) for b in range(128)]
    return letters[:size] + [f"[PAD{i}]" for i in range(128, size)], [TokenType.NORMAL] * min(size, 128) + [TokenType.UNUSED] * max(0, size - 128)


def halves_to_pairs(rows, heads, rotary):
    """Rows of each head's rotary part, halves woven into pairs: the wrong order for this model."""
    head = rows.view(heads, -1, *rows.shape[1:])
    part = head[:, :rotary]
    woven = torch.stack([part[:, :rotary // 2], part[:, rotary // 2:]], 2).reshape(part.shape)
    return torch.cat([woven, head[:, rotary:]], 1).reshape(rows.shape)


def write(folder, out, weave=False):
    config = config_of(folder)
    layers, head = config["num_hidden_layers"], config["head_dim"]
    rotary = int(head * config["partial_rotary_factor"])
    writer = gguf.GGUFWriter(out, "glm4")
    writer.add_type("model")
    writer.add_name(os.path.basename(os.path.normpath(folder)))
    writer.add_block_count(layers)
    writer.add_context_length(config["max_position_embeddings"])
    writer.add_embedding_length(config["hidden_size"])
    writer.add_feed_forward_length(config["intermediate_size"])
    writer.add_head_count(config["num_attention_heads"])
    writer.add_head_count_kv(config["num_key_value_heads"])
    writer.add_key_length(head)
    writer.add_value_length(head)
    writer.add_layer_norm_rms_eps(config["rms_norm_eps"])
    writer.add_rope_freq_base(config["rope_theta"])
    writer.add_rope_dimension_count(rotary)
    writer.add_vocab_size(config["vocab_size"])
    writer.add_file_type(gguf.LlamaFileType.MOSTLY_BF16)
    writer.add_quantization_version(gguf.GGML_QUANT_VERSION)
    tokens, types = token_table(config["vocab_size"])
    writer.add_tokenizer_model("gpt2")
    writer.add_tokenizer_pre("glm4")
    writer.add_token_list(tokens)
    writer.add_token_types(types)
    writer.add_token_merges([f"{tokens[0]} {tokens[1]}"])
    writer.add_eos_token_id(0)

    names = get_tensor_name_map(MODEL_ARCH.GLM4, layers)
    for file in sorted(name for name in os.listdir(folder) if name.endswith(".safetensors")):
        with safe_open(os.path.join(folder, file), "pt") as data:
            for name in data.keys():
                tensor = data.get_tensor(name)
                if weave and ("q_proj" in name or "k_proj" in name):
                    tensor = halves_to_pairs(tensor, config["num_attention_heads" if "q_proj" in name else "num_key_value_heads"], rotary)
                found = names.get_name(name, try_suffixes=(".weight", ".bias"))
                if tensor.ndim == 1:
                    writer.add_tensor(found, tensor.float().numpy())
                else:
                    assert tensor.dtype == torch.bfloat16, f"{name} is {tensor.dtype}, expected bfloat16"
                    writer.add_tensor(found, tensor.contiguous().view(torch.uint8).numpy(), raw_dtype=GGMLQuantizationType.BF16)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


def check(folder, seed):
    from transformers import AutoModelForCausalLM
    vocabulary, draw = config_of(folder)["vocab_size"], random.Random(seed)
    prompts = [[draw.randrange(vocabulary) for _ in range(length)] for length in (2, 9, 33, 120)]
    model = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32).eval()
    with torch.no_grad():
        expected = [model(torch.tensor([prompt])).logits[0, -1].log_softmax(-1) for prompt in prompts]
    means = {}
    with tempfile.TemporaryDirectory() as work:
        for weave in (False, True):
            file = os.path.join(work, "model.gguf")
            write(folder, file, weave)
            divergences = [float((p.exp() * (p - torch.tensor(q))).sum()) for p, q in zip(expected, next_token(file, prompts, vocabulary))]
            means[weave] = sum(divergences) / len(divergences)
            what = "rows in the other rotary order" if weave else "rows as in the checkpoint"
            print(f"llama.cpp against transformers in float32, {what}: KL divergence {means[weave]:.2e} (mean of {len(prompts)} prompts of 2 to 120 random tokens)")
    return 0 if means[False] <= MOST_DIVERGENCE and means[True] >= LEAST_CONTROL * means[False] else 1


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("task", choices=["write", "check"])
    parser.add_argument("model")
    parser.add_argument("out", nargs="?")
    parser.add_argument("--seed", type=int, default=1)
    a = parser.parse_args()
    if (a.task == "write") != (a.out is not None):
        parser.error("'write' takes OUT.gguf, 'check' does not")
    return check(a.model, a.seed) if a.task == "check" else write(a.model, a.out)


if __name__ == "__main__":
    sys.exit(main())
