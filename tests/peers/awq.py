"""AWQ: one factor for each channel between a norm (or projection) and the Linears that read it, searched on a grid of 20 points by the error of
the parent module's output, and folded into the weights."""
import torch
from glm import fused
from rounding import product
from schemes import absmax, grouped, minmax


def weight_mean(scheme, weights):
    """Mean over all rows of |w| / (largest |w| of its group)."""
    total, rows = 0, 0
    for w in weights:
        size = grouped(w.abs(), scheme.group)
        total = total + (size / (absmax(scheme, w).unsqueeze(-1) + 1e-6)).flatten(-2).sum(0, dtype=torch.float32)
        rows += len(w)
    return total / rows


def over_heads(channels, repeat, head):
    """Mean over the query heads that share a key/value head; [heads * head] to [heads / repeat * head]."""
    return channels.view(-1, repeat, head).mean(1).flatten() if repeat > 1 else channels


def to_heads(channels, repeat, head):
    return channels.view(-1, 1, head).expand(-1, repeat, -1).flatten() if repeat > 1 else channels


def candidates(x_mean, w_mean, points):
    """Identity, then ratios 0 .. 1 with both activations and weights ("duo scaling")."""
    for k in range(points):
        if k == 0:
            s = torch.ones_like(x_mean)
        else:
            ratio = (k - 1) / (points - 2)
            s = (x_mean.pow(ratio) / (w_mean.pow(1 - ratio) + 1e-4)).clamp_min(1e-4)
        s = s / (s.max() * s.min()).sqrt()
        yield torch.where(s.isfinite(), s, 1.0)


def run(parent, calls):
    for call in calls:
        out = parent(**call)
        yield out[0] if isinstance(out, tuple) else out


def search(layer, mapping, scheme, moments, calls, reference, head, points=20):
    """The best factors for one mapping, [channels of smooth], with its losses. `moments`: of what the balance layers read; `calls`: the parent's
    arguments for each sample and `reference` its outputs, both unused where the parent is the one balance layer: a Linear's loss follows from
    the moments. The layer is as before on return."""
    modules = {name: layer.get_submodule(name) for name in mapping.balance}
    rounded = {name: m for name, m in modules.items() if isinstance(m, torch.nn.Linear)}
    partners = [[n for n in group if n in rounded] for group in fused(layer)]
    original = {name: m.weight.data for name, m in rounded.items()}
    x_mean = over_heads(moments.absolute / moments.count, mapping.repeat, head)
    w_mean = over_heads(weight_mean(scheme, list(original.values())), mapping.repeat, head)
    best, losses = None, []
    for s in candidates(x_mean, w_mean, points):
        wide = to_heads(s, mapping.repeat, head)
        for group in filter(None, partners):
            for name, value in zip(group, minmax(scheme, [(original[n] * wide).to(original[n].dtype) for n in group])):
                rounded[name].weight.data = (value / wide).to(value.dtype)
        if mapping.parent in modules:
            error = modules[mapping.parent].weight.data.float() - original[mapping.parent].float()
            loss = (product(error, moments.full) * error).sum().item() / moments.count / len(error)
        else:
            outputs = run(layer.get_submodule(mapping.parent), calls)
            loss = sum((out.float() - ref.float()).square().sum(dtype=torch.float64).item() for out, ref in zip(outputs, reference))
            loss /= sum(ref.numel() for ref in reference)
        if not losses or loss < min(losses):
            best = s
        losses.append(loss)
    for name, module in rounded.items():
        module.weight.data = original[name]
    return best, losses


def fold(layer, mapping, s, head):
    """Multiply the balance layers' columns by s and divide the smooth module by it, in the weights' own type."""
    wide = to_heads(s, mapping.repeat, head)
    for name in mapping.balance:
        weight = layer.get_submodule(name).weight
        weight.data = (weight.data * wide).to(weight.dtype)
    smooth = layer.get_submodule(mapping.smooth)
    if smooth.weight.ndim == 1:
        smooth.weight.data = (smooth.weight.data / s).to(smooth.weight.dtype)
        return
    rows = smooth.weight.data.clone()
    rows[-len(s):] = (rows[-len(s):] / s.unsqueeze(-1)).to(rows.dtype)  # of a fused gate_up_proj only the up half
    smooth.weight.data = rows
    if smooth.bias is not None:
        bias = smooth.bias.data.clone()
        bias[-len(s):] = (bias[-len(s):] / s).to(bias.dtype)
        smooth.bias.data = bias
