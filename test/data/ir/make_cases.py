"""Writes op_cases.json: one entry a case with the op's text, inputs and what NumPy (float64) says.

usage: make_cases.py > op_cases.json     (needs numpy)

`args` and `results` hold elements in row-major order, their shapes stand in the op's text; `grad` lists
the arguments that take a gradient through the first result; an empty list comes with the reason that
the adjoint must give, or with "" where nothing can flow (integers, no operands). Attributes and shapes are odd and unequal on purpose.
"""
import json
import math

import numpy as np

rng = np.random.default_rng(7)
cases = []
erf = np.vectorize(math.erf)


def real(*shape, low=-2.0, high=2.0):
    """Distinct values on a grid, none at zero, so that no case sits on a kink or a tie."""
    n = int(np.prod(shape, dtype=int))
    step = (high - low) / (n + 1)
    grid = low + step * (np.arange(n) + 0.75)
    return np.round(rng.permutation(grid), 4).reshape(shape)


def ids(high, *shape):
    return rng.integers(0, high, shape).astype(np.int32)


def tensor(shape, element):
    return "tensor<" + "".join(f"{n}x" for n in shape) + element + ">"


def element_of(array):
    return {"int32": "i32", "bool": "i1", "int8": "i8", "float64": "f64", "float32": "f32"}[str(array.dtype)]


def numbers(array):
    return [float(f"{x:.13g}") for x in np.asarray(array).astype(float).ravel()]


def add(op, args, results, attributes="", grad=(), reason=None, tag="", text=None, before=""):
    """`text` replaces the op's line, `before` stands in front of it; results are arrays, or (array, element type)."""
    args = [np.asarray(a) for a in args]
    results = [r if isinstance(r, tuple) else (np.asarray(r), None) for r in results]
    types = [tensor(a.shape, element_of(a)) for a in args]
    outs = [tensor(np.asarray(r).shape, e or element_of(np.asarray(r))) for r, e in results]
    names = [f"%a{i}" for i in range(len(args))]
    ys = f"%y:{len(outs)}" if len(outs) > 1 else "%y"
    if text is None:
        body = f"lm.{op} {', '.join(names)} {attributes} : ({', '.join(types)}) -> "
        body += outs[0] if len(outs) == 1 else f"({', '.join(outs)})"
    else:
        body = text
    returned = [f"%y#{i}" for i in range(len(outs))] if len(outs) > 1 else ["%y"]
    mlir = (f"func.func @f({', '.join(n + ': ' + t for n, t in zip(names, types))}) -> "
            f"({', '.join(outs)}) {{\n  {before}{ys} = {body}\n"
            f"  return {', '.join(returned)} : {', '.join(outs)}\n}}\n")
    entry = {"name": op + ("." + tag if tag else ""), "op": op, "mlir": mlir,
             "args": [numbers(a) for a in args], "results": [numbers(r) for r, _ in results],
             "grad": list(grad)}
    if reason is not None:
        entry["reason"] = reason
    assert grad or reason is not None, op
    cases.append(entry)


# ---- pointwise ---------------------------------------------------------------------------------
x = real(3, 5)
for op, f in [("neg", np.negative), ("abs", np.abs), ("exp", np.exp), ("expm1", np.expm1),
              ("tanh", np.tanh), ("erf", erf), ("sin", np.sin), ("cos", np.cos)]:
    add(op, [x], [f(x)], grad=[0])
p = real(2, 7, low=0.1, high=4)
add("log", [p], [np.log(p)], grad=[0])
add("sqrt", [p], [np.sqrt(p)], grad=[0])
add("rsqrt", [p], [1 / np.sqrt(p)], grad=[0])
a, b = real(3, 5), real(3, 5) - 0.05  # no ties
for op, f in [("add", np.add), ("sub", np.subtract), ("mul", np.multiply), ("div", np.divide),
              ("maximum", np.maximum), ("minimum", np.minimum)]:
    add(op, [a, b], [f(a, b)], grad=[0, 1])
i, j = ids(9, 4), ids(9, 4) + 1
for op, f in [("add", np.add), ("sub", np.subtract), ("mul", np.multiply), ("div", np.floor_divide),
              ("maximum", np.maximum), ("minimum", np.minimum)]:
    add(op, [i, j], [f(i, j).astype(np.int32)], tag="i32", reason="")
nan = np.array([1.0, np.nan, 3.0])
add("convert", [x], [(x, "f32")], grad=[0], tag="narrow")
add("convert", [i], [i.astype(float)], reason="", tag="from_i32")
add("convert", [x > 0], [(x > 0).astype(float)], reason="", tag="from_mask")
add("convert", [x * 3], [np.trunc(x * 3).astype(np.int32)], reason="", tag="to_i32")
same = a.copy()
same[0] = b[0]
for predicate, f in [("eq", np.equal), ("lt", np.less), ("le", np.less_equal),
                     ("gt", np.greater), ("ge", np.greater_equal)]:
    add("compare", [same, b], [f(same, b)], f'{{predicate = "{predicate}"}}', tag=predicate,
        reason="a comparison is piecewise constant")
    add("compare", [i, j], [f(i, j)], f'{{predicate = "{predicate}"}}', tag=predicate + ".i32",
        reason="a comparison is piecewise constant")
add("is_finite", [x], [np.isfinite(x)], reason="a test is piecewise constant")
mask = rng.integers(0, 2, (3, 5)).astype(bool)
add("select", [mask, a, b], [np.where(mask, a, b)], grad=[1, 2])

# ---- shape -------------------------------------------------------------------------------------
c = np.array([[1.5, -2.0, 0.25], [4.0, 5.0, -6.5]])
add("constant", [], [c], reason="", text="lm.constant dense<[[1.5, -2.0, 0.25], [4.0, 5.0, -6.5]]> "
    ": tensor<2x3xf64>")
add("iota", [], [np.broadcast_to(np.arange(3.0)[:, None], (2, 3, 4))], reason="",
    text="lm.iota {dim = 1 : i64} : () -> tensor<2x3x4xf64>")
s = np.array(1.25)
add("broadcast", [s], [np.full((2, 3), 1.25)], "{dims = array<i64>}", grad=[0], tag="scalar")
v = real(3)
add("broadcast", [v], [np.broadcast_to(v[:, None], (2, 3, 4))], "{dims = array<i64: 1>}", grad=[0],
    tag="middle")
u = real(3, 1, 2)
add("broadcast", [u], [np.broadcast_to(u[:, None], (3, 3, 2, 2))], "{dims = array<i64: 0, 2, 3>}",
    grad=[0], tag="unit")
r = real(3, 4)
add("reshape", [r], [r.reshape(2, 6)], grad=[0])
t = real(2, 3, 4)
add("transpose", [t], [t.transpose(2, 0, 1)], "{permutation = array<i64: 2, 0, 1>}", grad=[0])
add("slice", [t], [t[:, 1:3]], "{dim = 1, start = 1, size = 2}", grad=[0], tag="tail")
add("slice", [t], [t[..., 1:3]], "{dim = 2, start = 1, size = 2}", grad=[0], tag="middle")
add("slice", [t], [t[:1]], "{dim = 0, start = 0, size = 1}", grad=[0], tag="head")
parts = [real(2, 1, 3), real(2, 4, 3), real(2, 2, 3)]
add("concat", parts, [np.concatenate(parts, 1)], "{dim = 1}", grad=[0, 1, 2])

# ---- reduce, matmul ----------------------------------------------------------------------------
q = real(2, 3, 5)
for kind, f in [("sum", np.sum), ("max", np.max)]:
    for dims in [(2,), (0,), (0, 1), (1,), (0, 2), (1, 2), (0, 1, 2)]:
        add("reduce", [q], [f(q, axis=dims)],
            f'{{kind = "{kind}", dims = array<i64: {", ".join(map(str, dims))}>}}', grad=[0],
            tag=f"{kind}.{''.join(map(str, dims))}")
for ta in (False, True):
    for tb in (False, True):
        ma, mb = real(3, 5), real(5, 4)
        attributes = "{" + ", ".join(["transpose_a"] * ta + ["transpose_b"] * tb) + "}"
        add("matmul", [ma.T if ta else ma, mb.T if tb else mb], [ma @ mb], attributes, grad=[0, 1],
            tag=f"{'t' if ta else 'n'}{'t' if tb else 'n'}")
        ba, bb = real(2, 3, 5), real(2, 5, 4)
        flip = (0, 2, 1)
        add("matmul", [ba.transpose(flip) if ta else ba, bb.transpose(flip) if tb else bb], [ba @ bb],
            attributes, grad=[0, 1], tag=f"batch.{'t' if ta else 'n'}{'t' if tb else 'n'}")
    sa, sb = real(2, 3, 5), real(5, 4)
    add("matmul", [sa, sb.T if ta else sb], [sa @ sb], "{transpose_b}" if ta else "", grad=[0, 1],
        tag=f"shared.{'t' if ta else 'n'}")

# ---- attention ---------------------------------------------------------------------------------
def attention(q, k, v, scale, causal, past=0, window=None, cap=None, hidden=None):
    """out, lse, P and d score / d (scale q k). `hidden` [S]: keys that nobody sees."""
    B, T, H, D = q.shape
    S, G = k.shape[1:3]
    kh, vh = np.repeat(k, H // G, axis=2), np.repeat(v, H // G, axis=2)
    scores = scale * np.einsum("bthd,bshd->bhts", q, kh)
    slope = np.ones_like(scores)
    if cap:
        slope = 1 / np.cosh(scores / cap) ** 2
        scores = cap * np.tanh(scores / cap)
    key, query = np.arange(S)[None, :], np.arange(T)[:, None]
    visible = key <= past + query if causal else np.broadcast_to(key < past + T, (T, S))
    if window:
        visible = visible & (key > past + query - window)
    if hidden is not None:
        visible = visible & ~hidden
    scores = np.where(visible, scores, -np.inf)
    top = scores.max(-1, keepdims=True)
    e = np.exp(scores - top)
    p = e / e.sum(-1, keepdims=True)
    lse = (top + np.log(e.sum(-1, keepdims=True)))[..., 0]
    return np.einsum("bhts,bshd->bthd", p, vh), lse.transpose(0, 2, 1), p, slope


def attention_grad(q, k, v, p, slope, dout, scale):
    B, T, H, D = q.shape
    S, G = k.shape[1:3]
    kh, vh = np.repeat(k, H // G, axis=2), np.repeat(v, H // G, axis=2)
    fold = lambda x: x.reshape(B, S, G, H // G, D).sum(3)
    dv = fold(np.einsum("bhts,bthd->bshd", p, dout))
    dp = np.einsum("bthd,bshd->bhts", dout, vh)
    ds = slope * p * (dp - (p * dp).sum(-1, keepdims=True))
    dq = scale * np.einsum("bhts,bshd->bthd", ds, kh)
    dk = fold(scale * np.einsum("bhts,bthd->bshd", ds, q))
    return dq, dk, dv


def attention_attributes(scale, causal, window=None, cap=None):
    words = [f"scale = {scale}"] + ["causal"] * causal
    words += [f"window = {window} : i64"] if window else []
    words += [f"soft_cap = {cap} : f64"] if cap else []
    return "{" + ", ".join(words) + "}"


for tag, T, H, G, causal, window, cap in [
    ("causal", 3, 4, 2, True, None, None), ("full", 3, 3, 3, False, None, None),
    ("multiquery", 3, 3, 1, True, None, None), ("window", 5, 2, 1, True, 2, None),
    ("window_of_one", 3, 1, 1, True, 1, None), ("wide_window", 3, 2, 2, True, 7, None),
    ("soft_cap", 4, 4, 2, False, None, 0.4), ("window_and_soft_cap", 5, 2, 1, True, 3, 0.8),
]:
    q, k, v = real(2, T, H, 2), real(2, T, G, 2), real(2, T, G, 2)
    out, lse, p, slope = attention(q, k, v, 0.7, causal, window=window, cap=cap)
    attributes = attention_attributes(0.7, causal, window, cap)
    if window == 1:  # dq and dk are 0: what is computed of them is rounding
        add("attention", [q, k, v], [out, lse], attributes, grad=[2], tag=tag)
        continue
    add("attention", [q, k, v], [out, lse], attributes, grad=[0, 1, 2], tag=tag)
    dout = real(*out.shape)
    dq, dk, dv = attention_grad(q, k, v, p, slope, dout, 0.7)
    why = "second derivatives of attention are not defined"
    add("attention_grad", [q, k, v, out, lse, dout], [dq, dk, dv], attributes, reason=why, tag=tag)
    delta = (out * dout).sum(-1)
    add("attention_dqkv", [q, k, v, lse, delta, dout], [dq, dk, dv], attributes, reason=why, tag=tag)
    add("attention_dq", [q, k, v, lse, delta, dout], [dq], attributes, reason=why, tag=tag)
    add("attention_dkdv", [q, k, v, lse, delta, dout], [dk, dv], attributes, reason=why, tag=tag)
for tag, causal, window, cap in [("past.causal", True, None, None), ("past", False, None, None),
                                 ("past.window", True, 2, 0.6)]:
    q, k, v = real(2, 3, 4, 2), real(2, 6, 2, 2), real(2, 6, 2, 2)
    out, lse, _, _ = attention(q, k, v, 0.5, causal, past=2, window=window, cap=cap)
    add("attention", [q, k, v, np.int32(2)], [out, lse], attention_attributes(0.5, causal, window, cap),
        reason="attention over a cache is for inference", tag=tag)
cache, update = real(2, 5, 3, 2), real(2, 2, 3, 2)
appended = cache.copy()
appended[:, 2:4] = update
add("cache_append", [cache, update, np.int32(2)], [appended], reason="caches are for inference")

# ---- gather, scatter ---------------------------------------------------------------------------
table, rows = real(5, 3), np.array([[4, 0, 2, 4], [1, 1, 4, 0]], dtype=np.int32)
add("gather", [table, rows], [table[rows]], grad=[0])
updates = real(2, 4, 3)
scattered = np.zeros((7, 3))
np.add.at(scattered, rows, updates)
add("scatter_add", [rows, updates], [scattered], grad=[1])

# ---- norms, activations ------------------------------------------------------------------------
x, g, h = real(2, 3, 5), real(5), real(5)
eps = 1e-5
add("rms_norm", [x, g], [x / np.sqrt((x * x).mean(-1, keepdims=True) + eps) * g], "{eps = 1.0e-5}",
    grad=[0, 1])
mean = x.mean(-1, keepdims=True)
add("layer_norm", [x, g, h],
    [(x - mean) / np.sqrt(((x - mean) ** 2).mean(-1, keepdims=True) + eps) * g + h],
    "{eps = 1.0e-5}", grad=[0, 1, 2])
e = np.exp(x - x.max(-1, keepdims=True))
add("softmax", [x], [e / e.sum(-1, keepdims=True)], grad=[0])
sigmoid = lambda z: 1 / (1 + np.exp(-z))
add("gelu", [x], [0.5 * x * (1 + erf(x / np.sqrt(2)))], grad=[0], tag="exact")
add("gelu", [x], [0.5 * x * (1 + np.tanh(np.sqrt(2 / np.pi) * (x + 0.044715 * x**3)))],
    "{approximate}", grad=[0], tag="tanh")
add("relu", [x], [np.maximum(x, 0)], grad=[0])
add("sigmoid", [x], [sigmoid(x)], grad=[0])
add("silu", [x], [x * sigmoid(x)], grad=[0])
y = real(2, 3, 5)
add("swiglu", [x, y], [x * sigmoid(x) * y], grad=[0, 1])

# ---- rope: rotation of complex numbers ---------------------------------------------------------
x, positions, frequencies = real(2, 3, 2, 6), np.array([4.0, 5.0, 6.0]), np.array([1.0, 0.1, 0.01])
for inverse in (False, True):
    turn = np.exp((-1j if inverse else 1j) * np.outer(positions, frequencies))[None, :, None]
    z = (x[..., :3] + 1j * x[..., 3:]) * turn
    add("rope", [x, positions, frequencies], [np.concatenate([z.real, z.imag], -1)],
        "{inverse}" if inverse else "", grad=[0], tag="inverse" if inverse else "")

# ---- losses and the optimizer ------------------------------------------------------------------
logits, targets = real(2, 3, 7), ids(7, 2, 3)
lse = np.log(np.exp(logits).sum(-1))
picked = np.take_along_axis(logits, targets[..., None].astype(int), -1)[..., 0]
add("cross_entropy", [logits, targets], [lse - picked], grad=[0])
a, b, c = real(3, 5), real(7), np.array(0.5)
add("global_norm", [a, b, c], [np.sqrt((a**2).sum() + (b**2).sum() + c**2)], grad=[0, 1, 2])
p, grad, m, v = real(3, 5), real(3, 5), real(3, 5), real(3, 5, low=0.01, high=1)
lr, scale, c1, c2 = 0.125, 0.5, 1 - 0.9**3, 1 - 0.95**3
for tag, apply, decay in [("apply", True, 0.1), ("skip", False, 0.1), ("no_decay", True, 0.0)]:
    gs = scale * grad
    m1, v1 = 0.9 * m + 0.1 * gs, 0.95 * v + 0.05 * gs**2
    p1 = p - lr * (m1 / c1 / (np.sqrt(v1 / c2) + 1e-8) + decay * p)
    new = [p1, m1, v1] if apply else [p, m, v]
    add("adamw", [p, grad, m, v, lr, scale, c1, c2, np.bool_(apply)], new,
        f"{{beta1 = 0.9, beta2 = 0.95, eps = 1.0e-8, decay = {decay}}}",
        reason="the optimizer's update ends a training step", tag=tag)

# ---- kernel ------------------------------------------------------------------------------------
x = real(3, 5)
add("kernel", [x], [np.exp(x), np.exp(x).sum(-1)], reason="differentiate before kernels are formed",
    text="""lm.kernel "row"(%a0) : (tensor<3x5xf64>) -> (tensor<3x5xf64>, tensor<3xf64>) {
  ^bb0(%k: tensor<3x5xf64>):
    %e = lm.exp %k : (tensor<3x5xf64>) -> tensor<3x5xf64>
    %s = lm.reduce %e {kind = "sum", dims = array<i64: 1>} : (tensor<3x5xf64>) -> tensor<3xf64>
    lm.yield %e, %s : tensor<3x5xf64>, tensor<3xf64>
  }""")

# ---- packed products ---------------------------------------------------------------------------
a, b, width = real(2, 3, 5), real(5, 7), 4
panels = np.zeros((2, 8, width))
for j in range(7):
    panels[j // width, :5, j % width] = b[:, j]
add("matmul", [a, panels], [a @ b], "{panel_columns = 7 : i64}", tag="panels",
    reason="differentiate before weights are packed")

# ---- random bits: Philox4x32-10 on NumPy's 64-bit integers --------------------------------------
def philox(index, key0, key1, step, stream):
    low = np.uint64(0xFFFFFFFF)
    c = [np.asarray(x, dtype=np.int64).astype(np.uint64) & low for x in (index, 0, stream, step)]
    k = [np.asarray(x, dtype=np.int64).astype(np.uint64) & low for x in (key0, key1)]
    for _ in range(10):
        p, q = np.uint64(0xD2511F53) * c[0], np.uint64(0xCD9E8D57) * c[2]
        c = [q >> np.uint64(32) ^ c[1] ^ k[0], q & low, p >> np.uint64(32) ^ c[3] ^ k[1], p & low]
        k = [(k[0] + np.uint64(0x9E3779B9)) & low, (k[1] + np.uint64(0xBB67AE85)) & low]
    return c[0].astype(np.uint32).view(np.int32)


# The paper's known answer for the zero counter and key, by its authors' implementation.
assert philox([0], 0, 0, 0, 0).view(np.uint32)[0] == 0x6627E8D5
key0, key1, step = np.int32(-1234567), np.int32(89), np.int32(41)
for tag, shape in [("matrix", (3, 5)), ("vector", (37,)), ("scalar", ())]:
    bits = philox(np.arange(np.prod(shape, dtype=int)), key0, key1, step, 7).reshape(shape)
    add("random_bits", [key0, key1, step], [bits], "{stream = 7 : i32}", reason="", tag=tag)
words = [rng.integers(-2**31, 2**31, (3, 7)).astype(np.int32) for _ in range(4)]
add("philox", words, [philox(*words, -3)], "{stream = -3 : i32}", reason="")

# ---- block-quantised weights (ir/BlockPanels.h), written from the layout's description -------------
def block_panels(width, super_block, bits, q, head):
    """q [columns, depth] integers of sum(bits) bits; head(columns, k) the scales of a super-block."""
    columns, depth = q.shape
    panels = []
    for first in range(0, columns, width):
        own = np.zeros((width, depth), np.int64)
        own[:len(q[first:first + width])] = q[first:first + width]
        data = b"".join(head(first, k) for k in range(depth // super_block))
        data += bytes(-len(data) % 64)
        for k in range(0, depth, 32):
            below = 0
            for field in bits:
                planes = np.zeros((field, width, 4), np.int64)
                for i in range(32):
                    quad = i // 4
                    value = own[:, k + i] >> below & (1 << field) - 1
                    planes[quad % field, :, i % 4] |= value << field * (quad // field)
                data += planes.astype(np.uint8).tobytes()
                below += field
        panels.append(data + bytes(-len(data) % 64))
    return np.array([list(panel) for panel in panels], np.uint8).view(np.int8)


def padded(values, first, width, kind):
    part = np.zeros((width,) + values.shape[1:], kind)
    part[:len(values[first:first + width])] = values[first:first + width]
    return part


def quantized(x):
    blocks = x.astype(np.float32).reshape(*x.shape[:-1], -1, 32)
    largest = np.abs(blocks).max(-1)
    codes = np.rint(blocks * (np.float32(127) / largest)[..., None])
    scales = largest / np.float32(127)
    halves = codes.reshape(*x.shape[:-1], -1, 16).sum(-1)
    return (codes.reshape(x.shape).astype(np.int8), scales, scales * codes.sum(-1),
            np.repeat(scales, 2, -1) * halves.astype(np.float32))


NOT_DIFFERENTIABLE = "quantised weights are for inference"
x = real(3, 256).astype(np.float32)
codes, scales, sums, half_sums = quantized(x)
add("quantize_rows", [x], [codes, scales, sums, half_sums], reason=NOT_DIFFERENTIABLE)
rows = [codes, scales, sums, half_sums]
columns, width = 5, 4
d = rng.integers(1, 40, (columns, 8)) / 8192
q = rng.integers(0, 16, (columns, 256))
q4_0 = block_panels(width, 32, [4], q, lambda c, k: padded(d[:, k], c, width, np.float16).tobytes())
q4_k_scales, q4_k_minimums = rng.integers(0, 64, (2, columns, 1, 8))
dmin = rng.integers(-30, 30, (columns, 1)) / 8192
q4_k = block_panels(width, 256, [4], q, lambda c, k: b"".join([
    padded(d[:, k], c, width, np.float16).tobytes(), padded(dmin[:, k], c, width, np.float16).tobytes(),
    padded(q4_k_scales[:, k], c, width, np.uint8).T.tobytes(),
    padded(q4_k_minimums[:, k], c, width, np.uint8).T.tobytes()]))
q6, q6_scales = rng.integers(0, 64, (columns, 256)), rng.integers(-128, 128, (columns, 1, 16))
q6_k = block_panels(width, 256, [4, 2], q6, lambda c, k: (
    padded(d[:, k], c, width, np.float16).tobytes() + padded(q6_scales[:, k], c, width, np.int8).T.tobytes()))
spread = lambda parts, size: np.repeat(parts.reshape(columns, -1), size, -1)
values = {
    "q4_0": (q4_0, spread(d, 32) * (q - 8)),
    "q4_k": (q4_k, spread(d[:, :1], 256) * spread(q4_k_scales, 32) * q
             - spread(dmin, 256) * spread(q4_k_minimums, 32)),
    "q6_k": (q6_k, spread(d[:, :1], 256) * spread(q6_scales, 16) * (q6 - 32)),
}
exact = codes.astype(float) * np.repeat(scales.astype(float), 32, -1)
for form, (panels, w) in values.items():
    sizes = f'{{columns = {columns} : i64, format = "{form}", width = {width} : i64'
    add("block_matmul", [*rows, panels], [(exact @ w.T, "f32")], sizes + "}", reason=NOT_DIFFERENTIABLE, tag=form)
    picked = ids(columns, 2, 3)
    add("block_gather", [panels, picked], [(w[picked], "f32")], sizes + ", depth = 256 : i64}",
        reason=NOT_DIFFERENTIABLE, tag=form)

# Tables whose rows are blocks as files have them: scales, then integers, nibbles 16 steps apart.
table = np.random.default_rng(11)
nibbles = table.integers(0, 16, (columns, 8, 32))
signed = table.integers(-128, 128, (columns, 8, 32))
steps, lows = table.integers(-40, 40, (2, columns, 8)) / 8192
exponents = table.integers(120, 132, (columns, 8))
halves = lambda values: values.astype(np.float16)[..., None].view(np.uint8)
packed = (nibbles[..., :16] | nibbles[..., 16:] << 4).astype(np.uint8)
e2m1 = np.array([0, 1, 2, 3, 4, 6, 8, 12, 0, -1, -2, -3, -4, -6, -8, -12])
for form, parts, w in [
    ("q8_0", [halves(steps), signed.astype(np.int8).view(np.uint8)], steps[..., None] * signed),
    ("q4_0", [halves(steps), packed], steps[..., None] * (nibbles - 8)),
    ("q4_1", [halves(steps), halves(lows), packed], steps[..., None] * nibbles + lows[..., None]),
    ("mxfp4", [exponents[..., None].astype(np.uint8), packed], 2.0 ** (exponents - 128)[..., None] * e2m1[nibbles]),
]:
    picked = table.integers(0, columns, (2, 3)).astype(np.int32)
    add("block_gather", [np.concatenate(parts, -1).reshape(columns, -1).view(np.int8), picked],
        [(w.reshape(columns, 256)[picked], "f32")],
        f'{{columns = {columns} : i64, depth = 256 : i64, format = "{form}", width = 1 : i64}}',
        reason=NOT_DIFFERENTIABLE, tag=f"file_{form}")

# ---- mixtures of experts -----------------------------------------------------------------------
tk = real(2, 3, 7)
largest = np.argsort(-tk, axis=-1, kind="stable")
for k in (1, 3, 7):
    add("top_k", [tk], [np.take_along_axis(tk, largest[..., :k], -1), largest[..., :k].astype(np.int32)],
        f"{{k = {k}}}", grad=[0], tag=str(k))
ties = np.array([[2.0, 5.0, -0.0, 5.0, 0.0], [-3.0, -7.0, -3.0, -7.0, -7.0]])
chosen = np.array([[1, 3, 0, 2], [0, 2, 1, 3]], np.int32)
add("top_k", [ties], [np.take_along_axis(ties, chosen, -1), chosen], "{k = 4}", tag="ties",
    reason="")  # a kink for every difference


def grouped(experts, groups):
    """order and starts of group_rows."""
    counts = np.bincount(experts.ravel(), minlength=groups)
    return (np.argsort(experts.ravel(), kind="stable").reshape(experts.shape).astype(np.int32),
            np.concatenate([[0], np.cumsum(counts)]).astype(np.int32))


taken = np.array([[4, 0, 4, 1, 4], [1, 1, 0, 4, 4], [4, 4, 4, 4, 0]], np.int32).reshape(3, 5, 1)  # none take 2, 3
add("group_rows", [taken], list(grouped(taken, 5)), "{groups = 5}", reason="")
order, starts = grouped(taken, 5)
for tb in (False, True):
    for tag, ex in [("own", real(3, 5, 1, 7)), ("shared", real(5, 1, 7)), ("one", real(1, 7))]:
        ew = real(5, 7, 6)
        ey = np.einsum("sbtk,sbtkn->sbtn", np.broadcast_to(ex, (3, 5, 1, 7)), ew[taken])
        add("expert_matmul", [ex, ew.transpose(0, 2, 1) if tb else ew, order, starts], [ey],
            "{transpose_b}" if tb else "", grad=[0, 1], tag=f"{tag}.{'t' if tb else 'n'}")
for tag, ea, eb in [("own", real(3, 5, 1, 4), real(3, 5, 1, 6)), ("left", real(5, 1, 4), real(3, 5, 1, 6)),
                    ("right", real(3, 5, 1, 4), real(1, 6))]:
    hot = np.eye(5)[taken]  # [3, 5, 1, E]
    ey = np.einsum("sbte,sbtm,sbtn->emn", hot, np.broadcast_to(ea, (3, 5, 1, 4)), np.broadcast_to(eb, (3, 5, 1, 6)))
    add("expert_outer", [ea, eb, order, starts], [ey], grad=[0, 1], tag=tag)

panels, matrices = [], []
for _ in range(5):
    own_d, own_q = rng.integers(1, 40, (columns, 2)) / 8192, rng.integers(0, 16, (columns, 64))
    panels.append(block_panels(width, 32, [4], own_q, lambda c, k: padded(own_d[:, k], c, width, np.float16).tobytes()))
    matrices.append(np.repeat(own_d, 32, -1) * (own_q - 8))
for tag, ex in [("own", real(3, 5, 1, 64)), ("shared", real(5, 1, 64))]:
    rows = quantized(ex)
    exact = rows[0].astype(float) * np.repeat(rows[1].astype(float), 32, -1)
    ey = np.einsum("sbtk,sbtnk->sbtn", np.broadcast_to(exact, (3, 5, 1, 64)), np.stack(matrices)[taken])
    add("expert_block_matmul", [*rows, np.stack(panels), order, starts], [(ey, "f32")],
        f'{{columns = {columns} : i64, format = "q4_0", width = {width} : i64}}', reason=NOT_DIFFERENTIABLE, tag=tag)

# ---- caches in q8_0 ----------------------------------------------------------------------------


def cache_rows(x):
    """x [..., D] as rows of bytes, and what they stand for."""
    parts, numbers = [], []
    for first in range(0, x.shape[-1], 32):
        block = x[..., first:first + 32].astype(np.float32)
        scale = np.abs(block).max(-1, keepdims=True) / np.float32(127)
        product = block * (np.float32(1) / scale)
        codes = np.sign(product) * np.floor(np.abs(product).astype(float) + 0.5)  # halves away from zero
        half = np.ascontiguousarray(scale.astype(np.float16))
        parts += [half.view(np.int8), codes.astype(np.int8)]
        numbers.append(half.astype(float) * codes)
    rows = np.concatenate(parts, -1)
    odd = np.zeros(rows.shape[:-1] + (rows.shape[-1] % 2,), np.int8)
    return np.concatenate([rows, odd], -1), np.concatenate(numbers, -1)


for D in (5, 32, 72):  # a short block, a whole one, two and the rest
    update = real(2, 2, 3, D).astype(np.float32)
    update[0, 0, 0, :5] = [127, 0.5, -0.5, 2.5, -1.5]
    cache = rng.integers(-128, 128, (2, 5, 3, cache_rows(update)[0].shape[-1])).astype(np.int8)
    appended = cache.copy()
    appended[:, 2:4] = cache_rows(update)[0]
    add("cache_append", [cache, update, np.int32(2)], [appended], reason="caches are for inference", tag=f"q8_0.{D}")
    for T in (1, 3):
        q = real(2, T, 4, D).astype(np.float32)
        (k, ks), (v, vs) = cache_rows(real(2, 6, 2, D)), cache_rows(real(2, 6, 2, D))
        out, lse, _, _ = attention(q.astype(float), ks, vs, 0.5, True, past=2)
        add("attention", [q, k, v, np.int32(2)], [(out, "f32"), (lse, "f32")],
            attention_attributes(0.5, True, None, None), reason="attention over a cache is for inference",
            tag=f"q8_0.{D}.{T}")

# ---- windows -----------------------------------------------------------------------------------
def skew(x, dim, by, extent, step=1, slope=0, start=0, every=1, outside=0.0):
    y = np.full(x.shape[:dim] + (extent,) + x.shape[dim + 1:], outside)
    for at in np.ndindex(y.shape):
        place = at[dim] * step + at[by] * slope + start
        if place % every == 0 and 0 <= place // every < x.shape[dim]:
            y[at] = x[at[:dim] + (place // every,) + at[dim + 1:]]
    return y


x = real(3, 7, 4, 2)
for tag, dim, by, extent, words in [
    ("windows", 1, 2, 7, dict(slope=1, start=-3)), ("strided", 1, 2, 3, dict(step=2, slope=-1, start=2)),
    ("spread", 1, 3, 13, dict(every=2, slope=1, start=-1)), ("both", 0, 2, 5, dict(step=3, every=2, slope=-2, start=1)),
    ("lanes", 3, 1, 5, dict(step=1, slope=2, start=-4)), ("by_lanes", 1, 3, 6, dict(slope=-2, start=3)),
    ("beyond", 1, 2, 4, dict(start=40)), ("lowest", 2, 1, 6, dict(slope=1, start=-2)),
]:
    attributes = ", ".join([f"dim = {dim} : i64, by = {by} : i64"] + [f"{k} = {v} : i64" for k, v in words.items()])
    if tag == "lowest":  # only as a maximum sees it: JSON has no infinity
        y = np.maximum(skew(x, dim, by, extent, outside=-np.inf, **words), -1.5)
        types = tensor(x.shape, "f64"), tensor(y.shape, "f64")
        add("skew", [x], [y], grad=[0], tag=tag, text=f"lm.maximum %s, %b : ({types[1]}, {types[1]}) -> {types[1]}",
            before=f'''%s = lm.skew %a0 {{{attributes}, outside = "lowest"}} : ({types[0]}) -> {types[1]}
  %c = lm.constant dense<-1.5> : tensor<f64>
  %b = lm.broadcast %c {{dims = array<i64>}} : (tensor<f64>) -> {types[1]}
  ''')
        continue
    add("skew", [x], [skew(x, dim, by, extent, **words)], "{" + attributes + "}", grad=[0], tag=tag)
i = ids(9, 2, 5, 3)
add("skew", [i], [skew(i, 1, 2, 5, slope=1, start=-1).astype(np.int32)],
    "{dim = 1 : i64, by = 2 : i64, slope = 1 : i64, start = -1 : i64}", reason="", tag="i32")


def windows(x, size, strides, dilations, low, high, outside):
    """[N, S..., C] -> [N, O..., K..., C]."""
    x = np.pad(x, [(0, 0), *zip(low, high), (0, 0)], constant_values=outside)
    counts = [(n - d * (k - 1) - 1) // s + 1 for n, k, s, d in zip(x.shape[1:-1], size, strides, dilations)]
    y = np.empty((x.shape[0], *counts, *size, x.shape[-1]))
    for o in np.ndindex(*counts):
        for j in np.ndindex(*size):
            place = tuple(a * s + b * d for a, s, b, d in zip(o, strides, j, dilations))
            y[(slice(None), *o, *j)] = x[(slice(None), *place)]
    return y


def array(numbers):
    return f"array<i64: {', '.join(map(str, numbers))}>"


def window_attributes(strides, dilations, low, high, words=()):
    named = [("strides", strides, 1), ("dilations", dilations, 1), ("pad_low", low, 0), ("pad_high", high, 0)]
    parts = [*words] + [f"{name} = {array(v)}" for name, v, otherwise in named if any(n != otherwise for n in v)]
    return "{" + ", ".join(parts) + "}"


# name: x, kernel, channels out, groups, strides, dilations, padding low and high
for tag, shape, size, features, groups, strides, dilations, low, high in [
    ("causal_depthwise", (2, 7, 5), (4,), 5, 5, (1,), (1,), (3,), (0,)),
    ("depthwise_dilated", (2, 9, 3), (3,), 3, 3, (2,), (2,), (1,), (4,)),
    ("depthwise_2d", (2, 5, 4, 3), (3, 2), 3, 3, (2, 1), (1, 2), (1, 0), (2, 1)),
    ("dense", (2, 7, 3), (3,), 4, 1, (1,), (1,), (1,), (1,)),
    ("long_stride", (2, 11, 3), (2,), 5, 1, (4,), (1,), (0,), (0,)),
    ("dilated", (1, 8, 2), (3,), 3, 1, (2,), (3,), (2,), (3,)),
    ("wide_padding", (2, 3, 2), (2,), 3, 1, (1,), (1,), (4,), (5,)),
    ("one_tap", (2, 5, 3), (1,), 4, 1, (1,), (1,), (0,), (0,)),
    ("one_tap_strided", (2, 5, 3), (1,), 4, 1, (3,), (1,), (0,), (0,)),
    ("patches", (2, 6, 3), (3,), 4, 1, (3,), (1,), (0,), (0,)),
    ("dense_2d", (2, 5, 4, 3), (3, 2), 4, 1, (2, 1), (1, 2), (1, 0), (0, 3)),
    ("patches_2d", (1, 4, 6, 3), (2, 3), 5, 1, (2, 3), (1, 1), (0, 0), (0, 0)),
    ("groups", (2, 6, 6), (3,), 4, 2, (1,), (1,), (1,), (2,)),
    ("groups_2d", (2, 4, 5, 6), (2, 3), 9, 3, (1, 2), (1, 1), (1, 0), (0, 1)),
    ("groups_multiplied", (2, 6, 3), (2,), 6, 3, (2,), (1,), (0,), (0,)),
]:
    x, w = real(*shape), real(*size, shape[-1] // groups, features)
    read = windows(x, size, strides, dilations, low, high, 0.0)
    k, C, F = len(size), shape[-1] // groups, features // groups
    parts = [np.tensordot(read[..., g * C:(g + 1) * C], w[..., g * F:(g + 1) * F],
                          axes=(range(k + 1, 2 * k + 2), range(k + 1))) for g in range(groups)]
    words = [f"groups = {groups} : i64"] if groups > 1 else []
    add("convolution", [x, w], [np.concatenate(parts, -1)], window_attributes(strides, dilations, low, high, words),
        grad=[0, 1], tag=tag)
for tag, shape, size, strides, dilations, low, high in [
    ("plain", (2, 7, 3), (3,), (2,), (1,), (0,), (0,)), ("padded", (2, 6, 5), (3,), (2,), (1,), (1,), (2,)),
    ("long_stride", (2, 8, 3), (2,), (5,), (1,), (0,), (0,)), ("dilated", (1, 9, 2), (3,), (1,), (3,), (4,), (2,)),
    ("images", (2, 5, 6, 3), (3, 2), (2, 2), (1, 1), (1, 0), (1, 0)),
    ("images_dilated", (1, 6, 5, 2), (2, 3), (1, 2), (3, 1), (0, 1), (2, 2)),
    ("everything", (2, 3, 4, 5), (3, 4), (1, 1), (1, 1), (0, 0), (0, 0)),
]:
    x, taps = real(*shape), tuple(range(len(size) + 1, 2 * len(size) + 1))
    attributes = window_attributes(strides, dilations, low, high, [f"size = {array(size)}"])
    largest = windows(x, size, strides, dilations, low, high, -np.inf).max(taps)
    mean = np.nanmean(windows(x, size, strides, dilations, low, high, np.nan), taps)
    add("max_pool", [x], [largest], attributes, grad=[0], tag=tag)
    add("average_pool", [x], [mean], attributes, grad=[0], tag=tag)


def attention_parts(q, k, v, parts, chunk, scale, causal, past, window=None, cap=None):
    """out [B, T, H, P, D] and lse [B, T, H, P]: attention over each part's keys alone."""
    outs, sums = [], []
    for part in range(parts):
        hidden = np.arange(k.shape[1]) // chunk % parts != part
        out, lse, _, _ = attention(q, k, v, scale, causal, past, window, cap, hidden)
        outs.append(out)
        sums.append(lse)
    return np.stack(outs, 3), np.stack(sums, 3)


for tag, parts, chunk, causal, past, window, cap in [
    ("causal", 2, 16, True, 33, None, None), ("full", 3, 16, False, 32, None, None),
    ("window", 2, 32, True, 61, 40, 0.6), ("one", 1, 16, True, 20, None, None),
]:
    q, k, v = real(2, 3, 4, 2), real(2, 67, 2, 2), real(2, 67, 2, 2)
    out, lse = attention_parts(q, k, v, parts, chunk, 0.5, causal, past, window, cap)
    attributes = attention_attributes(0.5, causal, window, cap)[:-1]
    add("attention_parts", [q, k, v, np.int32(past)], [out, lse],
        f"{attributes}, parts = {parts} : i64, chunk = {chunk} : i64}}",
        reason="attention over a cache is for inference", tag=tag)


# ---- sampling ----------------------------------------------------------------------------------
def drawn(logits, temperature, top_k, top_p, count, bits):
    """An id of one row: probabilities, filters, the inverse of the distribution in the order of ids."""
    count = count or len(logits)
    logits = logits[:count].astype(float)
    if temperature == 0:
        return int(np.argmax(logits))
    p = np.exp((logits - logits.max()) / temperature)
    order = np.argsort(-logits, kind="stable")[:top_k or count]
    if top_p < 1:
        run = np.cumsum(p[order]) / p[order].sum()
        order = order[:np.argmax(run >= top_p - 1e-9) + 1]
    kept = np.sort(order)
    sums = np.cumsum(p[kept]) / p[kept].sum()
    u = float(bits) / 2.0 ** 64
    assert np.abs(sums - u).min() > 1e-5, "a case on the border between two ids"
    return int(kept[np.argmax(sums > u)])


def sample(tag, logits, rows):
    """rows: (temperature, top_k, top_p, count) of each row of logits; several draws of each."""
    for draw in range(3):
        words = rng.integers(-2**31, 2**31, (len(rows), 2))
        bits = [int(np.uint32(high)) << 32 | int(np.uint32(low)) for low, high in words]
        columns = [np.array([row[i] for row in rows], kind)
                   for i, kind in enumerate((np.float32, np.int32, np.float32, np.int32))]
        ids_of = [drawn(logits[i], float(np.float32(row[0])), row[1], float(np.float32(row[2])), row[3], bits[i])
                  for i, row in enumerate(rows)]
        add("sample", [logits.astype(np.float32), *columns, words.astype(np.int32)], [np.array(ids_of, np.int32)],
            reason="a draw is a choice among ids", tag=f"{tag}.{draw}")


sample("odd", 3 * rng.standard_normal((6, 37)),
       [(1, 0, 1, 0), (0.7, 5, 1, 0), (1.5, 0, 0.6, 0), (2, 11, 0.8, 0), (1, 1000, 1, 0), (3, 0, 1, 20)])
even = np.array([[1, 3, 3, 2, 3, -1, 3, 0, 0, 0, 0]] * 5, float)
sample("ties", even, [(0, 0, 1, 0), (1, 2, 1, 0), (1, 0, 0.3, 0), (1, 3, 0.5, 0), (5, 6, 1, 7)])
sample("one", rng.standard_normal((4, 1)), [(1, 0, 1, 0), (0, 0, 1, 0), (1, 1, 0.1, 1), (1, 5, 1, 0)])
sample("tiny", rng.standard_normal((3, 600)), [(1, 0, 1e-6, 0), (1, 40, 1e-6, 0), (1e-4, 0, 1, 0)])
sample("wide", rng.standard_normal((4, 1300)), [(1, 0, 1, 0), (1, 0, 0.9, 0), (0.8, 50, 0.95, 1111), (100, 700, 1, 0)])

# ---- paged caches ------------------------------------------------------------------------------
def gathered(pool, pages):
    """The pages of each sequence one after the other: [B, M P, G, D]."""
    return pool[np.clip(pages, 0, len(pool) - 1)].reshape(len(pages), -1, *pool.shape[2:])


def of_each(compute, past, *arrays):
    """`compute` on each sequence alone; results together."""
    results = [compute(*(a[b:b + 1] for a in arrays), int(past[b])) for b in range(len(past))]
    return [np.concatenate(r) for r in zip(*results)]


FOR_INFERENCE = "attention over a cache is for inference"
# Pages of 4 tokens out of order; what nobody reads is -1, and a page that both sequences read.
table = np.array([[5, 0, 3, -1], [3, 6, 2, 1]], np.int32)
# Not in the pool: -9 is page 0, 40 the last one.
wrong = np.array([[-9, 40, 3, 1], [2, 6, 40, 0]], np.int32)
for tag, T, causal, pages, past, window, cap in [
    ("paged", 1, True, table, (6, 15), None, None), ("paged.first", 1, True, table, (0, 7), None, None),
    ("paged.chunk", 3, True, table, (2, 9), None, None), ("paged.full", 3, False, table, (5, 13), None, None),
    ("paged.window", 1, True, table, (9, 14), 5, 0.6), ("paged.chunk_window", 5, True, table, (3, 11), 6, None),
    ("paged.wrong", 2, True, wrong, (11, 3), None, None),
]:
    q, k, v = real(2, T, 4, 2), real(7, 4, 2, 2), real(7, 4, 2, 2)
    past = np.array(past, np.int32)
    whole = lambda q, k, v, past: attention(q, k, v, 0.5, causal, past, window, cap)[:2]
    out, lse = of_each(whole, past, q, gathered(k, pages), gathered(v, pages))
    attributes = attention_attributes(0.5, causal, window, cap)
    add("attention", [q, k, v, past, pages], [out, lse], attributes, reason=FOR_INFERENCE, tag=tag)
    if tag == "paged.chunk":  # one number for all; lengths without pages
        out, lse, _, _ = attention(q, gathered(k, pages), gathered(v, pages), 0.5, causal, 9)
        add("attention", [q, k, v, np.int32(9), pages], [out, lse], attributes, reason=FOR_INFERENCE,
            tag="paged.scalar")
        k, v = gathered(k, pages), gathered(v, pages)
        out, lse = of_each(whole, past, q, k, v)
        add("attention", [q, k, v, past], [out, lse], attributes, reason=FOR_INFERENCE, tag="lengths")
for tag, parts, past, window in [("paged", 2, (33, 20), None), ("paged.window", 3, (61, 47), 40)]:
    q, k, v = real(2, 1, 4, 2), real(9, 10, 2, 2), real(9, 10, 2, 2)
    past, pages = np.array(past, np.int32), np.array([[4, 8, 0, 5, 3, 6, 1], [7, 2, 6, 3, 8, -1, -1]], np.int32)
    out, lse = of_each(lambda q, k, v, past: attention_parts(q, k, v, parts, 16, 0.5, True, past, window), past,
                       q, gathered(k, pages), gathered(v, pages))
    add("attention_parts", [q, k, v, past, pages], [out, lse],
        f"{attention_attributes(0.5, True, window)[:-1]}, parts = {parts} : i64, chunk = 16 : i64}}",
        reason=FOR_INFERENCE, tag=tag)
    past = np.array([40, 55], np.int32)
    k, v = real(2, 67, 2, 2), real(2, 67, 2, 2)
    out, lse = of_each(lambda q, k, v, past: attention_parts(q, k, v, parts, 16, 0.5, True, past, window), past,
                       q, k, v)
    add("attention_parts", [q, k, v, past], [out, lse],
        f"{attention_attributes(0.5, True, window)[:-1]}, parts = {parts} : i64, chunk = 16 : i64}}",
        reason=FOR_INFERENCE, tag=tag.replace("paged", "lengths"))


def appended(pool, update, past, pages):
    """update [B, T, ...] behind the past of each; tokens without a page are left out."""
    pool, P = pool.copy(), pool.shape[1]
    for b, t in np.ndindex(update.shape[:2]):
        s = max(int(past[b]), 0) + t
        if s < pages.shape[1] * P and 0 <= pages[b, s // P] < len(pool):
            pool[pages[b, s // P], s % P] = update[b, t]
    return pool


pages = np.array([[4, 1, -1], [0, 5, 2], [3, 9, -4]], np.int32)
for tag, T, past in [("", 1, (2, 6, 0)), (".across", 5, (1, 7, 2)), (".without_pages", 4, (6, 6, 1)),
                     (".negative", 2, (-3, 0, 5))]:
    pool, update, past = real(6, 3, 2, 2), real(3, T, 2, 2), np.array(past, np.int32)
    add("cache_append", [pool, update, past, pages], [appended(pool, update, past, pages)],
        reason="caches are for inference", tag="paged" + tag)
cache, update, past = real(3, 9, 2, 2), real(3, 2, 2, 2), np.array([2, 7, 0], np.int32)
whole = np.arange(3, dtype=np.int32)[:, None]
add("cache_append", [cache, update, past], [appended(cache, update, past, whole)], reason="caches are for inference",
    tag="lengths")
for D in (5, 40):
    update, past = real(3, 2, 2, D).astype(np.float32), np.array((2, 6, 0), np.int32)
    rows = cache_rows(update)[0]
    pool = rng.integers(-128, 128, (6, 3, 2, rows.shape[-1])).astype(np.int8)
    add("cache_append", [pool, update, past, pages], [appended(pool, rows, past, pages)],
        reason="caches are for inference", tag=f"paged.q8_0.{D}")
    q, past = real(2, 1, 4, D).astype(np.float32), np.array((6, 15), np.int32)
    (k, ks), (v, vs) = cache_rows(real(7, 4, 2, D)), cache_rows(real(7, 4, 2, D))
    out, lse = of_each(lambda q, k, v, past: attention(q, k, v, 0.5, True, past)[:2], past, q.astype(float),
                       gathered(ks, table), gathered(vs, table))
    add("attention", [q, k, v, past, table], [(out, "f32"), (lse, "f32")], attention_attributes(0.5, True),
        reason=FOR_INFERENCE, tag=f"paged.q8_0.{D}")

print(json.dumps(cases, separators=(",", ":")))
