#!/usr/bin/env python3
"""Writes blocks.gguf with the `gguf` package (0.19): an answer of another implementation for each block format.

Tensors: "<FORMAT>", random blocks, and "<FORMAT>.f32", what gguf makes of them; "input" and, for the
formats that gguf can write, "<FORMAT>.quantised". Metadata: one key of every type.
"""
import pathlib

import gguf
import numpy as np
from gguf import GGMLQuantizationType as T

HERE = pathlib.Path(__file__).resolve().parent
DECODED = [T.F16, T.BF16, T.Q4_0, T.Q4_1, T.Q5_0, T.Q5_1, T.Q8_0, T.Q2_K, T.Q3_K, T.Q4_K, T.Q5_K, T.Q6_K,
           T.IQ4_NL, T.MXFP4]
ENCODED = [T.F16, T.BF16, T.Q4_0, T.Q4_1, T.Q5_0, T.Q5_1, T.Q8_0, T.MXFP4]
# Where each format keeps its f16 scales: bytes in the block.
HALVES = {T.F16: [0], T.Q4_0: [0], T.Q4_1: [0, 2], T.Q5_0: [0], T.Q5_1: [0, 2], T.Q8_0: [0], T.Q2_K: [80, 82],
          T.Q3_K: [108], T.Q4_K: [0, 2], T.Q5_K: [0, 2], T.Q6_K: [208], T.IQ4_NL: [0]}
ROWS, COLUMNS = 3, 512
random = np.random.default_rng(20240229)


def random_blocks(kind):
    """Any bytes, but no scale that is infinite or not a number."""
    elements, size = gguf.GGML_QUANT_SIZES[kind]
    blocks = random.integers(0, 256, (ROWS * COLUMNS // elements, size), dtype=np.uint8)
    for at in HALVES.get(kind, []):
        high = blocks[:, at + 1]
        high[(high & 0x7C) == 0x7C] ^= 0x40
    if kind == T.BF16:
        blocks[:, 1] &= 0xBF
    if kind == T.MXFP4:
        blocks[:4, 0] = [0, 1, 2, 254]
    return blocks.reshape(ROWS, -1)


def inputs():
    """Rows of normal numbers, of hard cases and of grid points with their halves."""
    x = random.standard_normal((ROWS, COLUMNS)).astype(np.float32)
    x[0] *= np.exp(random.uniform(-12, 4, COLUMNS // 32)).repeat(32).astype(np.float32)
    x[1, :32] = 0
    x[1, 32:64] = -3.25
    x[1, 64:96] = 7
    x[1, 96:128] = 1e-6 * x[1, 96:128]
    x[1, 128:160] = np.abs(x[1, 128:160])
    x[1, 160:192] = -np.abs(x[1, 160:192])
    x[2] = np.round(x[2] * 8) / 16
    return x


writer = gguf.GGUFWriter(HERE / "blocks.gguf", "golden")
writer.add_uint8("value.u8", 200)
writer.add_int8("value.i8", -100)
writer.add_uint16("value.u16", 60000)
writer.add_int16("value.i16", -30000)
writer.add_uint32("value.u32", 4000000000)
writer.add_int32("value.i32", -2000000000)
writer.add_float32("value.f32", 1e-5)
writer.add_bool("value.bool", True)
writer.add_string("value.string", "h\u00e9 \u4e16")
writer.add_uint64("value.u64", 2**63 + 5)
writer.add_int64("value.i64", -2**62)
writer.add_float64("value.f64", 0.1)
writer.add_array("value.strings", ["a", "", "\u00df"])
writer.add_array("value.ints", [1, -2, 3])
writer.add_array("value.floats", [0.5, -1.25])
writer.add_array("value.bools", [True, False])
writer.add_array("value.nested", [[1, 2], [3]])
for kind in DECODED:
    blocks = random_blocks(kind)
    writer.add_tensor(kind.name, blocks, raw_dtype=kind)
    writer.add_tensor(kind.name + ".f32", gguf.dequantize(blocks, kind))
x = inputs()
for kind in ENCODED:
    writer.add_tensor(kind.name + ".quantised", gguf.quantize(x, kind).view(np.uint8), raw_dtype=kind)
writer.add_tensor("input", x)
writer.write_header_to_file()
writer.write_kv_data_to_file()
writer.write_tensors_to_file()
writer.close()
