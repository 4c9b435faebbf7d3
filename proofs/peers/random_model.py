#!/usr/bin/env python3
"""A checkpoint with random weights, built and written by transformers.

  random_model.py CONFIG_DIR OUT --widths round|odd [--seed N]

CONFIG_DIR gives the architecture; the widths are replaced. round: every matrix has rows of a multiple of 256 weights, so that every GGUF type can be stored as it is. odd: rows
are multiples of 64, but of no greater power of two, as the widths of published models are. Weights are large enough for the next token to be far from uniform. A mixture of experts gets an MTP layer, which transformers itself leaves out.
"""
import argparse, json, os, sys
os.environ.setdefault("HF_HUB_OFFLINE", "1")
import torch
from safetensors import safe_open
from safetensors.torch import save_file
from transformers import AutoConfig, AutoModelForCausalLM, AutoModelForImageTextToText

WIDTHS = {
    "round": {"hidden_size": 256, "intermediate_size": 512, "moe_intermediate_size": 256, "num_attention_heads": 4, "num_key_value_heads": 2, "head_dim": 64, "mrope_section": [4, 6, 6]},
    "odd": {"hidden_size": 192, "intermediate_size": 320, "moe_intermediate_size": 192, "num_attention_heads": 6, "num_key_value_heads": 2, "head_dim": 32, "mrope_section": [2, 3, 3]},
}

# What a layer adds is small beside what it adds to, as in models of many layers; an expert adds less still, for where two experts score alike a rounding decides between them, and all that it adds changes.
GAINS = {"lm_head": 0.5, ".experts.down_proj": 0.06, "o_proj": 0.25, "down_proj": 0.25, "post_self_attn_layernorm": 0.25, "post_mlp_layernorm": 0.25}


def widen(config, widths):
    text = config.get("text_config", config)
    for key in ("hidden_size", "intermediate_size", "num_attention_heads", "num_key_value_heads"):
        text[key] = widths[key]
    for key in ("moe_intermediate_size", "head_dim"):
        if key in text:
            text[key] = widths[key]
    for rotary in (text.get("rope_parameters"), text.get("rope_scaling")):
        if rotary and "mrope_section" in rotary:
            rotary["mrope_section"] = widths["mrope_section"]
    if "vision_config" in config:
        config["vision_config"]["out_hidden_size"] = widths["hidden_size"]
        config["vision_config"]["intermediate_size"] = widths["intermediate_size"]
    return text


def draw(name, tensor, random):
    noise = torch.randn(tensor.shape, generator=random)
    gain = next((gain for part, gain in GAINS.items() if part in name), 1)
    if name.endswith("e_score_correction_bias"):
        return noise * 0.05
    if tensor.ndim == 1:
        return gain * (1 + 0.2 * noise) if "norm" in name and name.endswith("weight") else 0.1 * noise
    if "embed_tokens" in name:
        return noise
    # Rows of a Linear give outputs of the size of its inputs; some columns count far more than others, as in real models.
    columns = tensor.shape[-1]
    outliers = torch.exp(0.5 * torch.randn(columns, generator=random)) if tensor.ndim == 2 else 1
    return noise * outliers * (tensor[0].numel() if tensor.ndim > 2 and "experts" not in name else columns) ** -0.5 * gain


def mtp_layer(folder, layer, random):
    """Tensors of the layer after the last, in the shapes of the last, and the four that only it has."""
    file = os.path.join(folder, "model.safetensors")
    with safe_open(file, "pt") as data:
        metadata, tensors = data.metadata(), {name: data.get_tensor(name) for name in data.keys()}
    prefix = next(name for name in tensors if f".layers.{layer - 1}." in name).split(f"{layer - 1}.")[0]
    last, new = f"{prefix}{layer - 1}.", f"{prefix}{layer}."
    shapes = {new + name[len(last):]: tensor for name, tensor in tensors.items() if name.startswith(last)}
    hidden = tensors[last + "input_layernorm.weight"]
    shapes |= {f"{new}{name}.weight": hidden for name in ("enorm", "hnorm", "shared_head.norm")} | {f"{new}eh_proj.weight": hidden.new_empty(len(hidden), 2 * len(hidden))}
    save_file(tensors | {name: draw(name, tensor, random).to(tensor.dtype) for name, tensor in shapes.items()}, file, metadata)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("source")
    parser.add_argument("out")
    parser.add_argument("--widths", choices=WIDTHS, required=True)
    parser.add_argument("--seed", type=int, default=1)
    a = parser.parse_args()
    with open(os.path.join(a.source, "config.json"), encoding="utf-8") as file:
        config = json.load(file)
    text = widen(config, WIDTHS[a.widths])
    config = AutoConfig.for_model(**config)
    random = torch.Generator().manual_seed(a.seed)
    model = (AutoModelForImageTextToText if hasattr(config, "vision_config") else AutoModelForCausalLM).from_config(config, dtype=torch.bfloat16)
    with torch.no_grad():
        for name, tensor in model.state_dict().items():
            tensor.copy_(draw(name, tensor, random))
    model.save_pretrained(a.out)
    if "moe_intermediate_size" in text and text.get("num_nextn_predict_layers"):
        mtp_layer(a.out, text["num_hidden_layers"], random)
    return 0


if __name__ == "__main__":
    sys.exit(main())
