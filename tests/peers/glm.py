"""GLM checkpoints in transformers, one decoder layer at a time: which Linears read the same input, which share a global scale, which norm or
projection AWQ folds into, and how the result is written back with the source's tensor names."""
import inspect, json, os, shutil
from collections import namedtuple
os.environ.setdefault("HF_HUB_OFFLINE", "1")
os.environ.setdefault("TORCHDYNAMO_DISABLE", "1")
import torch, transformers
from safetensors import safe_open
from safetensors.torch import save_file

# smooth: the module that takes the division; balance: Linears (and router) that read its output; parent: whose output is compared.
# repeat: how many heads of the balance layer's input read the same rows of smooth (grouped-query attention), else 1.
Mapping = namedtuple("Mapping", "smooth balance parent repeat")


class Expert(torch.nn.Module):
    def __init__(self, gate_up, down, activation):
        super().__init__()
        def linear(weight):
            module = torch.nn.Linear(weight.shape[1], weight.shape[0], bias=False, device="meta")
            module.weight = torch.nn.Parameter(weight.detach().clone(), requires_grad=False)
            return module
        gate, up = gate_up.chunk(2)
        self.gate_proj, self.up_proj, self.down_proj, self.activation = linear(gate), linear(up), linear(down), activation

    def forward(self, x):
        return self.down_proj(self.activation(self.gate_proj(x)) * self.up_proj(x))


class Experts(torch.nn.ModuleList):
    """Routed experts as Linears of their own. With `all_tokens` every expert runs on every token, so that hooks see all of them; the
    output is always that of the routed ones."""
    all_tokens = False

    def __init__(self, fused):
        super().__init__(Expert(g, d, fused.act_fn) for g, d in zip(fused.gate_up_proj, fused.down_proj))

    def forward(self, x, indices, weights):
        out = torch.zeros_like(x)
        for number, expert in enumerate(self):
            tokens, place = torch.where(indices == number)
            if Experts.all_tokens:
                y = expert(x)[tokens]
            elif tokens.numel():
                y = expert(x[tokens])
            else:
                continue
            out.index_add_(0, tokens, (y * weights[tokens, place, None]).to(out.dtype))
        return out


class Glm:
    def __init__(self, folder, dtype=torch.bfloat16):
        self.folder = folder
        config = transformers.AutoConfig.from_pretrained(folder)
        cls = getattr(transformers, config.architectures[0])
        # Eager attention: the fused kernel needs a BLAS with vector code to be fast.
        self.model, info = cls.from_pretrained(folder, dtype=dtype, attn_implementation="eager", output_loading_info=True)
        if any(info.get(k) for k in ("missing_keys", "unexpected_keys", "mismatched_keys")):
            raise SystemExit(f"{folder}: not every tensor was loaded: {info}")
        self.model.eval().requires_grad_(False)
        for name, module in list(self.model.named_modules()):
            if hasattr(module, "experts") and hasattr(module.experts, "gate_up_proj"):
                module.experts = Experts(module.experts)
        text = config.get_text_config()
        self.repeat, self.head = text.num_attention_heads // text.num_key_value_heads, getattr(text, "head_dim", None) or text.hidden_size // text.num_attention_heads
        decoder = getattr(self.model.model, "language_model", self.model.model)
        self.layers = list(decoder.layers)
        self.prefix = "model.language_model.layers." if decoder is not self.model.model else "model.layers."

    def layer_inputs(self, samples, batch=16):
        """The first layer's inputs and the other arguments of every layer, for batches of samples of one length: nothing is padded."""
        found, lengths = [], {}
        for ids in samples:
            lengths.setdefault(len(ids), []).append(ids)
        class Reached(Exception): pass
        def catch(module, args, kwargs):
            found.append((args[0], kwargs))
            raise Reached
        handle = self.layers[0].register_forward_pre_hook(catch, with_kwargs=True)
        for ids in (same[k:k + batch] for same in lengths.values() for k in range(0, len(same), batch)):
            try:
                self.model(input_ids=torch.tensor(ids), use_cache=False)
            except Reached:
                pass
        handle.remove()
        return [h for h, _ in found], [k for _, k in found]

    def save(self, output, settings):
        """The source folder with this model's decoder layers in place of its own: same names, types, shards and config."""
        os.makedirs(output, exist_ok=True)
        state = self.model.state_dict()
        for name in sorted(os.listdir(self.folder)):
            path = os.path.join(self.folder, name)
            if not name.endswith(".safetensors"):
                shutil.copyfile(path, os.path.join(output, name))
                continue
            with safe_open(path, "pt") as source:
                tensors, metadata = {k: source.get_tensor(k) for k in source.keys()}, source.metadata()
            for key, tensor in tensors.items():
                if key.startswith(self.prefix):
                    new = state[key]
                    if new.dtype != tensor.dtype or new.shape != tensor.shape:
                        raise SystemExit(f"{key}: {new.dtype} {tuple(new.shape)} in place of {tensor.dtype} {tuple(tensor.shape)}")
                    tensors[key] = new.contiguous()
            save_file(tensors, os.path.join(output, name), metadata)
        with open(os.path.join(output, "yardstick.json"), "w", encoding="utf-8") as file:
            json.dump(settings, file, indent=1)


def output_of(layer, hidden, kwargs):
    out = layer(hidden, **kwargs)
    return out[0] if isinstance(out, tuple) else out


def linears(layer):
    return {name: module for name, module in layer.named_modules() if isinstance(module, torch.nn.Linear)}


def same_input(layer):
    """Lists of Linears of one layer that read the same tensor; the first stands for all in the statistics."""
    groups = {}
    for name in linears(layer):
        parent, leaf = name.rsplit(".", 1)
        if leaf in ("gate_proj", "up_proj", "gate_up_proj"):
            key = "mlp input"
        else:
            key = parent + " input" if leaf in ("q_proj", "k_proj", "v_proj") else name
        groups.setdefault(key, []).append(name)
    return list(groups.values())


def fused(layer):
    """Lists of Linears that share an NVFP4 global scale: q/k/v, and gate/up of one MLP or expert."""
    groups = {}
    for name in linears(layer):
        parent, leaf = name.rsplit(".", 1)
        kind = {"q_proj": "qkv", "k_proj": "qkv", "v_proj": "qkv", "gate_proj": "gate_up", "up_proj": "gate_up"}.get(leaf, leaf)
        groups.setdefault((parent, kind), []).append(name)
    return list(groups.values())


def mappings(layer, repeat):
    """AWQ's mappings of one layer. The parent of several balance layers is the module that holds them, of one it is that layer itself."""
    names = linears(layer)
    yield Mapping("input_layernorm", ["self_attn.q_proj", "self_attn.k_proj", "self_attn.v_proj"], "self_attn", 1)
    yield Mapping("self_attn.v_proj", ["self_attn.o_proj"], "self_attn.o_proj", repeat)
    readers = [n for n in names if n.startswith("mlp.") and not n.endswith("down_proj")]
    if isinstance(getattr(layer.mlp, "experts", None), Experts):
        readers.insert(0, "mlp.gate")
    yield Mapping("post_attention_layernorm", readers, "mlp" if len(readers) > 1 else readers[0], 1)
    for name in names:
        if name.endswith("down_proj"):
            stem = name.removesuffix("down_proj")
            yield Mapping(stem + ("up_proj" if stem + "up_proj" in names else "gate_up_proj"), [name], name, 1)


def arguments(module, args, kwargs):
    """Arguments of a call by name, to call the module again."""
    bound = inspect.signature(module.forward).bind(*args, **kwargs).arguments
    return {**{k: v for k, v in bound.items() if k != "kwargs"}, **bound.get("kwargs", {})}
