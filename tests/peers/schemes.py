"""The arithmetic of compressed-tensors' INT4 groups and NVFP4 weights: scales from a range, rounding, values. Weights are [rows, columns] in
bf16 unless stated; a group is `group` consecutive columns. `check.py` holds these to files that the library wrote."""
import torch


def grouped(tensor, group):
    return tensor.unflatten(-1, (-1, group))


class Int4:
    """Symmetric 4-bit integers with one bf16 scale for each group: value = code * scale, codes -8 .. 7."""

    def __init__(self, group):
        self.group, self.name = group, f"w4a16-g{group}"

    def local_scale(self, absmax):
        """The scale in the weight's type that a range gives; used alone it is what the library's searches try."""
        scale = absmax / 7.5
        return torch.where(scale == 0, torch.finfo(scale.dtype).eps, scale)

    def scales(self, absmax):
        """Factors [rows, groups] for each of several fused matrices, f32 but bf16-representable, and what is stored of them."""
        stored = [self.local_scale(a) for a in absmax]
        return [s.float() for s in stored], [{"scale": s} for s in stored]

    def codes(self, ratio):
        return ratio.clamp(-8, 7).round()


class Nvfp4:
    """e2m1 codes in groups of 16 with e4m3 scales under one f32 divisor for all fused matrices: value = code * scale / divisor."""
    group, name = 16, "nvfp4"

    def local_scale(self, absmax):
        scale = absmax / 6
        return torch.where(scale == 0, torch.finfo(scale.dtype).eps, scale)

    def scales(self, absmax):
        largest = torch.stack([a.max() for a in absmax]).max()
        divisor = (448.0 * 6.0 / largest.clamp_min(torch.finfo(largest.dtype).tiny)).float()
        if not (divisor.isfinite() and largest > 0):
            divisor = torch.tensor(1.0)
        stored = []
        for a in absmax:
            scale = (divisor * (a / 6).float()).clamp(-448, 448).to(torch.float8_e4m3fn)
            stored.append({"scale": torch.where(scale.float() == 0, 0.125, scale.float()).to(torch.float8_e4m3fn), "global": divisor})
        return [s["scale"].float() / divisor for s in stored], stored

    def codes(self, ratio):
        size = ratio.clamp(-6, 6).abs()
        code = torch.where(size < 2, (2 * size).round() / 2, torch.where(size < 4, size.round(), 2 * (size / 2).round()))
        return torch.where(ratio < 0, -code, code)


SCHEMES = {s.name: s for s in (Int4(32), Int4(64), Int4(128), Nvfp4())}


def absmax(scheme, weight):
    return grouped(weight, scheme.group).abs().amax(-1)


def library_codes(scheme, weight, factors):
    """Codes as the library's encoder makes them: the INT4 quotient is rounded to the weight's type before the code is chosen."""
    w, f = grouped(weight, scheme.group), factors.unsqueeze(-1)
    ratio = w.float() / f if isinstance(scheme, Nvfp4) else w / f.to(weight.dtype)
    return scheme.codes(ratio.float()).flatten(-2)


def values(scheme, codes, factors, dtype):
    return (grouped(codes, scheme.group) * factors.unsqueeze(-1)).flatten(-2).to(dtype)


def minmax(scheme, weights):
    """Round fused matrices to nearest with scales from their own ranges; returns their values."""
    factors, _ = scheme.scales([absmax(scheme, w) for w in weights])
    return [values(scheme, library_codes(scheme, w, f), f, w.dtype) for w, f in zip(weights, factors)]


def imatrix_absmax(scheme, weight, importance, grid=20, maxshrink=0.95, norm=3.0, patience=5):
    """The shrunk range of each group with the least sum of importance * |error|^norm; importance is E[x^2] of the column.
    As in the library, the scales tried are unrounded by e4m3 and know no global scale, and the search ends when no group of the whole
    matrix has improved for `patience` steps."""
    importance = grouped((importance / (importance.mean() + torch.finfo(torch.float32).tiny)).float(), scheme.group)
    w = grouped(weight, scheme.group)
    full = w.abs().amax(-1)
    best, best_error, idle = full.clone(), torch.full(full.shape, torch.inf), 0
    for step in range(max(1, int(maxshrink * grid)) + 1):
        tried = full * (1 - step / grid)
        scale = scheme.local_scale(tried).unsqueeze(-1)
        value = (scheme.codes((w / scale).float()).to(weight.dtype) * scale).float()
        error = ((value - w.float()).abs().pow(norm) * importance).sum(-1)
        better = error < best_error
        best, best_error = torch.where(better, tried, best), torch.where(better, error, best_error)
        idle = 0 if better.any() else idle + 1
        if patience and idle >= patience:
            break
    return best
