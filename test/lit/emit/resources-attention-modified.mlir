// Budgets of attention with a window and a soft cap: forward, its adjoint (delta; dq; dk and dv) and decode over a
// cache. One multiprocessor holds as many blocks as without them.
// REQUIRES: nvrtc
// RUN: lmc compile %s --target cuda:sm_80 --explain=resources --json | %python %S/budgets.py %s
// RUN: lmc compile %s --target cuda:sm_90a --explain=resources --json | %python %S/budgets.py %s
// RUN: lmc compile %s --target cuda:sm_100 --explain=resources --json | %python %S/budgets.py %s
// BUDGET: forward attention registers=255 blocks=2 HMMA LDSM LDGSTS
// BUDGET(sm_90): forward attention registers=168 blocks=1 HGMMA UTMALDG
// BUDGET: backward row registers=32 blocks=16
// BUDGET: backward attention registers=128 blocks=2 HMMA LDSM LDGSTS
// BUDGET(sm_90): backward attention registers=168 blocks=1 HGMMA UTMALDG
// BUDGET: backward attention registers=192 blocks=1 HMMA LDSM LDGSTS
// BUDGET(sm_90): backward attention registers=168 blocks=1 HGMMA UTMALDG
// BUDGET: decode attention registers=80 blocks=2 HMMA LDSM LDGSTS
!q = tensor<1x256x8x64xbf16>
!k = tensor<1x256x2x64xbf16>
!l = tensor<1x256x8xf32>
!q1 = tensor<1x1x8x64xbf16>
!c = tensor<1x512x2x64xbf16>
func.func @forward(%q: !q {lm.name = "q", lm.role = "input"}, %k: !k {lm.name = "k", lm.role = "input"},
                   %v: !k {lm.name = "v", lm.role = "input"}, %dout: !q {lm.name = "dout", lm.role = "input"},
                   %q1: !q1 {lm.name = "q1", lm.role = "input"}, %past: tensor<i32> {lm.name = "past", lm.role = "input"},
                   %keys: !c {lm.name = "keys", lm.role = "cache"}, %values: !c {lm.name = "values", lm.role = "cache"})
    -> (!q {lm.name = "out", lm.role = "output"}, !q {lm.name = "dq", lm.role = "output"},
        !k {lm.name = "dk", lm.role = "output"}, !k {lm.name = "dv", lm.role = "output"},
        !q1 {lm.name = "out1", lm.role = "output"}) {
  %out, %lse = lm.attention %q, %k, %v {causal, scale = 0.125 : f64, window = 100 : i64, soft_cap = 50.0 : f64} : (!q, !k, !k) -> (!q, !l) loc("forward")
  %dq, %dk, %dv = lm.attention_grad %q, %k, %v, %out, %lse, %dout {causal, scale = 0.125 : f64, window = 100 : i64, soft_cap = 50.0 : f64}
    : (!q, !k, !k, !q, !l, !q) -> (!q, !k, !k) loc("backward")
  %out1, %lse1 = lm.attention %q1, %keys, %values, %past {causal, scale = 0.125 : f64, window = 100 : i64, soft_cap = 50.0 : f64} : (!q1, !c, !c, tensor<i32>) -> (!q1, tensor<1x1x8xf32>) loc("decode")
  return %out, %dq, %dk, %dv, %out1 : !q, !q, !k, !k, !q1
}
