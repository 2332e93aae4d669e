"""Writes sampler.json: what NumPy says the sampler's distribution is. Run by hand when a case is added.

Order of the filters: temperature, top-k, top-p, as Hugging Face's logits warpers apply them.
"""

import json
import pathlib

import numpy as np


def distribution(logits, temperature, top_k, top_p):
    logits = np.asarray(logits, np.float64)
    p = np.exp((logits - logits.max()) / temperature)
    order = np.lexsort((np.arange(len(logits)), -logits))  # falling logit, then rising id
    if top_k:
        order = order[:top_k]
    kept = p[order] / p[order].sum()
    if top_p < 1:
        kept = kept[: int(np.searchsorted(np.cumsum(kept), top_p)) + 1]
    kept = kept / kept.sum()
    return {int(i): float(v) for i, v in zip(order, kept) if v > 0}


def main():
    rng = np.random.default_rng(7)
    short = [0.5, 2.0, -1.0, 2.0, 0.0, -np.inf, 1.25]
    wide = rng.normal(0, 2, 40).astype(np.float32).tolist()
    settings = [(1, 0, 1), (0.5, 0, 1), (2, 3, 1), (1, 0, 0.7), (0.8, 5, 0.6), (1.5, 4, 0.999),
                (1, 0, 1e-6), (0.01, 0, 1), (1, 1, 1), (1, 1000, 0.9)]
    cases = []
    for logits in (short, wide):
        finite = np.asarray(logits, np.float32).astype(np.float64)
        log_sum = finite.max() + np.log(np.exp(finite - finite.max()).sum())
        for temperature, top_k, top_p in settings:
            cases.append({
                "logits": [None if np.isinf(x) else float(x) for x in finite],  # null: -inf
                "temperature": temperature, "top_k": top_k, "top_p": top_p,
                "distribution": distribution(finite, temperature, top_k, top_p),
                "log_sum": float(log_sum),
            })
    path = pathlib.Path(__file__).with_suffix(".json")
    path.write_text("[\n" + ",\n".join(json.dumps(c) for c in cases) + "\n]\n")


main()
