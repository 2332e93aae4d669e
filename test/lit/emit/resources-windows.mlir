// Budgets of kernels that read windows (budgets.py says what a line means): a causal convolution with its
// activation, its weights' gradient, the rows of a dense one, a maximum of squares and its adjoint.
// REQUIRES: nvrtc
// RUN: lmc compile %s --target cuda:sm_80 --explain=resources --json | %python %S/budgets.py %s
// RUN: lmc compile %s --target cuda:sm_90a --explain=resources --json | %python %S/budgets.py %s
// RUN: lmc compile %s --target cuda:sm_100 --explain=resources --json | %python %S/budgets.py %s
// BUDGET: causal map registers=32 blocks=8
// BUDGET: dense map registers=32 blocks=8
// BUDGET: dense matmul registers=96 blocks=5 LDGSTS
// BUDGET: max map registers=32 blocks=8
// BUDGET: max.grad map registers=32 blocks=8
// BUDGET: causal.grad column registers=32 blocks=4
!x = tensor<2x?x768xf32, #lm.dims<"T">>
!xtaps = tensor<2x?x4x768xf32, #lm.dims<"T">>
!taps = tensor<2x28x3x28x3x64xf32>
func.func @forward(%x: !x {lm.name = "x", lm.role = "input"},
                   %w: tensor<4x1x768xf32> {lm.name = "w", lm.role = "parameter"},
                   %s: tensor<2x300x80xf32> {lm.name = "s", lm.role = "input"},
                   %v: tensor<3x80x384xf32> {lm.name = "v", lm.role = "parameter"},
                   %image: tensor<2x56x56x64xf32> {lm.name = "image", lm.role = "input"},
                   %dmax: tensor<2x28x28x64xf32> {lm.name = "dmax", lm.role = "input"})
    -> (!x {lm.name = "causal", lm.role = "output"},
        tensor<2x150x384xf32> {lm.name = "dense", lm.role = "output"},
        tensor<2x28x28x64xf32> {lm.name = "max", lm.role = "output"},
        tensor<2x56x56x64xf32> {lm.name = "dimage", lm.role = "output"},
        tensor<4x768xf32> {lm.name = "dw", lm.role = "output"})
    attributes {lm.ranges = {T = array<i64: 1, 128>}} {
  %c = lm.convolution %x, %w {groups = 768 : i64, pad_low = array<i64: 3>} : (!x, tensor<4x1x768xf32>) -> !x loc("causal")
  %y = lm.silu %c : (!x) -> !x loc("causal")
  %d = lm.convolution %s, %v {strides = array<i64: 2>, pad_low = array<i64: 1>, pad_high = array<i64: 1>} : (tensor<2x300x80xf32>, tensor<3x80x384xf32>) -> tensor<2x150x384xf32> loc("dense")
  %m = lm.max_pool %image {size = array<i64: 3, 3>, strides = array<i64: 2, 2>, pad_low = array<i64: 1, 1>, pad_high = array<i64: 1, 1>} : (tensor<2x56x56x64xf32>) -> tensor<2x28x28x64xf32> loc("max")
  %r = lm.broadcast %image {dims = array<i64: 0, 1, 3, 5>} : (tensor<2x56x56x64xf32>) -> tensor<2x56x3x56x3x64xf32>
  %h = lm.skew %r {dim = 1 : i64, by = 2 : i64, step = 2 : i64, slope = 1 : i64, start = -1 : i64, outside = "lowest"} : (tensor<2x56x3x56x3x64xf32>) -> tensor<2x28x3x56x3x64xf32>
  %t = lm.skew %h {dim = 3 : i64, by = 4 : i64, step = 2 : i64, slope = 1 : i64, start = -1 : i64, outside = "lowest"} : (tensor<2x28x3x56x3x64xf32>) -> !taps
  %mb = lm.broadcast %m {dims = array<i64: 0, 1, 3, 5>} : (tensor<2x28x28x64xf32>) -> !taps
  %db = lm.broadcast %dmax {dims = array<i64: 0, 1, 3, 5>} : (tensor<2x28x28x64xf32>) -> !taps
  %0 = lm.constant dense<0.0> : !taps
  %q = lm.compare %t, %mb {predicate = "eq"} : (!taps, !taps) -> tensor<2x28x3x28x3x64xi1>
  %dt = lm.select %q, %db, %0 : (tensor<2x28x3x28x3x64xi1>, !taps, !taps) -> !taps
  %dh = lm.skew %dt {dim = 3 : i64, by = 4 : i64, every = 2 : i64, slope = -1 : i64, start = 1 : i64} : (!taps) -> tensor<2x28x3x56x3x64xf32>
  %dr = lm.skew %dh {dim = 1 : i64, by = 2 : i64, every = 2 : i64, slope = -1 : i64, start = 1 : i64} : (tensor<2x28x3x56x3x64xf32>) -> tensor<2x56x3x56x3x64xf32>
  %di = lm.reduce %dr {dims = array<i64: 2, 4>, kind = "sum"} : (tensor<2x56x3x56x3x64xf32>) -> tensor<2x56x56x64xf32> loc("max.grad")
  %xr = lm.broadcast %x {dims = array<i64: 0, 1, 3>} : (!x) -> !xtaps
  %xt = lm.skew %xr {dim = 1 : i64, by = 2 : i64, slope = 1 : i64, start = -3 : i64} : (!xtaps) -> !xtaps
  %yb = lm.broadcast %x {dims = array<i64: 0, 1, 3>} : (!x) -> !xtaps
  %p = lm.mul %xt, %yb : (!xtaps, !xtaps) -> !xtaps
  %dw = lm.reduce %p {dims = array<i64: 0, 1>, kind = "sum"} : (!xtaps) -> tensor<4x768xf32> loc("causal.grad")
  return %y, %d, %m, %di, %dw : !x, tensor<2x150x384xf32>, tensor<2x28x28x64xf32>, tensor<2x56x56x64xf32>, tensor<4x768xf32>
}
