#!/usr/bin/env python3
"""Fixtures for the GGML block types, made with the gguf package.

  ggml_blocks.py random OUT.safetensors [--seed N]     random blocks of every type that the package decodes, with its values: TYPE.raw, TYPE.deq
  ggml_blocks.py sources GGUF_DIR OUT.safetensors      the weights and importance factors behind llama-quantize-tensors.safetensors

Random blocks have every bit random but for one: the exponent of a binary16 scale is never all ones, so that no value is infinite or NaN.
"""
import argparse, os
import numpy as np
from gguf import GGML_QUANT_SIZES, GGMLQuantizationType as T, GGUFReader
from gguf.quants import dequantize
from safetensors.numpy import save_file

BLOCKS = 24
# Offsets of binary16 scales in a block.
SCALES = {T.Q4_0: [0], T.Q4_1: [0, 2], T.Q5_0: [0], T.Q5_1: [0, 2], T.Q8_0: [0], T.Q2_K: [80, 82], T.Q3_K: [108], T.Q4_K: [0, 2], T.Q5_K: [0, 2], T.Q6_K: [208],
          T.IQ2_XXS: [0], T.IQ2_XS: [0], T.IQ2_S: [0], T.IQ3_XXS: [0], T.IQ3_S: [0], T.IQ1_S: [0], T.IQ1_M: [], T.IQ4_NL: [0], T.IQ4_XS: [0],
          T.TQ1_0: [52], T.TQ2_0: [64], T.MXFP4: [], T.NVFP4: []}


def random(out, seed):
    draw, tensors = np.random.default_rng(seed), {}
    for kind, offsets in SCALES.items():
        raw = draw.integers(0, 256, (BLOCKS, GGML_QUANT_SIZES[kind][1]), dtype=np.uint8)
        for offset in offsets:
            raw[:, offset + 1] ^= np.where(raw[:, offset + 1] & 0x7C == 0x7C, 0x40, 0).astype(np.uint8)
        if kind == T.IQ1_M:  # the scale's upper nibble is that of the block's last byte
            raw[:, 55] ^= np.where(raw[:, 55] & 0x70 == 0x70, 0x40, 0).astype(np.uint8)
        tensors[kind.name + ".raw"], tensors[kind.name + ".deq"] = raw, dequantize(raw, kind).astype(np.float32)
    save_file(tensors, out)
    print(len(SCALES), "types,", os.path.getsize(out), "bytes")


def sources(folder, out):
    def tensors(*name):
        return {t.name: t.data for t in GGUFReader(os.path.join(folder, *name)).tensors}

    result = {}
    for model, name in (("tiny-glm4", "blk.0.attn_k.weight"), ("tiny-glm4moe", "blk.2.ffn_up_exps.weight")):
        statistics = tensors("imatrix", model + ".imatrix.gguf")
        counts = statistics[name + ".counts"].reshape(-1, 1)
        sums = statistics[name + ".in_sum2"].reshape(len(counts), -1)
        result[name] = np.ascontiguousarray(tensors(model + "-f16.gguf")[name]).astype(np.float16)
        # An expert without tokens counts every column the same.
        result[name + ".importance"] = np.where(counts > 0, sums / np.maximum(counts, 1), 1).astype(np.float32)
        print(name, result[name].shape, result[name + ".importance"].shape)
    save_file(result, out)


parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
commands = parser.add_subparsers(dest="command", required=True)
command = commands.add_parser("random")
command.add_argument("out")
command.add_argument("--seed", type=int, default=1)
command = commands.add_parser("sources")
command.add_argument("folder")
command.add_argument("out")
arguments = parser.parse_args()
if arguments.command == "random":
    random(arguments.out, arguments.seed)
else:
    sources(arguments.folder, arguments.out)
