"""Statistics of what Linears read, and GPTQ's rounding with them."""
import torch
from schemes import library_codes, values


def product(a, b):
    """a @ b.T in f32 through oneDNN: this PyTorch may be built on a BLAS without vector code."""
    return torch.ops.mkldnn._linear_pointwise(a.contiguous(), b.contiguous(), None, "none", [], "")


class Moments:
    """Of one tensor that Linears read, over all tokens: count, sum of |x|, sum of x^2 and (unless only the diagonal is asked for) sum of x x^T."""

    def __init__(self, width, full=True):
        self.count, self.absolute, self.square = 0, torch.zeros(width), torch.zeros(width)
        self.full = torch.zeros(width, width) if full else None

    def add(self, x):
        x = x.detach().reshape(-1, x.shape[-1]).float()
        self.count += len(x)
        self.absolute += x.abs().sum(0)
        self.square += x.square().sum(0)
        if self.full is not None:
            columns = x.T.contiguous()
            self.full += product(columns, columns)


def inverse_factor(hessian, damping=0.01):
    """Upper Cholesky factor of (H + damping * mean(diag H))^-1 with columns by decreasing diag(H), and that order; dead columns count as 1.
    The identity where H cannot be factored."""
    h = hessian.clone()
    diagonal = h.diagonal()
    order = diagonal.argsort(descending=True)
    dead = diagonal == 0
    h[dead, dead] = 1
    h = h[order][:, order]
    h.diagonal().add_(damping * h.diagonal().mean())
    try:
        factor = torch.linalg.cholesky(torch.cholesky_inverse(torch.linalg.cholesky(h)), upper=True)
    except torch.linalg.LinAlgError:
        print("  a Hessian could not be factored: plain rounding")
        factor = torch.eye(len(h))
    return factor, order, dead


def gptq(scheme, weight, factors, inverse, block=128):
    """Codes' values for weight [rows, columns]: column by column in the order of `inverse`, each column's error carried to those not yet
    rounded. `factors` [rows, groups] stay as they were given; a column keeps its own group's (static order)."""
    upper, order, dead = inverse
    w = weight.float()[:, order]
    w[:, dead[order]] = 0
    done = torch.empty_like(w)
    group = order // scheme.group
    factor_of = factors.T.contiguous()
    for start in range(0, w.shape[1], block):
        end = min(start + block, w.shape[1])
        rest, triangle = w[:, start:end].T.contiguous(), upper[start:end, start:end]
        errors = torch.empty_like(rest)
        for i in range(end - start):
            f = factor_of[group[start + i]]
            value = (scheme.codes(rest[i] / f) * f).to(weight.dtype).float()
            errors[i] = (rest[i] - value) / triangle[i, i]
            rest[i + 1:] -= triangle[i, i + 1:, None] * errors[i]
            done[:, start + i] = value
        if end < w.shape[1]:
            w[:, end:] -= product(errors.T, upper[start:end, end:].T)
    result = torch.empty_like(w)
    result[:, order] = done
    return result.to(weight.dtype)


def nearest(scheme, weight, factors):
    return values(scheme, library_codes(scheme, weight, factors), factors, weight.dtype)
