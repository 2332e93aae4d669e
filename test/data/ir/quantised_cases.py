"""Block-quantised weights, mixtures of experts, caches in q8_0."""
import numpy as np

from cases import add, ids, real, rng
from graph_cases import attention, attention_attributes

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
