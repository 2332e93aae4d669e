"""Convolutions, pools and what they are made of."""
import numpy as np

from cases import add, ids, real, tensor

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
