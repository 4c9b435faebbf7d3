#!/usr/bin/env python3
"""Load a compressed-tensors checkpoint with the real client (transformers + compressed_tensors)
and print / save / compare logits for given token ids.  Offline, CPU, one thread by default.

  check_compressed_tensors.py MODEL_DIR --ids 1,2,3 --save logits.safetensors
  check_compressed_tensors.py MODEL_DIR --ids @ids.txt --compare logits.safetensors --max-abs 0.05

--mode lazy      default of the client: stay compressed after loading, decompress on the first forward
--mode eager     run_compressed=False: decompress right after loading
--weights-only   switch off the fake quantization of activations (dequantized weights only)
--explicit-args  dequantize with the scheme's own block structure instead of the one the library guesses
                 from the scale's shape (needed for weights that are not a whole number of blocks)
Exit code: 0 fine, 1 keys missing/unexpected or comparison failed, 2 the client raised.
"""
import argparse, json, os, sys, traceback
os.environ.setdefault("HF_HUB_OFFLINE", "1")
os.environ.setdefault("TORCHDYNAMO_DISABLE", "1")  # the FP4 cast is a torch.compile function: no C++ compiler needed


def per_expert_linears(model_type):
    """transformers >= 5 keeps routed experts as 3-D parameters, which compressed-tensors cannot address.
    Swap in a ModuleList of per-expert Linears (names experts.N.{gate,up,down}_proj) and drop the merge rules."""
    import importlib, torch
    from transformers.activations import ACT2FN
    from transformers.conversion_mapping import get_checkpoint_conversion_mapping, register_checkpoint_conversion_mapping
    from transformers.monkey_patching import register_patch_mapping

    mod = importlib.import_module(f"transformers.models.{model_type}.modeling_{model_type}")
    names = [n for n in dir(mod) if n.endswith(("NaiveMoe", "Experts")) and isinstance(getattr(mod, n), type)]
    if not names:
        return []

    class Expert(torch.nn.Module):
        def __init__(self, h, i):
            super().__init__()
            self.gate_proj = torch.nn.Linear(h, i, bias=False)
            self.up_proj = torch.nn.Linear(h, i, bias=False)
            self.down_proj = torch.nn.Linear(i, h, bias=False)

    class Experts(torch.nn.ModuleList):
        _is_hf_initialized = True  # keeps the model's own weight init (which expects 3-D parameters) away

        def __init__(self, config, *a, **k):
            n = getattr(config, "num_local_experts", None) or config.n_routed_experts
            super().__init__([Expert(config.hidden_size, config.moe_intermediate_size) for _ in range(n)])
            self.fn = ACT2FN[config.hidden_act]

        def forward(self, x, idx, w):
            out = torch.zeros_like(x)
            for e, m in enumerate(m for m in self if isinstance(m, Expert)):
                tok, pos = torch.where(idx == e)
                if tok.numel():
                    y = m.down_proj(self.fn(m.gate_proj(x[tok])) * m.up_proj(x[tok]))
                    out.index_add_(0, tok, (y * w[tok, pos, None]).to(out.dtype))
            return out

    register_patch_mapping({n: Experts for n in names})
    rules = get_checkpoint_conversion_mapping(model_type) or []
    keep = [r for r in rules if not any("experts" in t for t in r.target_patterns)]
    register_checkpoint_conversion_mapping(model_type, keep, overwrite=True)
    return names


def main():
    ap = argparse.ArgumentParser()
    ap.add_argument("model_dir")
    ap.add_argument("--ids", required=True, help="comma separated token ids, or @file")
    ap.add_argument("--save"), ap.add_argument("--compare")
    ap.add_argument("--max-abs", type=float, default=None), ap.add_argument("--max-kl", type=float, default=None)
    ap.add_argument("--mode", choices=("lazy", "eager"), default="lazy")
    ap.add_argument("--weights-only", action="store_true"), ap.add_argument("--explicit-args", action="store_true")
    ap.add_argument("--mtp-layer", type=int, help="layer that transformers drops: its tensors are not unexpected")
    ap.add_argument("--fused-experts", action="store_true", help="leave transformers' 3-D experts alone")
    ap.add_argument("--attention", help="transformers' attn_implementation, for example eager")
    ap.add_argument("--dtype", default="auto"), ap.add_argument("--threads", type=int, default=1)
    a = ap.parse_args()

    import torch, transformers, compressed_tensors
    from safetensors.torch import load_file, save_file
    torch.set_num_threads(a.threads)
    text = open(a.ids[1:]).read() if a.ids.startswith("@") else a.ids
    ids = torch.tensor([[int(t) for t in text.replace(",", " ").split()]])
    cfg = transformers.AutoConfig.from_pretrained(a.model_dir)
    qc = getattr(cfg, "quantization_config", None)
    print("torch", torch.__version__, "transformers", transformers.__version__, "compressed_tensors", compressed_tensors.__version__)
    print("format", qc and qc.get("format"), "status", qc and qc.get("quantization_status"), "groups", qc and list(qc.get("config_groups", {})))
    if a.explicit_args:
        import compressed_tensors.compressors.naive_quantized.base as nb
        real, comp = nb.dequantize, nb.NaiveQuantizationCompressor.decompress.__func__
        def decompress(cls, sd, scheme):
            nb.dequantize = lambda **k: real(args=scheme.weights, **k)
            try:
                return comp(cls, sd, scheme)
            finally:
                nb.dequantize = real
        nb.NaiveQuantizationCompressor.decompress = classmethod(decompress)
    text_type = cfg.get_text_config().model_type.removesuffix("_text")
    if not a.fused_experts:
        try:
            swapped = per_expert_linears(text_type)
            if swapped: print("experts unfused:", swapped)
        except ModuleNotFoundError:
            pass
    cls = getattr(transformers, cfg.architectures[0], transformers.AutoModelForCausalLM)
    kw = {}
    if qc and a.mode == "eager":
        kw["quantization_config"] = transformers.CompressedTensorsConfig(run_compressed=False)
    if a.attention:
        kw["attn_implementation"] = a.attention
    model, info = cls.from_pretrained(a.model_dir, dtype=a.dtype, output_loading_info=True, **kw)
    model.eval()
    if a.mtp_layer is not None:
        info["unexpected_keys"] = [k for k in info["unexpected_keys"] if not k.startswith(f"model.layers.{a.mtp_layer}.")]
    bad = {k: sorted(map(str, v)) for k, v in info.items() if v}
    q = {n: m for n, m in model.named_modules() if getattr(m, "quantization_scheme", None) is not None}
    print("quantized modules", len(q), "| loading report", json.dumps({k: v[:6] + (["..."] if len(v) > 6 else []) for k, v in bad.items()}))
    with torch.no_grad():
        if a.weights_only:
            if hasattr(model, "ct_decompress_hook"):  # run the client's own decompression, then drop activation QDQ
                model.hf_quantizer.compressor.decompress_model(model)
            for m in q.values(): m.quantization_enabled = False
        logits = model(input_ids=ids).logits[0].float()
    print("status after forward", sorted({str(m.quantization_status.value) for m in q.values()}))
    print("logits", tuple(logits.shape), "finite", bool(logits.isfinite().all()), "mean %.6f std %.6f" % (logits.mean(), logits.std()))
    for p in range(min(len(logits), 4)):
        v, i = logits[p].topk(5); print("pos", p, [(int(t), round(float(s), 4)) for s, t in zip(v, i)])
    if a.save: save_file({"logits": logits.contiguous(), "ids": ids[0]}, a.save)
    ok = not any(k in bad for k in ("missing_keys", "unexpected_keys", "mismatched_keys", "error_msgs"))
    if a.compare:
        ref = load_file(a.compare)["logits"].float()
        d = (ref - logits).abs().max().item()
        kl = torch.nn.functional.kl_div(logits.log_softmax(-1), ref.log_softmax(-1), log_target=True, reduction="batchmean").item()
        top = (ref.argmax(-1) == logits.argmax(-1)).float().mean().item()
        print("compare: max abs %.6g  mean KL(ref||this) %.6g  same top-1 %.3f" % (d, kl, top))
        ok &= (a.max_abs is None or d <= a.max_abs) and (a.max_kl is None or kl <= a.max_kl)
    print("RESULT", "ok" if ok else "FAILED")
    return 0 if ok else 1


if __name__ == "__main__":
    try:
        sys.exit(main())
    except Exception:
        traceback.print_exc(); print("RESULT raised"); sys.exit(2)
