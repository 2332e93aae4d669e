// RUN: lmc-opt %s -lm-decompose | FileCheck %s

// CHECK-LABEL: func.func @rms_norm
// CHECK-NOT:     lm.rms_norm
// CHECK:         lm.reduce {{.*}} {dims = array<i64: 2>, kind = "sum"}
// CHECK:         lm.rsqrt
func.func @rms_norm(%x: tensor<2x3x5xf32>, %w: tensor<5xf32>) -> tensor<2x3x5xf32> {
  %y = lm.rms_norm %x, %w {eps = 1.0e-05 : f64} : (tensor<2x3x5xf32>, tensor<5xf32>) -> tensor<2x3x5xf32>
  return %y : tensor<2x3x5xf32>
}

// Along rows or along columns: as it is.
// CHECK-LABEL: func.func @kept
// CHECK-NEXT:    lm.reduce %{{.*}} {dims = array<i64: 2>
// CHECK-NEXT:    lm.reduce %{{.*}} {dims = array<i64: 0, 1>
// CHECK-NEXT:    return
func.func @kept(%x: tensor<2x3x5xf32>) -> (tensor<2x3xf32>, tensor<5xf32>) {
  %r = lm.reduce %x {dims = array<i64: 2>, kind = "sum"} : (tensor<2x3x5xf32>) -> tensor<2x3xf32>
  %c = lm.reduce %x {dims = array<i64: 0, 1>, kind = "max"} : (tensor<2x3x5xf32>) -> tensor<5xf32>
  return %r, %c : tensor<2x3xf32>, tensor<5xf32>
}

// A small whole is one row; a large one goes dimension by dimension.
// CHECK-LABEL: func.func @whole
// CHECK-NEXT:    %[[FLAT:.*]] = lm.reshape %arg0 : {{.*}} -> tensor<30xf32>
// CHECK-NEXT:    lm.reduce %[[FLAT]] {dims = array<i64: 0>, kind = "sum"}
// CHECK-NEXT:    %[[ROWS:.*]] = lm.reduce %arg1 {dims = array<i64: 1>, kind = "max"} : {{.*}} -> tensor<300xf32>
// CHECK-NEXT:    lm.reduce %[[ROWS]] {dims = array<i64: 0>, kind = "max"}
func.func @whole(%x: tensor<2x3x5xf32>, %z: tensor<300x300xf32>) -> (tensor<f32>, tensor<f32>) {
  %r = lm.reduce %x {dims = array<i64: 0, 1, 2>, kind = "sum"} : (tensor<2x3x5xf32>) -> tensor<f32>
  %s = lm.reduce %z {dims = array<i64: 0, 1>, kind = "max"} : (tensor<300x300xf32>) -> tensor<f32>
  return %r, %s : tensor<f32>, tensor<f32>
}

// CHECK-LABEL: func.func @mixed
// CHECK-NEXT:    %[[ROWS:.*]] = lm.reduce %arg0 {dims = array<i64: 2>{{.*}} -> tensor<2x3xf32>
// CHECK-NEXT:    lm.reduce %[[ROWS]] {dims = array<i64: 0>{{.*}} -> tensor<3xf32>
// CHECK-NEXT:    %[[FRONT:.*]] = lm.transpose %arg0 {permutation = array<i64: 1, 0, 2>}
// CHECK-NEXT:    lm.reduce %[[FRONT]] {dims = array<i64: 0>{{.*}} -> tensor<2x5xf32>
func.func @mixed(%x: tensor<2x3x5xf32>) -> (tensor<3xf32>, tensor<2x5xf32>) {
  %a = lm.reduce %x {dims = array<i64: 0, 2>, kind = "sum"} : (tensor<2x3x5xf32>) -> tensor<3xf32>
  %b = lm.reduce %x {dims = array<i64: 1>, kind = "sum"} : (tensor<2x3x5xf32>) -> tensor<2x5xf32>
  return %a, %b : tensor<3xf32>, tensor<2x5xf32>
}

// lm-flash-attention lowers it.
// CHECK-LABEL: func.func @attention_grad
// CHECK-NEXT:    lm.attention_grad
func.func @attention_grad(%q: tensor<1x3x2x4xf32>, %lse: tensor<1x3x2xf32>) -> tensor<1x3x2x4xf32> {
  %dq, %dk, %dv = lm.attention_grad %q, %q, %q, %q, %lse, %q {scale = 0.5 : f64} : (tensor<1x3x2x4xf32>, tensor<1x3x2x4xf32>, tensor<1x3x2x4xf32>, tensor<1x3x2x4xf32>, tensor<1x3x2xf32>, tensor<1x3x2x4xf32>) -> (tensor<1x3x2x4xf32>, tensor<1x3x2x4xf32>, tensor<1x3x2x4xf32>)
  return %dq : tensor<1x3x2x4xf32>
}

// Squares that are only summed are made of the row: nobody needs them in memory.
// CHECK-LABEL: func.func @squares
// CHECK-NEXT:    %[[FLAT:.*]] = lm.reshape %arg0 : {{.*}} -> tensor<30xf32>
// CHECK-NEXT:    %[[SQUARES:.*]] = lm.mul %[[FLAT]], %[[FLAT]]
// CHECK-NEXT:    lm.reduce %[[SQUARES]] {dims = array<i64: 0>, kind = "sum"}
func.func @squares(%x: tensor<5x6xf32>) -> tensor<f32> {
  %y = lm.mul %x, %x : (tensor<5x6xf32>, tensor<5x6xf32>) -> tensor<5x6xf32>
  %r = lm.reduce %y {dims = array<i64: 0, 1>, kind = "sum"} : (tensor<5x6xf32>) -> tensor<f32>
  return %r : tensor<f32>
}
