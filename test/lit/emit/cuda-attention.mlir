// What modifies attention's scores as it is printed: a window is a template argument, and none where it has room
// for all keys; a soft cap is another chain.
// RUN: lmc compile %s --target cuda:sm_80 --emit=cuda | FileCheck %s
!q = tensor<1x96x4x16xbf16>
!l = tensor<1x96x4xf32>
// CHECK-DAG: const lmc::Visible<true, index_t, 95> mask
// CHECK-DAG: const lmc::SoftCapped<lmc::bfloat16> chain = {0.25f, 72.1347504f, 50.0f, 0.00499999989f};
// CHECK-DAG: const lmc::Visible<true, index_t> mask
// CHECK-DAG: const lmc::Scaled<lmc::bfloat16> chain = {0.25f, 0.360673755f};
func.func @forward(%q: !q {lm.name = "q", lm.role = "input"}, %k: !q {lm.name = "k", lm.role = "input"})
    -> (!q {lm.name = "a", lm.role = "output"}, !q {lm.name = "b", lm.role = "output"}) {
  %a, %la = lm.attention %q, %k, %k {causal, scale = 0.25 : f64, window = 95 : i64, soft_cap = 50.0 : f64} : (!q, !q, !q) -> (!q, !l)
  %b, %lb = lm.attention %q, %k, %k {causal, scale = 0.25 : f64, window = 96 : i64} : (!q, !q, !q) -> (!q, !l)
  return %a, %b : !q, !q
}
