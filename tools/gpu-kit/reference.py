"""GPT-2 and Llama in plain PyTorch, written from the model's own definitions: the training of stage 5."""
import array
import json
import os

STEPS, BATCH, LENGTH, RATE, WARMUP = 20, 4, 64, 1e-3, 4


def load(torch, path, device):
    """A safetensors file of float32 tensors: names to leaves that want gradients."""
    with open(path, "rb") as file:
        data = file.read()
    length = int.from_bytes(data[:8], "little")
    tensors = {}
    for name, entry in json.loads(data[8:8 + length]).items():
        if name == "__metadata__":
            continue
        if entry["dtype"] != "F32":
            raise ValueError(f"{path}: '{name}' is {entry['dtype']}, not F32")
        begin, end = (8 + length + offset for offset in entry["data_offsets"])
        values = torch.frombuffer(bytearray(data[begin:end]), dtype=torch.float32).reshape(entry["shape"])
        tensors[name] = values.to(device).requires_grad_()
    return tensors


def gpt2(torch, w, config, tokens):
    F = torch.nn.functional
    width, heads, eps = config["n_embd"], config["n_head"], config["layer_norm_epsilon"]
    norm = lambda x, name: F.layer_norm(x, (width,), w[name + ".weight"], w[name + ".bias"], eps)
    linear = lambda x, name: x @ w[name + ".weight"] + w[name + ".bias"]  # stored as [in, out]
    B, T = tokens.shape
    x = w["wte.weight"][tokens] + w["wpe.weight"][:T]
    for layer in range(config["n_layer"]):
        at = f"h.{layer}."
        q, k, v = (y.reshape(B, T, heads, -1).transpose(1, 2)
                   for y in linear(norm(x, at + "ln_1"), at + "attn.c_attn").split(width, 2))
        y = F.scaled_dot_product_attention(q, k, v, is_causal=True)
        x = x + linear(y.transpose(1, 2).reshape(B, T, width), at + "attn.c_proj")
        y = F.gelu(linear(norm(x, at + "ln_2"), at + "mlp.c_fc"), approximate="tanh")
        x = x + linear(y, at + "mlp.c_proj")
    return norm(x, "ln_f") @ w["wte.weight"].t()


def llama(torch, w, config, tokens):
    F = torch.nn.functional
    heads, groups, D = config["num_attention_heads"], config["num_key_value_heads"], config["head_dim"]
    B, T = tokens.shape

    def norm(x, name):
        return x * torch.rsqrt(x.square().mean(-1, keepdim=True) + config["rms_norm_eps"]) * w[name + ".weight"]

    frequency = config["rope_theta"] ** -(torch.arange(0, D, 2, device=tokens.device) / D)
    angle = torch.arange(T, device=tokens.device)[:, None] * frequency
    cos, sin = torch.cat([angle.cos()] * 2, 1), torch.cat([angle.sin()] * 2, 1)

    def rotate(x):
        a, b = x.chunk(2, -1)
        return x * cos + torch.cat([-b, a], -1) * sin

    x = w["model.embed_tokens.weight"][tokens]
    for layer in range(config["num_hidden_layers"]):
        at = f"model.layers.{layer}."
        y = norm(x, at + "input_layernorm")
        q, k, v = ((y @ w[f"{at}self_attn.{p}_proj.weight"].t()).reshape(B, T, -1, D).transpose(1, 2) for p in "qkv")
        k, v = (t.repeat_interleave(heads // groups, 1) for t in (rotate(k), v))
        y = F.scaled_dot_product_attention(rotate(q), k, v, is_causal=True)
        x = x + y.transpose(1, 2).reshape(B, T, -1) @ w[at + "self_attn.o_proj.weight"].t()
        y = norm(x, at + "post_attention_layernorm")
        gate, up = (y @ w[f"{at}mlp.{p}_proj.weight"].t() for p in ("gate", "up"))
        x = x + (F.silu(gate) * up) @ w[at + "mlp.down_proj.weight"].t()
    return norm(x, "model.norm") @ w["lm_head.weight" if "lm_head.weight" in w else "model.embed_tokens.weight"].t()


def train(torch, folder, token_file, device):
    """(loss, gradient norm) of each step, as training.CONFIG says."""
    with open(os.path.join(folder, "config.json")) as file:
        config = json.load(file)
    w = load(torch, os.path.join(folder, "model.safetensors"), device)
    w = {name.removeprefix("transformer."): value for name, value in w.items()}
    forward = {"gpt2": gpt2, "llama": llama}[config["model_type"]]
    groups = [{"params": [p for p in w.values() if p.ndim >= 2], "weight_decay": 0.1},
              {"params": [p for p in w.values() if p.ndim < 2], "weight_decay": 0.0}]
    optimizer = torch.optim.AdamW(groups, lr=RATE, betas=(0.9, 0.95), eps=1e-8)
    with open(token_file, "rb") as file:
        ids = torch.tensor(array.array("H", file.read()).tolist(), device=device)
    rows = []
    for step in range(STEPS):
        window = ids[step * BATCH * LENGTH:(step + 1) * BATCH * LENGTH + 1]
        tokens, targets = window[:-1].reshape(BATCH, LENGTH), window[1:].reshape(BATCH, LENGTH)
        for group in optimizer.param_groups:
            group["lr"] = RATE * min(1, (step + 1) / WARMUP)
        optimizer.zero_grad(set_to_none=True)
        loss = torch.nn.functional.cross_entropy(forward(torch, w, config, tokens).flatten(0, 1), targets.flatten())
        loss.backward()
        norm = torch.nn.utils.clip_grad_norm_(list(w.values()), 1.0)
        optimizer.step()
        rows.append((loss.item(), norm.item()))
    return rows
