#!/usr/bin/env python3
"""A random importance matrix for every matrix of a GGUF file but the embeddings: random_imatrix.py MODEL.gguf OUT.gguf [--seed N]"""
import argparse
import gguf
import numpy as np

TOKENS = 512


def write(model, out, seed, embeddings=False):
    draw = np.random.default_rng(seed)
    writer = gguf.GGUFWriter(out, "")
    writer.add_type("imatrix")
    writer.add_array("imatrix.datasets", ["random"])
    writer.add_uint32("imatrix.chunk_count", 1)
    writer.add_uint32("imatrix.chunk_size", TOKENS)
    for tensor in gguf.GGUFReader(model).tensors:
        if len(tensor.shape) > 1 and tensor.name.endswith(".weight") and (embeddings or tensor.name != "token_embd.weight"):
            columns, matrices = int(tensor.shape[0]), int(tensor.shape[2]) if len(tensor.shape) > 2 else 1
            means = draw.gamma(0.7, 1, (matrices, columns)) * np.where(draw.random((matrices, columns)) < 0.01, 50, 1)
            writer.add_tensor(tensor.name + ".in_sum2", (means * TOKENS).astype(np.float32))
            writer.add_tensor(tensor.name + ".counts", np.full((matrices, 1), TOKENS, np.float32))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("model")
    parser.add_argument("out")
    parser.add_argument("--seed", type=int, default=1)
    arguments = parser.parse_args()
    write(arguments.model, arguments.out, arguments.seed)
