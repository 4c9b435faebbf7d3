#!/usr/bin/env python3
"""Table of mean KL divergences beside yardsticks: kld_table.py FOLDER. FOLDER has MODEL__SCHEME__yardstick-METHOD.json and MODEL__SCHEME__bitsmith-METHOD.json, as `bitsmith eval divergence --json` writes them.
The first argument behind it names Bitsmith's method that counts. Files with another __NUMBER before .json are of further draws of the samples, and count in the mean. Prints a table for each model, then `worst RATIO of COUNT`."""
import collections, glob, json, math, os, sys

folder, counts = sys.argv[1], sys.argv[2]
draws = collections.defaultdict(list)
for path in sorted(glob.glob(os.path.join(folder, "*__*__*.json"))):
    model, scheme, method = os.path.basename(path)[:-5].split("__")[:3]
    statistics = json.load(open(path))["statistics"]
    draws[model, scheme, method].append((statistics["mean"]["value"], statistics["mean"]["error"], statistics["divergence"]["p90"]))
found = {key: (sum(mean for mean, _, _ in each) / len(each), math.hypot(*(error for _, error, _ in each)) / len(each), sum(p90 for _, _, p90 in each) / len(each)) for key, each in draws.items()}
worst, pairs = 0.0, 0
for model in sorted({key[0] for key in found}):
    schemes = sorted({key[1] for key in found if key[0] == model}, key=lambda name: (name.split("-g")[0], int((name.split("-g") + ["0"])[1])))
    methods = sorted({key[2] for key in found if key[0] == model}, key=lambda name: (name.startswith("bitsmith"), name))
    print(f"| {model} | " + " | ".join(schemes) + " |\n|---|" + "---|" * len(schemes))
    for method in methods:
        cells = [found.get((model, scheme, method)) for scheme in schemes]
        print(f"| {method} | " + " | ".join("-" if cell is None else f"{cell[0]:.5f} ± {cell[1]:.5f}, p90 {cell[2]:.4f}" for cell in cells) + " |")
    ratios = []
    for scheme in schemes:
        marks = [found[key][0] for key in found if key[:2] == (model, scheme) and key[2].startswith("yardstick-")]
        ours = found[model, scheme, f"bitsmith-{counts}"][0]
        ratios.append(ours / min(marks))
        pairs += 1
    print(f"| bitsmith-{counts} to the best yardstick | " + " | ".join(f"{ratio:.3f}" for ratio in ratios) + " |\n")
    worst = max(worst, *ratios)
print(f"worst {worst:.3f} of {pairs}")
