// Who computes products on a GPU: the forms that cuBLASLt has, and why others stay with kernels of our own.
// REQUIRES: nvrtc
// RUN: lmc compile %s --target cuda:sm_90a --products library --explain=dispatch | FileCheck %s
// RUN: lmc compile %s --target cuda:sm_90a --products library --plan | FileCheck %s --check-prefix=PLAN
// RUN: lmc compile %s --target cuda:sm_80 --products library --plan | FileCheck %s --check-prefix=OLDER
// RUN: lmc compile %s --target cuda:sm_90a --plan | FileCheck %s --check-prefix=GENERATED
// RUN: lmc compile %s --target cuda:sm_90a --products library --plan --json | FileCheck %s --check-prefix=JSON
!x = tensor<1x?x64xf32, #lm.dims<"T">>
!h = tensor<1x?x64xbf16, #lm.dims<"T">>
!y = tensor<1x?x96xf32, #lm.dims<"T">>
func.func @forward(%x: !x {lm.name = "x", lm.role = "input"},
                   %h: !h {lm.name = "h", lm.role = "input"},
                   %r: !y {lm.name = "r", lm.role = "input"},
                   %w: tensor<64x96xf32> {lm.name = "w", lm.role = "input"},
                   %w1: tensor<64x96xf32> {lm.name = "w1", lm.role = "input"},
                   %w2: tensor<64x96xf32> {lm.name = "w2", lm.role = "input"},
                   %w3: tensor<64x96xf32> {lm.name = "w3", lm.role = "input"},
                   %w5: tensor<64x96xf32> {lm.name = "w5", lm.role = "input"},
                   %b: tensor<96xf32> {lm.name = "b", lm.role = "input"},
                   %q: tensor<3x1152xi8> {lm.name = "q", lm.role = "input"})
    -> (!y {lm.name = "o0", lm.role = "output"}, !y {lm.name = "o1", lm.role = "output"},
        !y {lm.name = "o2", lm.role = "output"}, !y {lm.name = "o3", lm.role = "output"},
        !y {lm.name = "o4", lm.role = "output"}, !y {lm.name = "o5", lm.role = "output"},
        !y {lm.name = "o6", lm.role = "output"})
    attributes {lm.ranges = {T = array<i64: 1, 128>}} {
  // CHECK: matmul plain {{.*}} scratch 33554624 cuBLASLt from 9 rows on
  %plain = lm.matmul %x, %w : (!x, tensor<64x96xf32>) -> !y loc("plain")
  // CHECK: matmul bias {{.*}} cuBLASLt from 9 rows on
  %wide = lm.broadcast %b {dims = array<i64: 2>} : (tensor<96xf32>) -> !y
  %p1 = lm.matmul %x, %w1 : (!x, tensor<64x96xf32>) -> !y loc("bias")
  %biased = lm.add %p1, %wide : (!y, !y) -> !y loc("bias")
  %residual = lm.add %r, %biased : (!y, !y) -> !y loc("bias")
  // CHECK: matmul gelu {{.*}} cuBLASLt from 9 rows on
  %p2 = lm.matmul %x, %w2 : (!x, tensor<64x96xf32>) -> !y loc("gelu")
  %b2 = lm.add %p2, %wide : (!y, !y) -> !y loc("gelu")
  %gelu = lm.gelu %b2 {approximate} : (!y) -> !y loc("gelu")
  // CHECK: matmul silu {{.*}} generated: finishes with more than bias, GELU and a sum
  %p3 = lm.matmul %x, %w3 : (!x, tensor<64x96xf32>) -> !y loc("silu")
  %silu = lm.silu %p3 : (!y) -> !y loc("silu")
  // CHECK: matmul rounded {{.*}} generated: rounds an operand as it reads it
  %narrow = lm.convert %w : (tensor<64x96xf32>) -> tensor<64x96xbf16>
  %rounded = lm.matmul %h, %narrow : (!h, tensor<64x96xbf16>) -> !y loc("rounded")
  // CHECK: matmul twice {{.*}} generated: adds more than one matrix
  %p5 = lm.matmul %x, %w5 : (!x, tensor<64x96xf32>) -> !y loc("twice")
  %s5 = lm.add %p5, %r : (!y, !y) -> !y loc("twice")
  %twice = lm.add %s5, %gelu : (!y, !y) -> !y loc("twice")
  // CHECK: matmul quantised {{.*}} generated: multiplies quantised weights
  %c:4 = lm.quantize_rows %x : (!x) -> (tensor<1x?x64xi8, #lm.dims<"T">>, tensor<1x?x2xf32, #lm.dims<"T">>, tensor<1x?x2xf32, #lm.dims<"T">>, tensor<1x?x4xf32, #lm.dims<"T">>)
  %quantised = lm.block_matmul %c#0, %c#1, %c#2, %c#3, %q {columns = 96 : i64, format = "q4_0", width = 32 : i64} : (tensor<1x?x64xi8, #lm.dims<"T">>, tensor<1x?x2xf32, #lm.dims<"T">>, tensor<1x?x2xf32, #lm.dims<"T">>, tensor<1x?x4xf32, #lm.dims<"T">>, tensor<3x1152xi8>) -> !y loc("quantised")
  return %plain, %residual, %gelu, %silu, %rounded, %twice, %quantised : !y, !y, !y, !y, !y, !y, !y
}
// PLAN: workspace{{ +}}1{{ +}}33554624
// PLAN: products: 3 launches by cuBLASLt where it is installed (from 9 rows on), 4 by generated kernels
// PLAN-NEXT: 1 adds more than one matrix
// PLAN-NEXT: 1 finishes with more than bias, GELU and a sum
// PLAN-NEXT: 1 multiplies quantised weights
// PLAN-NEXT: 1 rounds an operand as it reads it
// OLDER: workspace{{ +}}1{{ +}}4194496
// GENERATED-NOT: workspace
// GENERATED-NOT: products
// JSON: "products": {
// JSON-NEXT: "library": 3,
// JSON-NEXT: "least_rows": 9,
