"""What lmc bench compares with in PyTorch: one process, one work, run once for each line it reads.

Prints "ready NOTE", then the seconds of each run; a line "error TEXT" instead where it cannot.
"""
import json
import os
import sys
import time

# torch.compile in this process: a pool of processes has no use on few cores.
os.environ.setdefault("TORCHINDUCTOR_COMPILE_THREADS", "1")

WORK, COMPILED, THREADS = json.loads(sys.argv[1]), sys.argv[2] == "1", int(sys.argv[3])
try:
    import torch
    import torch.nn as nn
    import torch.nn.functional as F
except ImportError as error:
    print("error", error, flush=True)
    sys.exit()
torch.set_num_threads(THREADS)
torch.manual_seed(1)


def attention(q, k, v):
    """Causal, over [B, H, T, D]; by hand where this PyTorch has no fused one."""
    if hasattr(F, "scaled_dot_product_attention"):
        return F.scaled_dot_product_attention(q, k, v, is_causal=True)
    t = q.shape[-2]
    scores = (q @ k.transpose(-2, -1)) * q.shape[-1] ** -0.5
    mask = torch.ones(t, t, dtype=torch.bool).tril()
    return torch.softmax(scores.masked_fill(~mask, float("-inf")), -1) @ v


class Block(nn.Module):
    def __init__(self, width, heads, bias):
        super().__init__()
        self.heads = heads
        self.ln_1, self.ln_2 = nn.LayerNorm(width), nn.LayerNorm(width)
        self.qkv, self.proj = nn.Linear(width, 3 * width, bias), nn.Linear(width, width, bias)
        self.up, self.down = nn.Linear(width, 4 * width, bias), nn.Linear(4 * width, width, bias)

    def forward(self, x):
        b, t, c = x.shape
        q, k, v = (y.view(b, t, self.heads, c // self.heads).transpose(1, 2)
                   for y in self.qkv(self.ln_1(x)).split(c, 2))
        x = x + self.proj(attention(q, k, v).transpose(1, 2).reshape(b, t, c))
        return x + self.down(F.gelu(self.up(self.ln_2(x)), approximate="tanh"))


class Gpt2(nn.Module):
    def __init__(self, layers, heads, width, vocab, context, bias):
        super().__init__()
        self.token, self.position = nn.Embedding(vocab, width), nn.Embedding(context, width)
        self.blocks = nn.ModuleList(Block(width, heads, bias) for _ in range(layers))
        self.norm = nn.LayerNorm(width)

    def forward(self, tokens, targets):
        x = self.token(tokens) + self.position.weight[: tokens.shape[1]]
        for block in self.blocks:
            x = block(x)
        logits = self.norm(x) @ self.token.weight.t()
        return F.cross_entropy(logits.flatten(0, 1), targets.flatten())


def make_attention(b, t, h, d, backward):
    q, k, v = (torch.rand(b, h, t, d, requires_grad=backward) for _ in range(3))
    dout = torch.rand(b, h, t, d)
    function = torch.compile(attention) if COMPILED else attention

    def step():
        y = function(q, k, v)
        if backward:
            torch.autograd.grad(y, (q, k, v), dout)

    return step


def make_train(layers, heads, width, vocab, context, biases, batch, length):
    model = Gpt2(layers, heads, width, vocab, context, biases)
    function = torch.compile(model) if COMPILED else model
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-4, weight_decay=0.1)
    tokens, targets = (torch.randint(vocab, (batch, length)) for _ in range(2))

    def step():
        optimizer.zero_grad(set_to_none=True)
        function(tokens, targets).backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()

    return step


def main():
    try:
        step = {"attention": make_attention, "train": make_train}[WORK["kind"]](**WORK["settings"])
        step()  # first uses, and torch.compile
        step()
    except Exception as error:  # whatever it is, the table goes on without this column
        print("error", str(error).splitlines()[0], flush=True)
        return
    print("ready", torch.__version__, flush=True)
    for _ in sys.stdin:
        start = time.perf_counter()
        step()
        print(time.perf_counter() - start, flush=True)


main()
