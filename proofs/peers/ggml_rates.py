#!/usr/bin/env python3
"""What ggml's encoders do on one thread, for benchmarks --quick-blocks DIR.

  ggml_rates.py DIR [--seed N] [--model MODEL_DIR]

Writes into DIR four matrices NAME.f32 of 16 rows with 4096 columns, with NAME.importance.f32: normal weights, heavy-tailed ones (Student, 4 degrees of freedom), normal ones
with 1 % of columns twelve times as large, and, from MODEL_DIR, rows of its matrices; and for every type TYPE.NAME.im and TYPE.NAME.no, ggml_quantize_chunk's blocks with and
without importance. Prints type and weights for each second, with importance and without (0 where the type needs importance), the best of many short passes.
"""
import argparse, ctypes, glob, os, time
import numpy as np

TYPES = dict(Q8_0=8, Q4_0=2, Q4_1=3, Q5_0=6, Q5_1=7, Q2_K=10, Q3_K=11, Q4_K=12, Q5_K=13, Q6_K=14, IQ1_S=19, IQ1_M=29, IQ2_XXS=16, IQ2_XS=17, IQ2_S=22, IQ3_XXS=18,
             IQ3_S=21, IQ4_NL=20, IQ4_XS=23, MXFP4=39, NVFP4=40, TQ1_0=34, TQ2_0=35, Q1_0=41, Q2_0=42)
NEEDS_IMPORTANCE = {"IQ2_XXS", "IQ2_XS", "IQ1_S"}
ROWS, COLUMNS, SECONDS = 16, 4096, 0.4


def sample_rows(folder):
    from safetensors import safe_open
    parts = []
    for path in sorted(glob.glob(os.path.join(folder, "*.safetensors"))):
        with safe_open(path, "pt") as file:
            parts += [file.get_tensor(name).float().numpy().ravel() for name in sorted(file.keys()) if name.endswith("proj.weight")]
    values = np.concatenate(parts)
    count = ROWS * COLUMNS
    if len(values) < count:
        raise SystemExit(f"{folder} has {len(values)} weights in *proj.weight; {count} are needed")
    start = (len(values) - count) // 2
    return values[start:start + count].reshape(ROWS, COLUMNS)


parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
parser.add_argument("folder")
parser.add_argument("--seed", type=int, default=1)
parser.add_argument("--model")
arguments = parser.parse_args()
draw = np.random.default_rng(arguments.seed)
matrices = {"normal": draw.normal(0, 0.02, (ROWS, COLUMNS)), "heavy-tailed": draw.standard_t(4, (ROWS, COLUMNS)) * 0.02, "outlier-columns": draw.normal(0, 0.02, (ROWS, COLUMNS))}
matrices["outlier-columns"][:, draw.choice(COLUMNS, COLUMNS // 100, False)] *= 12
if arguments.model:
    matrices["sample-model"] = sample_rows(arguments.model)

library = ctypes.CDLL("libggml-base.so.0")
library.ggml_quantize_chunk.restype = library.ggml_row_size.restype = ctypes.c_size_t
library.ggml_quantize_chunk.argtypes = [ctypes.c_int, ctypes.c_void_p, ctypes.c_void_p, ctypes.c_int64, ctypes.c_int64, ctypes.c_int64, ctypes.c_void_p]
library.ggml_row_size.argtypes = [ctypes.c_int, ctypes.c_int64]
rates = {}
for name, matrix in matrices.items():
    weights = np.ascontiguousarray(matrix, np.float32)
    importance = (draw.gamma(0.7, 1, COLUMNS) * np.where(draw.random(COLUMNS) < 0.01, 50, 1)).astype(np.float32)
    weights.tofile(os.path.join(arguments.folder, f"{name}.f32"))
    importance.tofile(os.path.join(arguments.folder, f"{name}.importance.f32"))
    for kind, number in TYPES.items():
        library.ggml_quantize_init(number)
        size = library.ggml_row_size(number, COLUMNS)
        blocks = np.zeros(ROWS * size, np.uint8)
        for ending, factors in (("im", importance.ctypes.data), ("no", None)):
            if factors is None and kind in NEEDS_IMPORTANCE:
                continue
            best, until = float("inf"), time.perf_counter() + (SECONDS if name == "normal" else 0)
            done = 0
            while done < ROWS or time.perf_counter() < until:
                start = time.perf_counter()
                row = done % ROWS
                library.ggml_quantize_chunk(number, weights.ctypes.data, blocks.ctypes.data, row * COLUMNS, 1, COLUMNS, factors)
                best = min(best, time.perf_counter() - start)
                done += 1
            if name == "normal":
                rates[kind, ending] = COLUMNS / best
            blocks.tofile(os.path.join(arguments.folder, f"{kind}.{name}.{ending}"))
for kind in TYPES:
    print(kind, round(rates[kind, "im"]), round(rates.get((kind, "no"), 0)))
