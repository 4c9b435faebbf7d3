#!/usr/bin/env python3
"""Copies a model folder with fresh random weights of the kinds that break encoders.

  hostile_weights.py SOURCE OUT SEED [LARGEST]

Each matrix is one of: normal, normal with outliers, with zero blocks and -0, subnormals, values up to LARGEST (3e38), powers of two.
"""
import os, shutil, sys
import torch
from safetensors.torch import load_file, save_file

source, out, seed = sys.argv[1], sys.argv[2], int(sys.argv[3])
largest = float(sys.argv[4]) if len(sys.argv) > 4 else 3e38
random = torch.Generator().manual_seed(seed)
shutil.copytree(source, out)
path = os.path.join(out, "model.safetensors")
weights = load_file(path)
for i, (name, weight) in enumerate(sorted(weights.items())):
    if weight.dim() != 2 or weight.dtype != torch.bfloat16:
        continue
    w = torch.randn(weight.shape, generator=random) * 0.02
    u = torch.rand(weight.shape, generator=random)
    kind = i % 6
    if kind == 1:
        w[u > 0.999] *= 5000
    elif kind == 2:
        w[: min(128, len(w)), : min(128, w.shape[1])] = 0
        w[u > 0.5] = -0.0
    elif kind == 3:
        w *= 1e-38
    elif kind == 4:
        w = w / w.abs().max() * largest
    elif kind == 5:
        w = torch.sign(w) * 2.0 ** torch.floor(u * 60 - 50)
    weights[name] = w.to(torch.bfloat16)
save_file(weights, path, {"format": "pt"})
