// RUN: lmc-opt %s -lm-differentiate -mlir-print-debuginfo -mlir-print-local-scope -split-input-file -verify-diagnostics | FileCheck %s

// One gradient a parameter, in order, with its name; the path says which op it belongs to.
// CHECK-LABEL: func.func @loss(
// CHECK-SAME:    -> (tensor<f32>, tensor<3x2xf32> {lm.name = "w", lm.role = "gradient"},
// CHECK-SAME:        tensor<5xf32> {lm.name = "unused", lm.role = "gradient"})
// CHECK:         %[[LOSS:.*]] = lm.reduce
// CHECK:         lm.broadcast {{.*}} -> tensor<4x2xf32> loc("sum.grad")
// CHECK:         %[[DW:.*]] = lm.matmul {{.*}} {transpose_a} : {{.*}} -> tensor<3x2xf32> loc("fc.grad")
// CHECK:         %[[ZERO:.*]] = lm.broadcast {{.*}} -> tensor<5xf32>
// CHECK:         return %[[LOSS]], %[[DW]], %[[ZERO]]
func.func @loss(%w: tensor<3x2xf32> {lm.role = "parameter", lm.name = "w"},
                %u: tensor<5xf32> {lm.role = "parameter", lm.name = "unused"},
                %x: tensor<4x3xf32> {lm.role = "input", lm.name = "x"}) -> tensor<f32> {
  %y = lm.matmul %x, %w : (tensor<4x3xf32>, tensor<3x2xf32>) -> tensor<4x2xf32> loc("fc")
  %s = lm.reduce %y {dims = array<i64: 0, 1>, kind = "sum"} : (tensor<4x2xf32>) -> tensor<f32> loc("sum")
  return %s : tensor<f32>
}

// Other functions stay as they are.
// CHECK-LABEL: func.func @eval(
// CHECK-SAME:    -> tensor<f32>
func.func @eval(%w: tensor<f32> {lm.role = "parameter", lm.name = "w"}) -> tensor<f32> {
  return %w : tensor<f32>
}

// -----

// Cotangents of a value that is used twice are added; what does not depend on a parameter gets none.
// CHECK-LABEL: func.func @loss(
// CHECK:         %[[E:.*]] = lm.exp
// CHECK:         %[[A:.*]] = lm.mul {{.*}} loc("square.grad")
// CHECK:         %[[B:.*]] = lm.mul {{.*}} loc("square.grad")
// CHECK:         %[[SUM:.*]] = lm.add %[[A]], %[[B]]
// CHECK-NOT:     loc("exp.grad")
// CHECK:         return {{.*}}, %[[SUM]]
func.func @loss(%w: tensor<f32> {lm.role = "parameter", lm.name = "w"}, %x: tensor<f32>) -> tensor<f32> {
  %e = lm.exp %x : (tensor<f32>) -> tensor<f32> loc("exp")
  %y = lm.mul %w, %w : (tensor<f32>, tensor<f32>) -> tensor<f32> loc("square")
  %z = lm.add %y, %e : (tensor<f32>, tensor<f32>) -> tensor<f32> loc("add")
  return %z : tensor<f32>
}

// -----

// expected-error@+1 {{the first result must be the loss, a scalar float}}
func.func @loss(%w: tensor<2xf32> {lm.role = "parameter", lm.name = "w"}) -> tensor<2xf32> {
  return %w : tensor<2xf32>
}

// -----

// expected-error@+1 {{the first result must be the loss, a scalar float}}
func.func @loss(%w: tensor<i32>) -> tensor<i32> {
  return %w : tensor<i32>
}
