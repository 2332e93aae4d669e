// RUN: not lmc-opt %s -lm-differentiate -split-input-file 2>&1 | FileCheck %s

// Where no gradient can flow, the error names the op, its path in the model and the reason.

// CHECK: error: {{.*}}no gradient through 'layers.3.cache' (lm.cache_append): caches are for inference
func.func @loss(%w: tensor<2x2xf32> {lm.role = "parameter", lm.name = "w"}) -> tensor<f32> {
  %p = lm.constant dense<0> : tensor<i32>
  %c = lm.reshape %w : (tensor<2x2xf32>) -> tensor<1x2x1x2xf32>
  %y = lm.cache_append %c, %c, %p : (tensor<1x2x1x2xf32>, tensor<1x2x1x2xf32>, tensor<i32>) -> tensor<1x2x1x2xf32> loc("layers.3.cache")
  %s = lm.reduce %y {dims = array<i64: 0, 1, 2, 3>, kind = "sum"} : (tensor<1x2x1x2xf32>) -> tensor<f32>
  return %s : tensor<f32>
}

// -----

// A gradient never gets lost in silence.
// CHECK: error: {{.*}}no gradient through 'rope' (lm.rope): operand 2 depends on a parameter and takes no gradient
func.func @loss(%f: tensor<1xf32> {lm.role = "parameter", lm.name = "f"}, %x: tensor<1x3x1x2xf32>, %p: tensor<3xf32>) -> tensor<f32> {
  %y = lm.rope %x, %p, %f : (tensor<1x3x1x2xf32>, tensor<3xf32>, tensor<1xf32>) -> tensor<1x3x1x2xf32> loc("rope")
  %s = lm.reduce %y {dims = array<i64: 0, 1, 2, 3>, kind = "sum"} : (tensor<1x3x1x2xf32>) -> tensor<f32>
  return %s : tensor<f32>
}

