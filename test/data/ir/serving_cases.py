"""Attention in parts, sampling, caches in pages."""
import numpy as np

from cases import add, real, rng
from graph_cases import attention, attention_attributes
from quantised_cases import cache_rows

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
