"""What the modules of cases share: inputs, the op's text, the list. Draws come from one generator, so the order of
the modules (make_cases.py) is part of the data."""
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
