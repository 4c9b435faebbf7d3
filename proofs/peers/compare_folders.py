#!/usr/bin/env python3
"""Compares two quantized folders tensor by tensor, byte for byte, and their quantization_config.

  compare_folders.py OURS LIBRARYS

Ours may hold more tensors than the library's only where transformers drops them (a multi-token prediction layer), and more entries in
ignore only as patterns. Prints what differs; exit code 1 if anything does.
"""
import json, os, sys
import torch
from safetensors import safe_open


def tensors(folder):
    found = {}
    for file in sorted(os.listdir(folder)):
        if file.endswith(".safetensors"):
            with safe_open(os.path.join(folder, file), "pt") as data:
                found.update((name, data.get_tensor(name)) for name in data.keys())
    return found


def config(folder):
    with open(os.path.join(folder, "config.json")) as file:
        return json.load(file)["quantization_config"]


ours, theirs = tensors(sys.argv[1]), tensors(sys.argv[2])
wrong = [f"only in ours: {name}" for name in ours.keys() - theirs.keys()] + [f"missing: {name}" for name in theirs.keys() - ours.keys()]
for name in ours.keys() & theirs.keys():
    a, b = ours[name], theirs[name]
    if a.dtype != b.dtype or a.shape != b.shape or not torch.equal(a.contiguous().flatten().view(torch.uint8), b.contiguous().flatten().view(torch.uint8)):
        wrong.append(f"differs: {name} {a.dtype} {tuple(a.shape)} / {b.dtype} {tuple(b.shape)}")
a, b = config(sys.argv[1]), config(sys.argv[2])
patterns = [entry for entry in a["ignore"] if entry.startswith("re:")]
a["ignore"] = [entry for entry in a["ignore"] if entry not in patterns]
for key in sorted(a.keys() | b.keys()):
    if a.get(key) != b.get(key):
        wrong.append(f"quantization_config.{key}: {json.dumps(a.get(key))} / {json.dumps(b.get(key))}")
bytes_compared = sum(tensor.nbytes for tensor in theirs.values())
for line in wrong:
    print(line)
print(f"{len(theirs)} tensors, {bytes_compared} bytes compared, {len(wrong)} differences; patterns added to ignore: {patterns}")
sys.exit(1 if wrong else 0)
