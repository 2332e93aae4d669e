"""Pointwise, shape, reductions, products, attention, lookups, norms, losses, random bits."""
import numpy as np

from cases import add, erf, ids, real, rng

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
