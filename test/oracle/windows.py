#!/usr/bin/env python3
"""Compares the expectations of convolutions and pools in test/data/ir/window_cases.json with PyTorch.

The unit tests hold the evaluator, every adjoint and every kernel against that file, which NumPy wrote; this
says that its strides, dilations, padding and groups mean what PyTorch's mean. In float64, to 1e-12.

Needs torch, which is no dependency of lmc: run it from an environment that has it. Without it it says so
and exits with 77 (skipped).
usage: windows.py [window_cases.json]
"""
import json
import pathlib
import re
import sys

try:
    import torch
    import torch.nn.functional as F
except ImportError as missing:
    print(f"skipped: {missing}; needs torch")
    sys.exit(77)


def shapes_of(line):
    """Operands' and the result's shapes from "... : (tensor<..>, ...) -> tensor<..>"."""
    return [[int(n) for n in shape.split("x")[:-1]] for shape in re.findall(r"tensor<([^>]*)>", line)]


def padded(x, low, high, value):
    return F.pad(x, [n for pair in reversed(list(zip(low, high))) for n in pair], value=value)


def expected(op, x, w, spatial, attributes):
    strides, dilations = attributes("strides", 1), attributes("dilations", 1)
    low, high = attributes("pad_low", 0), attributes("pad_high", 0)
    first = lambda t: t.movedim(-1, 1)  # channels in front, as PyTorch has them
    last = lambda t: t.movedim(1, -1)
    convolve = (F.conv1d, F.conv2d)[spatial - 1]
    if op == "convolution":
        weights = w.permute(spatial + 1, spatial, *range(spatial))  # [F, C / groups, kernel...]
        return last(convolve(padded(first(x), low, high, 0.0), weights, stride=strides, dilation=dilations,
                             groups=attributes("groups", 1, count=1)[0]))
    size = attributes("size", 1)
    if op == "max_pool":
        pool = (F.max_pool1d, F.max_pool2d)[spatial - 1]
        return last(pool(padded(first(x), low, high, float("-inf")), size, stride=strides, dilation=dilations))
    # A mean is a sum over a sum of ones; avg_pool has neither dilations nor other padding behind than in front.
    C = x.shape[-1]
    ones = torch.ones(C, 1, *size, dtype=x.dtype)
    total = lambda t: convolve(padded(first(t), low, high, 0.0), ones, stride=strides, dilation=dilations, groups=C)
    if not any(low) and not any(high) and set(dilations) == {1}:
        pool = (F.avg_pool1d, F.avg_pool2d)[spatial - 1]
        assert torch.allclose(pool(first(x), size, stride=strides), total(x) / total(torch.ones_like(x)))
    return last(total(x) / total(torch.ones_like(x)))


def main():
    root = pathlib.Path(__file__).resolve().parent.parent
    cases = json.loads(pathlib.Path(sys.argv[1] if len(sys.argv) > 1 else root / "data/ir/window_cases.json").read_text())
    wrong = checked = 0
    for case in cases:
        if case["op"] not in ("convolution", "max_pool", "average_pool"):
            continue
        line = next(line for line in case["mlir"].splitlines() if f"lm.{case['op']} " in line)
        shapes = shapes_of(line)
        spatial = len(shapes[0]) - 2

        def attributes(name, otherwise, count=spatial):
            found = re.search(rf"{name} = (?:array<i64: ([^>]*)>|(\d+) : i64)", line)
            return [int(n) for n in (found[1] or found[2]).split(",")] if found else [otherwise] * count

        operands = [torch.tensor(numbers, dtype=torch.float64).reshape(shape)
                    for numbers, shape in zip(case["args"], shapes)]
        ours = torch.tensor(case["results"][0], dtype=torch.float64).reshape(shapes[-1])
        theirs = expected(case["op"], operands[0], operands[-1], spatial, attributes)
        checked += 1
        if ours.shape != theirs.shape or not torch.allclose(ours, theirs, rtol=1e-12, atol=1e-12):
            wrong += 1
            print(f"{case['name']}: differs from PyTorch, shapes {list(ours.shape)} and {list(theirs.shape)}")
    print(f"{checked - wrong} of {checked} cases agree with PyTorch {torch.__version__}")
    sys.exit(wrong > 0 or checked == 0)


main()
