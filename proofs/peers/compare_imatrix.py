#!/usr/bin/env python3
"""How far one importance matrix lies from another, as the gguf package reads them.

  compare_imatrix.py EXPECTED.gguf FOUND.gguf

Prints, tab-separated: tensors compared; the largest relative difference of in_sum2 and of counts; the largest difference of in_sum, relative to sqrt(in_sum2 * count); the fewest tokens an
expert has seen. Fails where the files hold other tensors.
"""
import sys
import gguf
import numpy as np


def load(file):
    return {t.name: np.asarray(t.data, dtype=np.float64).ravel() for t in gguf.GGUFReader(file).tensors}


def relative(difference, scale):
    return np.divide(np.abs(difference), scale, out=np.where(difference == 0, 0.0, np.inf), where=scale > 0).max()


def main():
    expected, found = load(sys.argv[1]), load(sys.argv[2])
    if set(expected) != set(found):
        sys.exit(f"other tensors: {sorted(set(expected) ^ set(found))[:5]}")
    names = [name.removesuffix(".counts") for name in expected if name.endswith(".counts")]
    squares = counts = sums = 0.0
    fewest = np.inf
    for name in names:
        square, count = expected[name + ".in_sum2"], expected[name + ".counts"]
        scale = np.sqrt(square * np.repeat(count, len(square) // len(count)))
        squares = max(squares, relative(found[name + ".in_sum2"] - square, square))
        counts = max(counts, relative(found[name + ".counts"] - count, count))
        sums = max(sums, relative(found[name + ".in_sum"] - expected[name + ".in_sum"], scale))
        fewest = min(fewest, count.min())
    print(len(names), f"{squares:.2e}", f"{counts:.2e}", f"{sums:.2e}", int(fewest), sep="\t")


if __name__ == "__main__":
    main()
