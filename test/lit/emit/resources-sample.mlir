// Budget of the draw from logits (budgets.py says what a line means): a vocabulary of 128k, a batch.
// REQUIRES: nvrtc
// RUN: lmc compile %s --target cuda:sm_80 --explain=resources --json | %python %S/budgets.py %s
// RUN: lmc compile %s --target cuda:sm_90a --explain=resources --json | %python %S/budgets.py %s
// RUN: lmc compile %s --target cuda:sm_100 --explain=resources --json | %python %S/budgets.py %s
// RUN: lmc compile %s --target cuda:sm_90a --emit=cuda | FileCheck %s
// BUDGET: sample sample registers=64 blocks=2
// CHECK: sample (sample): one block a row
// CHECK: const auto logit = [&](int id) {
// CHECK: lmc::sampleRow<512>(logit, count, options, lmc::dynamicShared())
!n = tensor<?xf32, #lm.dims<"B">>
!i = tensor<?xi32, #lm.dims<"B">>
func.func @forward(%x: tensor<?x128256xf32, #lm.dims<"B">> {lm.name = "x", lm.role = "input"},
                   %t: !n {lm.name = "t", lm.role = "input"}, %k: !i {lm.name = "k", lm.role = "input"},
                   %p: !n {lm.name = "p", lm.role = "input"}, %c: !i {lm.name = "c", lm.role = "input"},
                   %bits: tensor<?x2xi32, #lm.dims<"B">> {lm.name = "bits", lm.role = "input"})
    -> (!i {lm.name = "y", lm.role = "output"}) attributes {lm.ranges = {B = array<i64: 1, 64>}} {
  %y = lm.sample %x, %t, %k, %p, %c, %bits : (tensor<?x128256xf32, #lm.dims<"B">>, !n, !i, !n, !i, tensor<?x2xi32, #lm.dims<"B">>) -> !i loc("sample")
  return %y : !i
}
