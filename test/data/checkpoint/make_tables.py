"""Writes reference.safetensors and reference.json with `safetensors` and `numpy`: python make_tables.py"""
import json

import numpy as np
from safetensors.numpy import save_file

rng = np.random.default_rng(3)
halves = np.array([0, 0x8000, 1, 0x3FF, 0x400, 0x3C00, 0xC000, 0x7BFF, 0x7C00, 0xFC00, 0x3555, 0x83FF], np.uint16)
halves = np.concatenate([halves, rng.integers(0, 0x7C00, 40, dtype=np.uint16)])
tensors = {
    "b.weight": rng.normal(size=(3, 5)).astype(np.float32),
    "a.half": halves.view(np.float16),
    "scalar": np.array(2.5, np.float32),
    "empty": np.zeros((0, 4), np.float32),
    "ids": np.arange(6, dtype=np.int64).reshape(2, 3),
    "flag": np.array([True, False, True]),
}
save_file(tensors, "reference.safetensors", metadata={"format": "np", "note": "hé"})
json.dump({name: {"shape": list(t.shape), "f32_bits": t.astype(np.float32).reshape(-1).view(np.uint32).tolist()}
           for name, t in tensors.items()}, open("reference.json", "w"), sort_keys=True)
