#!/usr/bin/env python3
"""Quantize a GLM checkpoint's decoder with the methods in common use, as marks to beat. Shares no code with Bitsmith.

  yardstick.py MODEL_DIR --tokens TOKENS.json -o OUT_DIR --method minmax awq gptq imatrix ... --scheme w4a16-g128 nvfp4 ...

Each method and scheme gives OUT_DIR/SCHEME-METHOD: the source folder with the dequantized bf16 weights in place of the originals, so that any
evaluator measures the weights alone, and yardstick.json with the settings. A method is one of, joined with '+':
  minmax    scales from the range of each group, rounding to nearest, bit for bit compressed-tensors' (what the others do where they say nothing)
  imatrix   scales from imatrix_mse's search
  awq       AWQ folded in first (value -> output projection only where their sizes agree, as in the library); awq-vo: over grouped heads too
  gptq      GPTQ rounding, layer by layer, each layer calibrated on the outputs of the layers already rounded
"""
import argparse, json, os, time
import torch
torch.set_num_threads(1)
torch.set_grad_enabled(False)
import awq
from glm import Experts, Glm, arguments, fused, linears, mappings, output_of, same_input
from rounding import Moments, gptq, inverse_factor, nearest
from schemes import SCHEMES, absmax, imatrix_absmax


def forward(layer, hidden, kwargs):
    return [output_of(layer, h, k) for h, k in zip(hidden, kwargs)]


def observe(layer, hidden, kwargs, full=True, parents=()):
    """Run the layer on all samples, every expert on every token: its outputs, the moments of each Linear's input by the Linear's name, and the
    arguments that the named parents were called with."""
    moments, calls, handles = {}, {name: [] for name in parents}, []
    for names in same_input(layer):
        first = layer.get_submodule(names[0])
        moments |= dict.fromkeys(names, Moments(first.in_features, full))
        handles.append(first.register_forward_pre_hook(lambda module, args, m=moments[names[0]]: m.add(args[0])))
    for name in parents:
        parent = layer.get_submodule(name)
        handles.append(parent.register_forward_pre_hook(
            lambda module, args, named, c=calls[name]: c.append(arguments(module, args, named)), with_kwargs=True))
    Experts.all_tokens = True
    outputs = forward(layer, hidden, kwargs)
    Experts.all_tokens = False
    for handle in handles:
        handle.remove()
    silent = [name for name, m in moments.items() if m.count == 0]
    if silent:
        raise SystemExit(f"no token reached {silent}")
    return outputs, moments, calls


def first_tokens(calls, limit):
    """The calls with most tokens, as many as reach the limit."""
    chosen, tokens = [], 0
    for call in sorted(calls, key=lambda c: -c["hidden_states"].shape[:-1].numel()):
        if tokens < limit:
            chosen.append(call)
            tokens += call["hidden_states"].shape[:-1].numel()
    return chosen


def awq_factors(glm, samples, schemes, attention_tokens):
    """For each scheme the factors of every mapping of every layer: {scheme: [[(mapping, factors)]]}."""
    hidden, kwargs = glm.layer_inputs(samples)
    found = {scheme.name: [] for scheme in schemes}
    for number, layer in enumerate(glm.layers):
        plan = list(mappings(layer, glm.repeat))
        parents = {m.parent for m in plan if m.parent not in m.balance}
        outputs, moments, calls = observe(layer, hidden, kwargs, parents=parents)
        calls["self_attn"] = first_tokens(calls["self_attn"], attention_tokens)
        for scheme in schemes:
            found[scheme.name].append([])
        for mapping in plan:
            reference = list(awq.run(layer.get_submodule(mapping.parent), calls[mapping.parent])) if mapping.parent in parents else None
            reader = mapping.balance[-1]
            for scheme in schemes:
                s, losses = awq.search(layer, mapping, scheme, moments[reader], calls.get(mapping.parent), reference, glm.head)
                found[scheme.name][-1].append((mapping, s))
                if ".experts." not in mapping.smooth:
                    print(f"  layer {number} {mapping.smooth} {scheme.name}: point {losses.index(min(losses))}, loss {min(losses) / losses[0]:.3f} of none", flush=True)
        hidden = outputs
    return found


def fold(glm, factors, grouped_heads):
    for layer, pairs in zip(glm.layers, factors):
        for mapping, s in pairs:
            if mapping.repeat == 1 or grouped_heads:
                awq.fold(layer, mapping, s, glm.head)


def quantize(glm, samples, scheme, search, carry):
    """Round every Linear of the decoder; `search`: imatrix ranges, `carry`: GPTQ."""
    if search or carry:
        hidden, kwargs = glm.layer_inputs(samples)
    for layer in glm.layers:
        modules, moments = linears(layer), None
        if search or carry:
            outputs, moments, _ = observe(layer, hidden, kwargs, full=carry)
        inverses = {}
        for names in fused(layer):
            weights = [modules[n].weight.data for n in names]
            ranges = [imatrix_absmax(scheme, w, moments[n].square / moments[n].count) if search else absmax(scheme, w) for n, w in zip(names, weights)]
            factors, _ = scheme.scales(ranges)
            for name, weight, f in zip(names, weights, factors):
                if carry and id(moments[name]) not in inverses:
                    inverses[id(moments[name])] = inverse_factor(2 * moments[name].full)
                modules[name].weight.data = gptq(scheme, weight, f, inverses[id(moments[name])]) if carry else nearest(scheme, weight, f)
        if carry:
            hidden = forward(layer, hidden, kwargs)
        elif search:
            hidden = outputs


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("model")
    parser.add_argument("--tokens")
    parser.add_argument("-o", "--output", required=True)
    parser.add_argument("--method", nargs="+", required=True)
    parser.add_argument("--scheme", nargs="+", choices=SCHEMES, default=list(SCHEMES))
    parser.add_argument("--attention-tokens", type=int, default=8192, help="tokens for AWQ's loss behind attention, which is slow on a CPU; all others take all")
    args = parser.parse_args()
    for method in args.method:
        if set(method.split("+")) - {"minmax", "imatrix", "awq", "awq-vo", "gptq"}:
            parser.error(f"unknown method {method}")
    samples = []
    if args.tokens:
        with open(args.tokens, encoding="utf-8") as file:
            samples = json.load(file)
    elif args.method != ["minmax"]:
        parser.error("--tokens is needed")
    schemes = [SCHEMES[name] for name in args.scheme]
    glm = Glm(args.model)
    original = {name: p.data for name, p in glm.model.named_parameters()}
    factors = {}
    if any("awq" in method for method in args.method):
        start = time.monotonic()
        factors = awq_factors(glm, samples, schemes, args.attention_tokens)
        print(f"AWQ's search for {len(schemes)} schemes: {time.monotonic() - start:.0f} s", flush=True)
    for scheme in schemes:
        for method in args.method:
            start, parts = time.monotonic(), method.split("+")
            for name, parameter in glm.model.named_parameters():
                parameter.data = original[name]
            if "awq" in method:
                fold(glm, factors[scheme.name], "awq-vo" in parts)
            quantize(glm, samples, scheme, "imatrix" in parts, "gptq" in parts)
            settings = {"model": os.path.basename(os.path.normpath(args.model)), "method": method, "scheme": scheme.name, "samples": len(samples),
                        "tokens": sum(map(len, samples)), "token file": os.path.basename(args.tokens or ""), "torch": torch.__version__,
                        "awq": f"20 points, duo scaling, min-max in the loss, {args.attention_tokens} tokens for q/k/v" if "awq" in method else None,
                        "gptq": "dampening 0.01, block 128, static activation order, all experts see all tokens" if "gptq" in parts else None,
                        "imatrix": "grid 20, maxshrink 0.95, norm 3.0, patience 5" if "imatrix" in parts else None}
            glm.save(os.path.join(args.output, f"{scheme.name}-{method}"), settings)
            print(f"{scheme.name} {method}: {time.monotonic() - start:.0f} s", flush=True)


if __name__ == "__main__":
    main()
