"""Writes the cases of the dialect's ops: NAME_cases.json of NAME_cases.py, one entry a case with the op's text, inputs
and what NumPy (float64) says.

usage: make_cases.py     (needs numpy)

`args` and `results` hold elements in row-major order, their shapes stand in the op's text; `grad` lists
the arguments that take a gradient through the first result; an empty list comes with the reason that
the adjoint must give, or with "" where nothing can flow (integers, no operands). Attributes and shapes are odd and unequal on purpose.
"""
import importlib
import json
import pathlib

from cases import cases

for name in ("graph", "quantised", "window", "serving"):
    before = len(cases)
    importlib.import_module(f"{name}_cases")
    file = pathlib.Path(__file__).with_name(f"{name}_cases.json")
    file.write_text(json.dumps(cases[before:], separators=(",", ":")) + "\n")
