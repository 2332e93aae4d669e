"""What lmc bench compares with in PyTorch: one process that answers each line it reads with one line.

A work as JSON (kind, settings) gets "ready NUMBER NOTE", "run NUMBER" the seconds of one run, "drop
NUMBER" frees it. "error TEXT" says what cannot be done.
"""
import json
import os
import sys
import time

COMPILED, THREADS, DEVICE = sys.argv[1] == "1", int(sys.argv[2]), sys.argv[3]
if DEVICE == "cpu":  # torch.compile in this process: a pool of processes has no use on few cores
    os.environ.setdefault("TORCHINDUCTOR_COMPILE_THREADS", "1")
try:
    import torch
    import torch.nn as nn
    import torch.nn.functional as F
except ImportError as error:
    print("error", error, flush=True)
    sys.exit()
torch.set_num_threads(THREADS)
torch.manual_seed(1)


def random(*shape, bf16=False, grad=False):
    """Uniform in [-1, 1), as lmc's: products of zeros draw less power and run faster."""
    values = torch.rand(*shape, device=DEVICE) * 2 - 1
    return values.to(torch.bfloat16 if bf16 else torch.float32).requires_grad_(grad)


def attention(q, k, v):
    """Causal, over [B, H, T, D]; by hand where this PyTorch has no fused one."""
    if hasattr(F, "scaled_dot_product_attention"):
        grouped = {"enable_gqa": True} if q.shape[1] != k.shape[1] else {}
        return F.scaled_dot_product_attention(q, k, v, is_causal=True, **grouped)
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
        return F.cross_entropy(logits.flatten(0, 1).float(), targets.flatten())


def make_attention(b, t, h, g, d, backward, bf16):
    q = random(b, h, t, d, bf16=bf16, grad=backward)
    k, v = (random(b, g, t, d, bf16=bf16, grad=backward) for _ in range(2))
    dout = random(b, h, t, d, bf16=bf16)
    function = torch.compile(attention) if COMPILED else attention

    def step():
        y = function(q, k, v)
        if backward:
            torch.autograd.grad(y, (q, k, v), dout)

    return step


def make_product(m, n, k, transpose_a, transpose_b, bf16):
    a = random(*((k, m) if transpose_a else (m, k)), bf16=bf16)
    b = random(*((n, k) if transpose_b else (k, n)), bf16=bf16)
    a, b = a.t() if transpose_a else a, b.t() if transpose_b else b
    out = torch.empty(m, n, dtype=a.dtype, device=DEVICE)
    return lambda: torch.matmul(a, b, out=out)


def make_copy(bytes):
    source = random(bytes // 8)
    to = torch.empty_like(source)
    return lambda: to.copy_(source)


def make_train(layers, heads, width, vocab, context, biases, batch, length, bf16):
    model = Gpt2(layers, heads, width, vocab, context, biases).to(DEVICE)
    function = torch.compile(model) if COMPILED else model
    fused = {"fused": True} if DEVICE == "cuda" else {}
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-4, weight_decay=0.1, **fused)
    tokens, targets = (torch.randint(vocab, (batch, length), device=DEVICE) for _ in range(2))
    # On the CPU the column stays what it was: float32 beside lmc's bf16.
    rounded = torch.autocast(DEVICE, torch.bfloat16, enabled=bf16 and DEVICE == "cuda")

    def step():
        optimizer.zero_grad(set_to_none=True)
        with rounded:
            loss = function(tokens, targets)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()

    return step


def fastest_backend(step):
    """Attention by the fastest of PyTorch's backends that take it, and its name."""
    from torch.nn.attention import SDPBackend, sdpa_kernel

    def within(backend):
        def run():
            with sdpa_kernel(backend):
                step()
        return run

    times = {}
    for backend in (SDPBackend.FLASH_ATTENTION, SDPBackend.CUDNN_ATTENTION,
                    SDPBackend.EFFICIENT_ATTENTION, SDPBackend.MATH):
        if backend == SDPBackend.MATH and times:
            break  # [T, T] in memory: only where there is nothing else
        run = within(backend)
        try:
            run()
            run()
            times[backend] = min(seconds(run) for _ in range(3))
        except RuntimeError:
            continue  # this backend does not take the shape
    if not times:
        raise RuntimeError("no backend of scaled_dot_product_attention takes this shape")
    best = min(times, key=times.get)
    return within(best), best.name


def seconds(step):
    """Of one run: by the GPU's clock where there is one."""
    if DEVICE != "cuda":
        start = time.perf_counter()
        step()
        return time.perf_counter() - start
    begin, end = (torch.cuda.Event(enable_timing=True) for _ in range(2))
    torch.cuda._sleep(200_000)  # some 0.1 ms in which Python queues what is timed
    begin.record()
    step()
    end.record()
    end.synchronize()
    return begin.elapsed_time(end) / 1e3


def make(kind, settings):
    """A work that has run, and what to know of it."""
    note = torch.__version__
    step = {"attention": make_attention, "product": make_product, "copy": make_copy,
            "train": make_train}[kind](**settings)
    if kind == "attention" and DEVICE == "cuda" and not COMPILED:
        step, note = fastest_backend(step)
    step()  # first uses, and torch.compile
    step()
    if DEVICE == "cuda":
        torch.cuda.synchronize()
    return step, note


def answer(line, works):
    command, _, number = line.partition(" ")
    if command == "run":
        return seconds(works[int(number)])
    if command == "drop":
        works[int(number)] = None
        if DEVICE == "cuda":
            torch.cuda.empty_cache()  # lmc's next case wants the memory
        return "dropped"
    step, note = make(**json.loads(line))
    works.append(step)
    return f"ready {len(works) - 1} {note}"


works = []
for line in sys.stdin:
    try:
        print(answer(line.strip(), works), flush=True)
    except Exception as error:  # whatever it is, the table goes on without this column
        print("error", (str(error).splitlines() or [repr(error)])[0], flush=True)
