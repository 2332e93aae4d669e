// RUN: lmc-opt %s -lm-pack-weights=width=4 -lm-narrow-weights -split-input-file | FileCheck %s
// RUN: lmc-opt %s -lm-pack-weights=width=4 -lm-narrow-weights -lm-fuse-kernels -lm-plan-memory -split-input-file | FileCheck %s --check-prefix=PLAN

// Panels of a product are 16 bits wide in memory, and the product's own kernel widens them.
// PLAN:        plan.tensor @w "parameter" tensor<4x16x4xf16> at 0 {plain = tensor<15x14xf32>, transposed}
// PLAN-NOT:    plan.launch{{.*}}map
// CHECK-LABEL: func.func @packed(
// CHECK-SAME:    tensor<4x16x4xf16> {lm.name = "w", lm.plain = tensor<15x14xf32>
// CHECK:         %[[W:.*]] = lm.convert %arg1 : (tensor<4x16x4xf16>) -> tensor<4x16x4xf32>
// CHECK:         lm.matmul %arg0, %[[W]] {panel_columns = 15 : i64} : (tensor<1x14xf32>, tensor<4x16x4xf32>) -> tensor<1x15xf32>
func.func @packed(%x: tensor<1x14xf32> {lm.name = "x", lm.role = "input"}, %w: tensor<15x14xf32> {lm.name = "w", lm.role = "parameter", lm.stored = f16})
    -> (tensor<1x15xf32> {lm.name = "y", lm.role = "output"}) {
  %y = lm.matmul %x, %w {transpose_b} : (tensor<1x14xf32>, tensor<15x14xf32>) -> tensor<1x15xf32>
  return %y : tensor<1x15xf32>
}

// -----

// A table that a gather and a product share.
// PLAN:        plan.tensor @w "parameter" tensor<15x14xbf16> at 0
// CHECK-LABEL: func.func @tied(
// CHECK-SAME:    tensor<15x14xbf16>
// CHECK:         %[[W:.*]] = lm.convert %arg1 : (tensor<15x14xbf16>) -> tensor<15x14xf32>
// CHECK:         %[[X:.*]] = lm.gather %[[W]], %arg0
// CHECK:         lm.matmul %[[X]], %[[W]] {transpose_b}
func.func @tied(%ids: tensor<3xi32> {lm.name = "ids", lm.role = "input"}, %w: tensor<15x14xf32> {lm.name = "w", lm.role = "parameter", lm.stored = bf16})
    -> (tensor<3x15xf32> {lm.name = "y", lm.role = "output"}) {
  %x = lm.gather %w, %ids : (tensor<15x14xf32>, tensor<3xi32>) -> tensor<3x14xf32>
  %y = lm.matmul %x, %w {transpose_b} : (tensor<3x14xf32>, tensor<15x14xf32>) -> tensor<3x15xf32>
  return %y : tensor<3x15xf32>
}

// -----

// Other ops read f32, and so do all programs of a weight that has no shorter form.
// CHECK-LABEL: func.func @scale(
// CHECK-SAME:    %arg1: tensor<14xf32>
// CHECK-SAME:    %arg2: tensor<2x16x4xf32>
// CHECK-NOT:     lm.convert
func.func @scale(%x: tensor<1x14xf32> {lm.name = "x", lm.role = "input"}, %g: tensor<14xf32> {lm.name = "g", lm.role = "parameter", lm.stored = f16},
                 %w: tensor<14x8xf32> {lm.name = "w", lm.role = "parameter"})
    -> (tensor<1x8xf32> {lm.name = "y", lm.role = "output"}) {
  %b = lm.broadcast %g {dims = array<i64: 1>} : (tensor<14xf32>) -> tensor<1x14xf32>
  %s = lm.mul %x, %b : (tensor<1x14xf32>, tensor<1x14xf32>) -> tensor<1x14xf32>
  %y = lm.matmul %s, %w : (tensor<1x14xf32>, tensor<14x8xf32>) -> tensor<1x8xf32>
  return %y : tensor<1x8xf32>
}

// -----

// The matrices of experts too, and their product's own kernel widens them.
// PLAN:        plan.tensor @w "parameter" tensor<5x15x14xbf16>
// PLAN-NOT:    plan.launch{{.*}}map
// CHECK-LABEL: func.func @experts(
// CHECK:         %[[W:.*]] = lm.convert %arg3 : (tensor<5x15x14xbf16>) -> tensor<5x15x14xf32>
// CHECK:         lm.expert_matmul %arg0, %[[W]], %arg1, %arg2 {transpose_b}
func.func @experts(%x: tensor<3x14xf32> {lm.name = "x", lm.role = "input"}, %order: tensor<2x3xi32> {lm.name = "order", lm.role = "input"}, %starts: tensor<6xi32> {lm.name = "starts", lm.role = "input"},
                   %w: tensor<5x15x14xf32> {lm.name = "w", lm.role = "parameter", lm.stored = bf16})
    -> (tensor<2x3x15xf32> {lm.name = "y", lm.role = "output"}) {
  %y = lm.expert_matmul %x, %w, %order, %starts {transpose_b} : (tensor<3x14xf32>, tensor<5x15x14xf32>, tensor<2x3xi32>, tensor<6xi32>) -> tensor<2x3x15xf32>
  return %y : tensor<2x3x15xf32>
}
