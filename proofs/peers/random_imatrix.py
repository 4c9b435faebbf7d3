#!/usr/bin/env python3
"""A random importance matrix for every matrix of a GGUF file: random_imatrix.py MODEL.gguf OUT.gguf [--seed N]"""
import argparse
import gguf
import numpy as np

parser = argparse.ArgumentParser(description=__doc__)
parser.add_argument("model")
parser.add_argument("out")
parser.add_argument("--seed", type=int, default=1)
arguments = parser.parse_args()
draw, tokens = np.random.default_rng(arguments.seed), 512
writer = gguf.GGUFWriter(arguments.out, "")
writer.add_type("imatrix")
writer.add_array("imatrix.datasets", ["random"])
writer.add_uint32("imatrix.chunk_count", 1)
writer.add_uint32("imatrix.chunk_size", tokens)
for tensor in gguf.GGUFReader(arguments.model).tensors:
    if len(tensor.shape) == 2 and tensor.name != "token_embd.weight":
        columns = int(tensor.shape[0])
        means = draw.gamma(0.7, 1, columns) * np.where(draw.random(columns) < 0.01, 50, 1)
        writer.add_tensor(tensor.name + ".in_sum2", (means * tokens).astype(np.float32).reshape(1, columns))
        writer.add_tensor(tensor.name + ".counts", np.full((1, 1), tokens, np.float32))
writer.write_header_to_file()
writer.write_kv_data_to_file()
writer.write_tensors_to_file()
writer.close()
