#!/usr/bin/env python3
"""Hold the yardsticks to independent statements: the library's own files and functions, and properties that each method must have.

  check.py FIXTURES_DIR MODEL_DIR...

FIXTURES_DIR holds inputs.safetensors, w4a16_g*.safetensors, nvfp4.safetensors and nvfp4_fused_qkv.safetensors as compressed-tensors wrote them.
Exit code: 0 all held, 1 one did not.
"""
import os, sys
import torch
torch.set_num_threads(1)
torch.set_grad_enabled(False)
import awq
from glm import Glm, linears, mappings
from rounding import gptq, inverse_factor, nearest, product
from schemes import SCHEMES, Int4, absmax, grouped, imatrix_absmax, library_codes, minmax
from safetensors.torch import load_file
from yardstick import observe
from compressed_tensors.quantization import fake_quantize
from compressed_tensors.quantization.quant_scheme import NVFP4, W4A16
from compressed_tensors.quantization.utils import calculate_qparams, generate_gparam

held = True


def report(name, passed, detail=""):
    global held
    held &= bool(passed)
    print(f"{'ok    ' if passed else 'FAILED'} {name} {detail}", flush=True)


def packed(scheme, codes):
    if isinstance(scheme, Int4):
        words = (codes.long() + 8).unflatten(-1, (-1, 8)) << torch.arange(0, 32, 4)
        return words.sum(-1).to(torch.int32)
    size = codes.abs()
    nibble = (torch.where(size < 2, 2 * size, torch.where(size < 4, size + 2, size / 2 + 4)) + 8 * codes.signbit()).to(torch.uint8)
    return nibble[:, 0::2] | nibble[:, 1::2] << 4


def fixtures(folder):
    """Codes and scales of min-max against the library's files, byte for byte."""
    inputs = load_file(os.path.join(folder, "inputs.safetensors"))
    files = {f"w4a16_g{g}": (f"w4a16-g{g}", False) for g in (32, 64, 128)} | {"nvfp4": ("nvfp4", False), "nvfp4_fused_qkv": ("nvfp4", True)}
    for file, (name, together) in files.items():
        expected, scheme = load_file(os.path.join(folder, file + ".safetensors")), SCHEMES[name]
        names = [n for n in inputs if n + ".weight_packed" in expected]
        different, count = 0, 0
        for group in [names] if together else [[n] for n in names]:
            weights = [inputs[n] for n in group]
            factors, stored = scheme.scales([absmax(scheme, w) for w in weights])
            for n, w, f, s in zip(group, weights, factors, stored):
                pairs = [(packed(scheme, library_codes(scheme, w, f)), expected[n + ".weight_packed"]), (s["scale"].float(), expected[n + ".weight_scale"].float())]
                if "global" in s:
                    pairs.append((s["global"].reshape(1), expected[n + ".weight_global_scale"]))
                different += sum(int((a != b).sum()) for a, b in pairs)
                count += sum(a.numel() for a, _ in pairs)
        report(f"min-max {file}", names and different == 0, f"{len(names)} matrices, {count} words and scales, {different} differ")


def library_minmax(scheme, weights):
    """The same through the library's own functions."""
    args = (W4A16 if isinstance(scheme, Int4) else NVFP4)["weights"].model_copy()
    args.group_size = scheme.group
    low, high = [[getattr(grouped(w, scheme.group), f)(-1) for w in weights] for f in ("amin", "amax")]
    divisor = None if isinstance(scheme, Int4) else generate_gparam(torch.stack([a.min() for a in low]).min(), torch.stack([a.max() for a in high]).max())
    results = []
    for w, a, b in zip(weights, low, high):
        scale, zero = calculate_qparams(a, b, args, global_scale=divisor)
        results.append(fake_quantize(w, scale, zero, args, global_scale=divisor))
    return results


def on_model(folder):
    label = os.path.basename(os.path.normpath(folder))
    glm = Glm(folder)
    layer = glm.layers[1]
    weights = [layer.get_submodule(f"self_attn.{n}_proj").weight.data for n in "qkv"]
    for scheme in SCHEMES.values():
        different = sum(int((a != b).sum()) for a, b in zip(minmax(scheme, weights), library_minmax(scheme, weights)))
        report(f"{label}: {scheme.name} q, k, v as the library's fake_quantize", different == 0, f"{different} differ")

    generator = torch.Generator().manual_seed(1)
    samples = torch.randint(0, 4000, (4, 96), generator=generator).tolist()
    hidden, kwargs = glm.layer_inputs(samples)
    _, moments, _ = observe(layer, hidden, kwargs)
    name = [n for n in linears(layer) if n.endswith("down_proj")][0]
    weight, m = layer.get_submodule(name).weight.data, moments[name]
    for scheme in SCHEMES.values():
        factors = scheme.scales([absmax(scheme, weight)])[0][0]
        plain = (grouped(scheme.codes(grouped(weight.float(), scheme.group) / factors.unsqueeze(-1)).flatten(-2), scheme.group) * factors.unsqueeze(-1)).flatten(-2).to(weight.dtype)
        report(f"{label}: {scheme.name} GPTQ under the identity rounds to nearest", torch.equal(gptq(scheme, weight, factors, inverse_factor(torch.eye(weight.shape[1]))), plain))
        def error(w):
            d = w.float() - weight.float()
            return (product(d, m.full) * d).sum().item()
        before, after = error(nearest(scheme, weight, factors)), error(gptq(scheme, weight, factors, inverse_factor(m.full)))
        report(f"{label}: {scheme.name} GPTQ lowers the error under H", after < before, f"{name}: {after / before:.3f} of nearest")
        shrunk, importance = imatrix_absmax(scheme, weight, m.square / m.count), m.square / m.count / (m.square / m.count).mean()
        tries, w, bests = [], grouped(weight, scheme.group), []
        for step in range(20):
            tried = absmax(scheme, weight) * (1 - step / 20)
            scale = scheme.local_scale(tried).unsqueeze(-1)
            cost = ((scheme.codes((w / scale).float()) * scale.float()).to(w.dtype).double() - w.double()).abs().pow(3) * grouped(importance, scheme.group).double()
            tries.append(tried), bests.append(cost.sum(-1))
        costs = torch.stack(bests)
        chosen = torch.gather(costs, 0, (torch.stack(tries) == shrunk).int().argmax(0, keepdim=True))[0]
        report(f"{label}: {scheme.name} imatrix_mse finds each group's least cost", (chosen <= costs.min(0).values * (1 + 1e-4)).all())

    glm = Glm(folder, torch.float32)
    ids = torch.tensor(samples[:1])
    stock_cls = type(glm.model)
    stock = stock_cls.from_pretrained(folder, dtype=torch.float32).eval()
    base = glm.model(input_ids=ids, use_cache=False).logits
    report(f"{label}: logits with experts as Linears", (base - stock(input_ids=ids, use_cache=False).logits).abs().max() < 1e-4 * base.std())
    original = {n: p.data for n, p in glm.model.named_parameters()}
    def folded(choose):
        for n, p in glm.model.named_parameters():
            p.data = original[n]
        for l in glm.layers:
            for mapping in filter(None, map(choose, mappings(l, glm.repeat))):
                size = l.get_submodule(mapping.balance[-1]).weight.shape[1] // mapping.repeat
                awq.fold(l, mapping, (0.7 * torch.randn(size, generator=generator)).exp(), glm.head)
        return ((glm.model(input_ids=ids, use_cache=False).logits - base).abs().max() / base.std()).item()
    kinds = sorted({m.smooth.split(".experts.")[0] + (" of experts" if ".experts." in m.smooth else "") for l in glm.layers for m in mappings(l, glm.repeat)})
    for kind in kinds:
        def of_kind(m, kind=kind):
            return m if m.smooth.split(".experts.")[0] + (" of experts" if ".experts." in m.smooth else "") == kind else None
        change = folded(of_kind)
        report(f"{label}: folding {kind} leaves the logits", change < 1e-4, f"largest change {change:.1e} of their deviation")
    if "mlp.gate" in {b for l in glm.layers for m in mappings(l, glm.repeat) for b in m.balance}:
        for left_out in ("mlp.gate", "mlp.shared_experts"):
            change = folded(lambda m: m._replace(balance=[b for b in m.balance if not b.startswith(left_out)]) if "mlp.gate" in m.balance else None)
            report(f"{label}: a mapping without {left_out} would change the logits", change > 1e-2, f"by {change:.2f} of their deviation")


def main():
    if len(sys.argv) < 3:
        print(__doc__, file=sys.stderr)
        return 2
    fixtures(sys.argv[1])
    for folder in sys.argv[2:]:
        on_model(folder)
    print("RESULT", "all held" if held else "FAILED")
    return 0 if held else 1


if __name__ == "__main__":
    sys.exit(main())
