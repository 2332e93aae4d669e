// Budgets of decode over a long cache in parts, and of the combination: head dimensions 64, 80, 96, 128 (with a window
// and a soft cap) and 256, and one in f32.
// REQUIRES: nvrtc
// RUN: lmc compile %s --target cuda:sm_80 --explain=resources --json | %python %S/budgets.py %s
// RUN: lmc compile %s --target cuda:sm_90a --explain=resources --json | %python %S/budgets.py %s
// RUN: lmc compile %s --target cuda:sm_100 --explain=resources --json | %python %S/budgets.py %s
// BUDGET: d64 attention registers=80 blocks=2 HMMA LDSM LDGSTS
// BUDGET: d64 row registers=32 blocks=16
// BUDGET: d80 attention registers=96 blocks=1 HMMA LDSM LDGSTS
// BUDGET(sm_90): d80 attention registers=88 blocks=2 HMMA LDSM LDGSTS
// BUDGET: d80 row registers=32 blocks=16
// BUDGET: d96 attention registers=104 blocks=2 HMMA LDSM LDGSTS
// BUDGET: d96 row registers=32 blocks=16
// BUDGET: d128 attention registers=128 blocks=2 HMMA LDSM LDGSTS
// BUDGET: d128 row registers=32 blocks=16
// BUDGET: d256 attention registers=168 blocks=2 HMMA LDSM LDGSTS
// BUDGET: d256 row registers=32 blocks=16
// BUDGET: f32 attention registers=96 blocks=2 LDGSTS
// BUDGET: f32 row registers=32 blocks=16
!q = tensor<1x1x8x64xbf16>
!c = tensor<1x8192x2x64xbf16>
!q80 = tensor<1x1x8x80xbf16>
!c80 = tensor<1x8192x2x80xbf16>
!q96 = tensor<1x1x8x96xbf16>
!c96 = tensor<1x8192x2x96xbf16>
!q128 = tensor<1x1x8x128xbf16>
!c128 = tensor<1x8192x2x128xbf16>
!q256 = tensor<1x1x8x256xbf16>
!c256 = tensor<1x8192x2x256xbf16>
!qf = tensor<1x1x8x64xf32>
!cf = tensor<1x8192x2x64xf32>
!l = tensor<1x1x8xf32>
func.func @forward(%past: tensor<i32> {lm.name = "past", lm.role = "input"},
                   %q: !q {lm.name = "q", lm.role = "input"}, %k: !c {lm.name = "k", lm.role = "cache"},
                   %q80: !q80 {lm.name = "q80", lm.role = "input"}, %k80: !c80 {lm.name = "k80", lm.role = "cache"},
                   %q96: !q96 {lm.name = "q96", lm.role = "input"}, %k96: !c96 {lm.name = "k96", lm.role = "cache"},
                   %q128: !q128 {lm.name = "q128", lm.role = "input"}, %k128: !c128 {lm.name = "k128", lm.role = "cache"},
                   %q256: !q256 {lm.name = "q256", lm.role = "input"}, %k256: !c256 {lm.name = "k256", lm.role = "cache"},
                   %qf: !qf {lm.name = "qf", lm.role = "input"}, %kf: !cf {lm.name = "kf", lm.role = "cache"})
    -> (!q {lm.name = "y", lm.role = "output"}, !q80 {lm.name = "y80", lm.role = "output"},
        !q96 {lm.name = "y96", lm.role = "output"}, !q128 {lm.name = "y128", lm.role = "output"},
        !q256 {lm.name = "y256", lm.role = "output"}, !qf {lm.name = "yf", lm.role = "output"}) {
  %y, %l = lm.attention %q, %k, %k, %past {causal, scale = 0.125 : f64} : (!q, !c, !c, tensor<i32>) -> (!q, !l) loc("d64")
  %y80, %l80 = lm.attention %q80, %k80, %k80, %past {causal, scale = 0.1 : f64} : (!q80, !c80, !c80, tensor<i32>) -> (!q80, !l) loc("d80")
  %y96, %l96 = lm.attention %q96, %k96, %k96, %past {causal, scale = 0.1 : f64} : (!q96, !c96, !c96, tensor<i32>) -> (!q96, !l) loc("d96")
  %y128, %l128 = lm.attention %q128, %k128, %k128, %past {causal, scale = 0.1 : f64, window = 4000 : i64, soft_cap = 50.0 : f64} : (!q128, !c128, !c128, tensor<i32>) -> (!q128, !l) loc("d128")
  %y256, %l256 = lm.attention %q256, %k256, %k256, %past {causal, scale = 0.1 : f64} : (!q256, !c256, !c256, tensor<i32>) -> (!q256, !l) loc("d256")
  %yf, %lf = lm.attention %qf, %kf, %kf, %past {causal, scale = 0.125 : f64} : (!qf, !cf, !cf, tensor<i32>) -> (!qf, !l) loc("f32")
  return %y, %y80, %y96, %y128, %y256, %yf : !q, !q80, !q96, !q128, !q256, !qf
}
