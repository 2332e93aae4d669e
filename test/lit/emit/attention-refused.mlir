// What a pass makes of attention for GPUs is refused by the CPU, with what to write in its place.
// RUN: not lmc compile %s --emit=llvm 2>&1 | FileCheck %s
// CHECK: error: no kernel for 'parts' (lm.attention_parts) on the CPU: parts of keys are blocks of a GPU; use lm.attention, or compile for --target cuda
!q = tensor<1x1x2x16xf32>
!k = tensor<1x64x2x16xf32>
func.func @forward(%q: !q {lm.name = "q", lm.role = "input"}, %k: !k {lm.name = "k", lm.role = "input"},
                   %past: tensor<i32> {lm.name = "past", lm.role = "input"})
    -> (tensor<1x1x2x2x16xf32> {lm.name = "o", lm.role = "output"},
        tensor<1x1x2x2xf32> {lm.name = "l", lm.role = "output"}) {
  %o, %l = lm.attention_parts %q, %k, %k, %past {causal, chunk = 32 : i64, parts = 2 : i64, scale = 0.25 : f64}
    : (!q, !k, !k, tensor<i32>) -> (tensor<1x1x2x2x16xf32>, tensor<1x1x2x2xf32>) loc("parts")
  return %o, %l : tensor<1x1x2x2x16xf32>, tensor<1x1x2x2xf32>
}
