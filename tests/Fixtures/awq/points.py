"""Writes points.json: factors and losses at every point of the yardstick's AWQ (tests/peers/awq.py) for one Linear whose weights and inputs follow from whole numbers.

  points.py PEERS_DIR > points.json
"""
import json, sys
sys.path.insert(0, sys.argv[1])
import torch
torch.set_num_threads(1)
torch.set_grad_enabled(False)
import awq
from glm import Mapping
from rounding import Moments
from schemes import SCHEMES

ROWS, COLUMNS, TOKENS, HEAD = 48, 256, 96, 32


def weight(row, column):
    return ((row * 7919 + column * 104729 + row * column * 31) % 255 - 127) / 128 * 2.0 ** (column * 13 % 5 - 4)


def value(token, column):
    return ((token * 6007 + column * 7307 + token * column * 17) % 61 - 30) / 64 * 2.0 ** (column * 7 % 9 - 4)


layer = torch.nn.Module()
layer.mlp = torch.nn.Module()
layer.mlp.down_proj = torch.nn.Linear(COLUMNS, ROWS, bias=False, dtype=torch.bfloat16)
layer.mlp.down_proj.weight.data = torch.tensor([[weight(r, c) for c in range(COLUMNS)] for r in range(ROWS)], dtype=torch.bfloat16)
moments = Moments(COLUMNS)
moments.add(torch.tensor([[value(t, c) for c in range(COLUMNS)] for t in range(TOKENS)]))
cases = []
for name, scheme in SCHEMES.items():
    for repeat in (1, 4):
        mapping = Mapping("up", ["mlp.down_proj"], "mlp.down_proj", repeat)
        _, losses = awq.search(layer, mapping, scheme, moments, None, None, HEAD)
        x_mean = awq.over_heads(moments.absolute / moments.count, repeat, HEAD)
        w_mean = awq.over_heads(awq.weight_mean(scheme, [layer.mlp.down_proj.weight.data]), repeat, HEAD)
        points = list(awq.candidates(x_mean, w_mean, 20))
        # The yardstick's loss is a mean.
        cases.append({"scheme": name, "repeat": repeat, "losses": [loss * TOKENS * ROWS for loss in losses],
                      "factors": [[float(f"{f:.8g}") for f in points[k].tolist()] for k in (1, 10, 19)]})
json.dump(cases, sys.stdout)
