// RUN: lmc-opt %s -lm-pack-weights=width=4 -split-input-file | FileCheck %s
// RUN: lmc-opt %s -lm-pack-weights=width=4 -lm-fuse-kernels -lm-plan-memory -split-input-file | FileCheck %s --check-prefix=PLAN

// Both programs share %w by name, so both read panels; 15 columns are four panels of 4, a depth of 14 is 16.
// PLAN:        plan.tensor @w "parameter" tensor<4x16x4xf32> at 0 {plain = tensor<15x14xf32>, transposed}
// CHECK-LABEL: func.func @decode(
// CHECK-SAME:    tensor<4x16x4xf32> {lm.name = "w", lm.plain = tensor<15x14xf32>, lm.plain_transposed, lm.role = "parameter"}
// CHECK:         lm.matmul %arg0, %arg1 {panel_columns = 15 : i64} : (tensor<1x14xf32>, tensor<4x16x4xf32>) -> tensor<1x15xf32>
func.func @decode(%x: tensor<1x14xf32> {lm.name = "x", lm.role = "input"}, %w: tensor<15x14xf32> {lm.name = "w", lm.role = "parameter"})
    -> (tensor<1x15xf32> {lm.name = "y", lm.role = "output"}) {
  %y = lm.matmul %x, %w {transpose_b} : (tensor<1x14xf32>, tensor<15x14xf32>) -> tensor<1x15xf32>
  return %y : tensor<1x15xf32>
}
// CHECK-LABEL: func.func @prefill(
// CHECK:         lm.matmul %arg0, %arg1 {panel_columns = 15 : i64} : (tensor<2x5x14xf32>, tensor<4x16x4xf32>) -> tensor<2x5x15xf32>
func.func @prefill(%x: tensor<2x5x14xf32> {lm.name = "xs", lm.role = "input"}, %w: tensor<15x14xf32> {lm.name = "w", lm.role = "parameter"})
    -> (tensor<2x5x15xf32> {lm.name = "ys", lm.role = "output"}) {
  %y = lm.matmul %x, %w {transpose_b} : (tensor<2x5x14xf32>, tensor<15x14xf32>) -> tensor<2x5x15xf32>
  return %y : tensor<2x5x15xf32>
}

// -----

// PLAN:        plan.tensor @w "parameter" tensor<2x16x4xf32> at 0 {plain = tensor<15x8xf32>}
// CHECK-LABEL: func.func @not_transposed(
// CHECK-SAME:    tensor<2x16x4xf32> {lm.name = "w", lm.plain = tensor<15x8xf32>, lm.role = "parameter"}
func.func @not_transposed(%x: tensor<1x15xf32> {lm.name = "x", lm.role = "input"}, %w: tensor<15x8xf32> {lm.name = "w", lm.role = "parameter"})
    -> (tensor<1x8xf32> {lm.name = "y", lm.role = "output"}) {
  %y = lm.matmul %x, %w : (tensor<1x15xf32>, tensor<15x8xf32>) -> tensor<1x8xf32>
  return %y : tensor<1x8xf32>
}
