#!/usr/bin/env python3
"""Operations of PyTorch on bfloat16 tensors, as the models of transformers use them with eager attention: inputs and outputs.

  bfloat16.py OUT.safetensors

Sums depend on the kernels: these are those of a CPU with AVX512-BF16 (oneDNN's products), which is required.
"""
import sys
import torch
import torch.nn.functional as F
from safetensors.torch import save_file

torch.manual_seed(20)
TENSORS = {}
BF16 = torch.bfloat16


def keep(**tensors):
    for name, tensor in tensors.items():
        TENSORS[name.replace("__", ".")] = tensor.contiguous().clone()


def cancelling(rows, columns, outputs):
    """Inputs and weights whose products sum to zero: what comes out is the rounding of the sums, which shows their order."""
    x, w, order = torch.randn(rows, columns // 2), torch.randn(outputs, columns // 2), torch.randperm(columns // 2)
    x, w = torch.cat([x, x[:, order]], 1), torch.cat([w, -w[:, order]], 1)
    if columns % 2:
        x, w = F.pad(x, (0, 1)), F.pad(w, (0, 1))
    order = torch.randperm(columns)
    return x[:, order].to(BF16), w[:, order].to(BF16)


def main(path):
    assert "avx512_bf16" in open("/proc/cpuinfo").read(), "needs a CPU with AVX512-BF16"
    for name, rows, columns, outputs in (("short", 9, 256, 33), ("odd", 4, 77, 17), ("long", 3, 1000, 20), ("one", 1, 1100, 20)):
        x, w = cancelling(rows, columns, outputs)
        bias = torch.randn(outputs).to(BF16)
        keep(**{f"linear__{name}__x": x, f"linear__{name}__w": w, f"linear__{name}__bias": bias, f"linear__{name}__plain": F.linear(x, w), f"linear__{name}__biased": F.linear(x, w, bias)})

    x, w = cancelling(5, 3 * 2 * 14 * 14, 18)
    kernel, places = (3, 2, 14, 14), (0, 2, 3, 4, 1)
    out = F.conv3d(x.view(-1, *kernel), w.view(-1, *kernel), stride=kernel[1:]).view(5, 18)
    # As rows of places, the three channels of each padded to four.
    keep(convolution__x=F.pad(x.view(-1, *kernel).permute(places), (0, 1)).reshape(5, -1), convolution__w=F.pad(w.view(-1, *kernel).permute(places), (0, 1)).reshape(18, -1), convolution__out=out)

    for width in (24, 100, 256, 1540):
        x, w = (torch.randn(4, width) * 3).to(BF16), torch.randn(width).to(BF16)
        wide = x.float()
        normed = wide * torch.rsqrt(wide.pow(2).mean(-1, keepdim=True) + 1e-5)
        bias = torch.randn(width).to(BF16)
        keep(**{f"norm__{width}__x": x, f"norm__{width}__w": w, f"norm__{width}__bias": bias, f"norm__{width}__rms": w * normed.to(BF16), f"norm__{width}__layer": F.layer_norm(x, (width,), w, bias, 1e-5)})

    gate, up = (torch.randn(3, 301) * 4).to(BF16), torch.randn(3, 301).to(BF16)
    keep(mlp__gate=gate, mlp__up=up, mlp__gated=F.silu(gate) * up, mlp__sum=gate + up)

    angles = torch.cat([torch.arange(0, 125, 0.37), torch.rand(100) * 1e-2])
    keep(functions__angles=angles, functions__sin=angles.sin(), functions__cos=angles.cos(), functions__powers=-angles, functions__exp=(-angles).exp())

    x, angles = torch.randn(6, 3, 40).to(BF16), torch.rand(6, 8) * 50
    cos, sin = angles.cos(), angles.sin()
    keep(rotary__x=x, rotary__cos=cos, rotary__sin=sin)
    for name, pairs in (("interleaved", True), ("halves", False)):
        c, s = (t.to(BF16) for t in (cos, sin))
        spread = (lambda t: t.repeat_interleave(2, -1)) if pairs else (lambda t: torch.cat((t, t), -1))
        turned = torch.stack((-x[..., 1:16:2], x[..., 0:16:2]), -1).flatten(-2) if pairs else torch.cat((-x[..., 8:16], x[..., :8]), -1)
        decoder = torch.cat([(x[..., :16] * spread(c)[:, None]) + (turned * spread(s)[:, None]), x[..., 16:]], -1)
        tower = ((x[..., :16].float() * spread(cos)[:, None]) + (turned.float() * spread(sin)[:, None])).to(BF16)
        keep(**{f"rotary__{name}__decoder": decoder, f"rotary__{name}__tower": torch.cat([tower, x[..., 16:]], -1)})

    for name, queries, positions, heads, width, causal in (("causal", 37, 37, 2, 24, True), ("full", 20, 70, 1, 32, False), ("long", 1, 600, 2, 16, True)):
        q, k, v = torch.randn(heads, queries, width).to(BF16), torch.randn(positions, width).to(BF16), torch.randn(positions, width).to(BF16)
        scores = torch.matmul(q[None], k[None, None].expand(1, heads, -1, -1).transpose(2, 3)) * width ** -0.5
        if causal:
            mask = torch.full((queries, positions), torch.finfo(BF16).min, dtype=BF16).triu(positions - queries + 1)
            scores = scores + mask
        weights = F.softmax(scores, dim=-1, dtype=torch.float32).to(BF16)
        out = torch.matmul(weights, v[None, None].expand(1, heads, -1, -1))[0]
        keep(**{f"attention__{name}__q": q.transpose(0, 1), f"attention__{name}__k": k, f"attention__{name}__v": v, f"attention__{name}__out": out.transpose(0, 1)})
    save_file(TENSORS, path, metadata={"torch": torch.__version__})


if __name__ == "__main__":
    main(sys.argv[1])
