#!/usr/bin/env python3
"""Compress a Hugging Face safetensors folder with the real compressed-tensors library, data-free, on one thread.

  library_compress.py SOURCE_DIR OUT_DIR --block 128 [--ignore RE ...]     write a folder that clients load
  library_compress.py SOURCE_DIR OUT_DIR --group w4a16:32 [--ignore ...]   another scheme for every Linear: fp8:SIDE, w4a16:GROUP, w4a16-asym:GROUP, nvfp4a16
  library_compress.py SOURCE_DIR OUT_DIR --group 're:.*mlp.*=w4a16:64' --group 're:.*self_attn.*=nvfp4a16' ...   several schemes
  library_compress.py SOURCE_DIR --block 128 [--ignore RE ...] --time-only [--limit-gb N]
  library_compress.py --self-check GOLDEN_DIR                              compare with golden files made through llm-compressor

An --ignore is an entry of the library's ignore list: a module's name or class, or re:PATTERN. What is a Linear is what transformers
builds as torch.nn.Linear from config.json; routed experts that the checkpoint stores one by one count as Linears, as for llm-compressor.
--time-only times observing, scales and compress_module; reading, building the module and a warm-up are outside.

What the flow is: the module holds the weight and the scheme; per-block minimum and maximum over the weight padded with zeros
(llm-compressor's memoryless_minmax observer), or over groups of columns; the library's calculate_qparams; the library's compress_module. Zero
points of asymmetric schemes only. Global scales of NVFP4 follow from the range over q/k/v or gate/up of one parent together (llm-compressor's fused layers).
Exit code: 0 fine, 1 the self-check found a difference.
"""
import argparse, contextlib, os, re, shutil, sys, time
os.environ.setdefault("HF_HUB_OFFLINE", "1")
os.environ.setdefault("TORCHDYNAMO_DISABLE", "1")
import torch
torch.set_num_threads(1)
torch.set_grad_enabled(False)
from safetensors import safe_open
from safetensors.torch import load_file, save_file
from compressed_tensors.compressors import compress_module
from compressed_tensors.compressors.model_compressors.model_compressor import ModelCompressor
from compressed_tensors.quantization import QuantizationArgs, QuantizationConfig, apply_quantization_config, initialize_module_for_quantization
from compressed_tensors.quantization.quant_scheme import preset_name_to_scheme
from compressed_tensors.quantization.utils import calculate_qparams, generate_gparam, maybe_pad_tensor_for_block_quant


FUSED = (("q_proj", "k_proj", "v_proj"), ("gate_proj", "up_proj"))


def scheme_of(block, targets=("Linear",)):
    return scheme_named(f"fp8:{block}", targets)


def scheme_named(text, targets):
    name, _, size = text.partition(":")
    scheme = preset_name_to_scheme({"fp8": "FP8_BLOCK", "w4a16": "W4A16", "w4a16-asym": "W4A16_ASYM", "nvfp4a16": "NVFP4A16"}[name], list(targets))
    args = scheme.weights.model_dump()
    args.update({"fp8": {"block_structure": [int(size or 128)] * 2}, "w4a16": {"group_size": int(size or 128)}, "w4a16-asym": {"group_size": int(size or 128)}}.get(name, {}))
    args.pop("zp_dtype", None)
    scheme.weights = QuantizationArgs(**args)
    return scheme


def schemes_of(groups):
    """One scheme for each target=scheme; a scheme alone is for every Linear."""
    pairs = [group.rpartition("=") for group in groups]
    return [scheme_named(scheme, [target or "Linear"]) for target, _, scheme in pairs]


def prepare(weight, scheme):
    with torch.device("meta"):
        module = torch.nn.Linear(weight.shape[1], weight.shape[0], bias=False, dtype=weight.dtype)
    module.weight = torch.nn.Parameter(weight, requires_grad=False)
    initialize_module_for_quantization(module, scheme.model_copy(deep=True), force_zero_point=False)
    return module


def compress(module, fused_range=None):
    args = module.quantization_scheme.weights
    weight = module.weight.data
    if args.block_structure:
        height, width = args.block_structure
        padded = maybe_pad_tensor_for_block_quant(weight, (height, width))
        blocks = padded.unflatten(0, (-1, height)).unflatten(-1, (-1, width))
        # Over rows first: the same values as over both at once, in a fraction of the time.
        low, high = blocks.amin(dim=1).amin(dim=-1), blocks.amax(dim=1).amax(dim=-1)
    else:
        groups = weight.unflatten(-1, (-1, args.group_size))
        low, high = groups.amin(dim=-1), groups.amax(dim=-1)
    if args.strategy == "tensor_group":
        low_of_all, high_of_all = fused_range or (weight.amin(), weight.amax())
        module.weight_global_scale.data.copy_(generate_gparam(low_of_all.reshape(1), high_of_all.reshape(1)))
        scale, _ = calculate_qparams(low, high, args, global_scale=module.weight_global_scale.data)
    else:
        scale, zero_point = calculate_qparams(low, high, args)
        if not args.symmetric:
            module.weight_zero_point.data.copy_(zero_point)
    module.weight_scale.data.copy_(scale)
    compress_module(module)
    return {name: tensor.detach().contiguous() for name, tensor in module.state_dict().items()}


def fused_range(folder, places, modules, name):
    """Smallest and largest weight of all that share a global scale with a module, or None where it has none."""
    if modules[name].quantization_scheme.weights.strategy != "tensor_group":
        return None
    parent, _, last = name.rpartition(".")
    partners = next((names for names in FUSED if last in names), (last,))
    weights = [read(folder, places, f"{parent}.{partner}.weight") for partner in partners if f"{parent}.{partner}" in modules]
    return torch.stack([weight.amin() for weight in weights]).amin(), torch.stack([weight.amax() for weight in weights]).amax()


def tensors_of(folder):
    """{name: file} in the order of files and of data."""
    places = {}
    for file in sorted(name for name in os.listdir(folder) if name.endswith(".safetensors")):
        with safe_open(os.path.join(folder, file), "pt") as data:
            places.update((name, file) for name in data.offset_keys())
    return places


def model_on_meta(folder, names):
    """The client's own module tree, without memory, with routed experts one by one where the checkpoint has them so."""
    import transformers
    config = transformers.AutoConfig.from_pretrained(folder)
    with contextlib.redirect_stdout(sys.stderr), torch.device("meta"):  # transformers prints remarks on its own docstrings
        model = getattr(transformers, config.architectures[0])(config)
    modules = dict(model.named_modules())
    for name in names:
        found = re.fullmatch(r"(.+\.experts)\.(\d+)\.(\w+_proj)\.weight", name)
        if not found or found[1] not in modules:
            continue
        parent = modules[found[1]]
        if not isinstance(parent, torch.nn.ModuleDict):
            parent = modules[found[1]] = torch.nn.ModuleDict()
            model.set_submodule(found[1], parent)
        if found[2] not in parent:
            parent[found[2]] = torch.nn.ModuleDict()
        with torch.device("meta"):
            parent[found[2]][found[3]] = torch.nn.Linear(128, 128, bias=False)  # only the name counts
    return model


def quantized_modules(model, schemes, ignore):
    config = QuantizationConfig(config_groups={f"group_{i}": scheme for i, scheme in enumerate(schemes)}, ignore=ignore)
    apply_quantization_config(model, config)
    return {name: module for name, module in model.named_modules() if getattr(module, "quantization_scheme", None) is not None}


def read(folder, places, name):
    with safe_open(os.path.join(folder, places[name]), "pt") as data:
        return data.get_tensor(name).clone()  # out of the mapping, so that no page is missing later


def measure(folder, places, names, scheme, limit):
    seconds = total = count = 0
    for name in names:
        weight = read(folder, places, name)
        if total + weight.nbytes > limit:
            continue
        if count == 0:
            compress(prepare(weight.clone(), scheme))
        module = prepare(weight, scheme)
        start = time.perf_counter()
        compress(module)
        seconds += time.perf_counter() - start
        total += weight.nbytes
        count += 1
    print("library, %d thread: %d Linears, %d bytes, %.3f s, %.3f GB/s" % (torch.get_num_threads(), count, total, seconds, total / seconds / 1e9))


def write(folder, out, places, model, modules):
    os.makedirs(out)
    for file in os.listdir(folder):
        if not file.endswith((".safetensors", ".safetensors.index.json")):
            shutil.copyfile(os.path.join(folder, file), os.path.join(out, file))
    result = {}
    for name in places:
        module_name, _, parameter = name.rpartition(".")
        tensor = read(folder, places, name)
        if parameter == "weight" and module_name in modules:
            result.update((f"{module_name}.{key}", value) for key, value in compress(
                prepare(tensor, modules[module_name].quantization_scheme), fused_range(folder, places, modules, module_name)).items())
        else:
            result[name] = tensor
    save_file(result, os.path.join(out, "model.safetensors"), {"format": "pt"})
    # compress_model on the empty tree sets formats and statuses as it would on the full one; update_config writes them.
    for module in modules.values():
        compress_module(module)
    compressor = ModelCompressor.from_pretrained_model(model)
    compressor.update_config(out)
    print(f"{len(modules)} Linears compressed, {len(result)} tensors written")


def self_check(golden):
    inputs = load_file(os.path.join(golden, "inputs.safetensors"))
    wrong = compared = 0
    for block in (128, 32):
        expected = load_file(os.path.join(golden, f"fp8_block{block}.safetensors"))
        for name in sorted({key.rsplit(".", 1)[0] for key in expected}):
            result = compress(prepare(inputs[name].clone(), scheme_of(block)))
            wanted = {key.rsplit(".", 1)[1]: value for key, value in expected.items() if key.rsplit(".", 1)[0] == name}
            same = result.keys() == wanted.keys() and all(
                result[key].dtype == wanted[key].dtype and torch.equal(result[key].view(torch.uint8), wanted[key].view(torch.uint8)) for key in wanted)
            compared += 1
            if not same:
                wrong += 1
                print(f"block {block}, {name}: differs; {[(key, tuple(value.shape), value.dtype) for key, value in result.items()]}")
    print(f"self-check: {compared} matrices compared, {wrong} differ")
    return 1 if wrong or not compared else 0


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("source", nargs="?"), parser.add_argument("out", nargs="?")
    parser.add_argument("--block", type=int, default=128)
    parser.add_argument("--group", action="append", default=[])
    parser.add_argument("--ignore", action="append", default=[])
    parser.add_argument("--time-only", action="store_true")
    parser.add_argument("--limit-gb", type=float, default=float("inf"))
    parser.add_argument("--self-check")
    a = parser.parse_args()
    if a.self_check:
        return self_check(a.self_check)
    if not a.source or bool(a.out) == a.time_only:
        parser.error("SOURCE_DIR and either OUT_DIR or --time-only are needed")
    schemes, places = schemes_of(a.group) if a.group else [scheme_of(a.block)], tensors_of(a.source)
    model = model_on_meta(a.source, places)
    modules = quantized_modules(model, schemes, a.ignore)
    modules = {name: module for name, module in modules.items() if f"{name}.weight" in places}
    if a.time_only:
        names = [name for name in places if name.endswith(".weight") and name.removesuffix(".weight") in modules]
        measure(a.source, places, names, schemes[0], a.limit_gb * 1e9)
    else:
        write(a.source, a.out, places, model, modules)
    return 0


if __name__ == "__main__":
    sys.exit(main())
