#!/usr/bin/env python3
"""Writes zero_points.safetensors: weights that try asymmetric INT4 groups, what compressed-tensors makes of them, and what it decodes that to.

  zero_points.py OUT.safetensors     with proofs/peers/library_compress.py beside it, in a Python with compressed-tensors 0.17.1
"""
import sys
import torch
from compressed_tensors.compressors import BaseCompressor
from safetensors.torch import save_file
from library_compress import compress, prepare, scheme_named

COLUMNS = 256


def rows(dtype, seed):
    random = torch.Generator().manual_seed(seed)
    plain = torch.randn(13, COLUMNS, generator=random) * 0.02
    limits = torch.finfo(dtype)
    plain[1] = plain[1].abs() + 0.01            # positive: the zero point is the lowest code
    plain[2] = -plain[2].abs() - 0.003          # negative: the highest
    plain[3] = 0
    plain[3, ::2] = -0.0
    plain[4] = 0.0371                           # constant
    plain[5, ::37] *= 400                       # outliers
    plain[6] *= limits.tiny                     # ranges below and around the smallest normal number
    plain[7, :64] *= limits.tiny / 64
    plain[8] = plain[8] / plain[8].abs().max() * limits.max * 0.49
    plain[9] = torch.sign(plain[9]) * 2.0 ** torch.floor(torch.rand(COLUMNS, generator=random) * 12 - 8)
    plain[10, :] = 0
    plain[10, 5::32] = -1.5                     # one weight in a group
    plain[11] += 0.03                           # lopsided
    return plain.to(dtype)


tensors = {}
for number, (name, dtype) in enumerate({"bf16": torch.bfloat16, "f16": torch.float16, "f32": torch.float32}.items()):
    for group in (32, 64, 128):
        weight = rows(dtype, 100 * number + group)
        scheme = scheme_named(f"w4a16-asym:{group}", ["Linear"])
        stored = compress(prepare(weight.clone(), scheme))
        module = f"{name}_g{group}"
        tensors[f"{module}.weight"] = weight
        tensors.update((f"{module}.{key}", value) for key, value in stored.items())
        tensors[f"{module}.decoded"] = BaseCompressor.get_value_from_registry("pack-quantized").decompress(dict(stored), scheme)["weight"].contiguous()
save_file(tensors, sys.argv[1])
