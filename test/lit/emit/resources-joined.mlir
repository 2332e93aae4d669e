// Budgets of joined kernels: AdamW of all parameters, which keeps f32, and the sums of the gradients' norm. A launch has
// as many registers as the larger of its bodies.
// REQUIRES: nvrtc
// RUN: lmc compile %s --target cuda:sm_80 --explain=resources --json | %python %S/budgets.py %s
// RUN: lmc compile %s --target cuda:sm_90a --explain=resources --json | %python %S/budgets.py %s
// RUN: lmc compile %s --target cuda:sm_100 --explain=resources --json | %python %S/budgets.py %s
// BUDGET: p0.adamw and 3 more map registers=64 blocks=4
// BUDGET: norm and 3 more row registers=32 blocks=8
// BUDGET: norm row registers=32 blocks=8
// BUDGET: norm map registers=32 blocks=8
!s = tensor<f32>
func.func @forward(%p0: tensor<300x700xf32> {lm.name = "p0", lm.role = "parameter"},
                   %m0: tensor<300x700xf32> {lm.name = "m0", lm.role = "moment"},
                   %v0: tensor<300x700xf32> {lm.name = "v0", lm.role = "moment"},
                   %g0: tensor<300x700xf32> {lm.name = "g0", lm.role = "gradient"},
                   %p1: tensor<700xf32> {lm.name = "p1", lm.role = "parameter"},
                   %m1: tensor<700xf32> {lm.name = "m1", lm.role = "moment"},
                   %v1: tensor<700xf32> {lm.name = "v1", lm.role = "moment"},
                   %g1: tensor<700xf32> {lm.name = "g1", lm.role = "gradient"},
                   %p2: tensor<64x64xf32> {lm.name = "p2", lm.role = "parameter"},
                   %m2: tensor<64x64xf32> {lm.name = "m2", lm.role = "moment"},
                   %v2: tensor<64x64xf32> {lm.name = "v2", lm.role = "moment"},
                   %g2: tensor<64x64xf32> {lm.name = "g2", lm.role = "gradient"},
                   %p3: tensor<64xf32> {lm.name = "p3", lm.role = "parameter"},
                   %m3: tensor<64xf32> {lm.name = "m3", lm.role = "moment"},
                   %v3: tensor<64xf32> {lm.name = "v3", lm.role = "moment"},
                   %g3: tensor<64xf32> {lm.name = "g3", lm.role = "gradient"},
                   %lr: !s {lm.name = "lr", lm.role = "input"},
                   %scale: !s {lm.name = "scale", lm.role = "input"},
                   %c1: !s {lm.name = "c1", lm.role = "input"},
                   %c2: !s {lm.name = "c2", lm.role = "input"},
                   %ok: tensor<i1> {lm.name = "ok", lm.role = "input"})
    -> (tensor<300x700xf32> {lm.updates = 0 : i64},
        tensor<300x700xf32> {lm.updates = 1 : i64},
        tensor<300x700xf32> {lm.updates = 2 : i64},
        tensor<700xf32> {lm.updates = 4 : i64},
        tensor<700xf32> {lm.updates = 5 : i64},
        tensor<700xf32> {lm.updates = 6 : i64},
        tensor<64x64xf32> {lm.updates = 8 : i64},
        tensor<64x64xf32> {lm.updates = 9 : i64},
        tensor<64x64xf32> {lm.updates = 10 : i64},
        tensor<64xf32> {lm.updates = 12 : i64},
        tensor<64xf32> {lm.updates = 13 : i64},
        tensor<64xf32> {lm.updates = 14 : i64},
        !s {lm.name = "norm", lm.role = "output"}) {
  %p0n, %m0n, %v0n = lm.adamw %p0, %g0, %m0, %v0, %lr, %scale, %c1, %c2, %ok {beta1 = 0.9, beta2 = 0.95, eps = 1.0e-8, decay = 1.0e-01} : (tensor<300x700xf32>, tensor<300x700xf32>, tensor<300x700xf32>, tensor<300x700xf32>, !s, !s, !s, !s, tensor<i1>) -> (tensor<300x700xf32>, tensor<300x700xf32>, tensor<300x700xf32>) loc("p0.adamw")
  %p1n, %m1n, %v1n = lm.adamw %p1, %g1, %m1, %v1, %lr, %scale, %c1, %c2, %ok {beta1 = 0.9, beta2 = 0.95, eps = 1.0e-8, decay = 0.0} : (tensor<700xf32>, tensor<700xf32>, tensor<700xf32>, tensor<700xf32>, !s, !s, !s, !s, tensor<i1>) -> (tensor<700xf32>, tensor<700xf32>, tensor<700xf32>) loc("p1.adamw")
  %p2n, %m2n, %v2n = lm.adamw %p2, %g2, %m2, %v2, %lr, %scale, %c1, %c2, %ok {beta1 = 0.9, beta2 = 0.95, eps = 1.0e-8, decay = 1.0e-01} : (tensor<64x64xf32>, tensor<64x64xf32>, tensor<64x64xf32>, tensor<64x64xf32>, !s, !s, !s, !s, tensor<i1>) -> (tensor<64x64xf32>, tensor<64x64xf32>, tensor<64x64xf32>) loc("p2.adamw")
  %p3n, %m3n, %v3n = lm.adamw %p3, %g3, %m3, %v3, %lr, %scale, %c1, %c2, %ok {beta1 = 0.9, beta2 = 0.95, eps = 1.0e-8, decay = 0.0} : (tensor<64xf32>, tensor<64xf32>, tensor<64xf32>, tensor<64xf32>, !s, !s, !s, !s, tensor<i1>) -> (tensor<64xf32>, tensor<64xf32>, tensor<64xf32>) loc("p3.adamw")
  %norm = lm.global_norm %g0, %g1, %g2, %g3 : (tensor<300x700xf32>, tensor<700xf32>, tensor<64x64xf32>, tensor<64xf32>) -> !s loc("norm")
  return %p0n, %m0n, %v0n, %p1n, %m1n, %v1n, %p2n, %m2n, %v2n, %p3n, %m3n, %v3n, %norm
    : tensor<300x700xf32>, tensor<300x700xf32>, tensor<300x700xf32>, tensor<700xf32>, tensor<700xf32>, tensor<700xf32>, tensor<64x64xf32>, tensor<64x64xf32>, tensor<64x64xf32>, tensor<64xf32>, tensor<64xf32>, tensor<64xf32>, !s
}
