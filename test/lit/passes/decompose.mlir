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
// CHECK-NEXT:    %[[FRONT:.*]] = lm.transpose %arg1 {permutation = array<i64: 1, 0, 2>}
// CHECK-NEXT:    lm.reduce %[[FRONT]] {dims = array<i64: 0>{{.*}} -> tensor<2x5xf32>
func.func @mixed(%x: tensor<2x3x5xf32>, %z: tensor<2x65x5xf32>) -> (tensor<3xf32>, tensor<2x5xf32>) {
  %a = lm.reduce %x {dims = array<i64: 0, 2>, kind = "sum"} : (tensor<2x3x5xf32>) -> tensor<3xf32>
  %b = lm.reduce %z {dims = array<i64: 1>, kind = "sum"} : (tensor<2x65x5xf32>) -> tensor<2x5xf32>
  return %a, %b : tensor<3xf32>, tensor<2x5xf32>
}

// Up to 64 elements of inner dimensions are a loop inside a map.
// CHECK-LABEL: func.func @inner
// CHECK-NEXT:    lm.reduce %arg0 {dims = array<i64: 1, 3>, kind = "max"}
// CHECK-NEXT:    return
func.func @inner(%x: tensor<2x16x?x4x5xf32, #lm.dims<"T">>) -> tensor<2x?x5xf32, #lm.dims<"T">> {
  %y = lm.reduce %x {dims = array<i64: 1, 3>, kind = "max"} : (tensor<2x16x?x4x5xf32, #lm.dims<"T">>) -> tensor<2x?x5xf32, #lm.dims<"T">>
  return %y : tensor<2x?x5xf32, #lm.dims<"T">>
}
// CHECK-LABEL: func.func @inner_symbolic
// CHECK-NEXT:    %[[FRONT:.*]] = lm.transpose %arg0
// CHECK-NEXT:    lm.reduce %[[FRONT]] {dims = array<i64: 0>
func.func @inner_symbolic(%x: tensor<2x?x5xf32, #lm.dims<"T">>) -> tensor<2x5xf32> {
  %y = lm.reduce %x {dims = array<i64: 1>, kind = "sum"} : (tensor<2x?x5xf32, #lm.dims<"T">>) -> tensor<2x5xf32>
  return %y : tensor<2x5xf32>
}

// Windows are x repeated and skewed: summed in place, or the rows of a product.
// CHECK-LABEL: func.func @depthwise
// CHECK-NEXT:    %[[REPEATED:.*]] = lm.broadcast %arg0 {dims = array<i64: 0, 1, 3>} : {{.*}} -> tensor<2x7x4x5xf32>
// CHECK-NEXT:    %[[READ:.*]] = lm.skew %[[REPEATED]] {by = 2 : i64, dim = 1 : i64, slope = 1 : i64, start = -3 : i64}
// CHECK:         %[[PARTS:.*]] = lm.mul %[[READ]]
// CHECK-NEXT:    lm.reduce %[[PARTS]] {dims = array<i64: 2>, kind = "sum"}
func.func @depthwise(%x: tensor<2x7x5xf32>, %w: tensor<4x1x5xf32>) -> tensor<2x7x5xf32> {
  %y = lm.convolution %x, %w {groups = 5 : i64, pad_low = array<i64: 3>} : (tensor<2x7x5xf32>, tensor<4x1x5xf32>) -> tensor<2x7x5xf32>
  return %y : tensor<2x7x5xf32>
}
// CHECK-LABEL: func.func @dense
// CHECK:         %[[H:.*]] = lm.skew {{.*}} {by = 2 : i64, dim = 1 : i64, slope = 1 : i64, start = -1 : i64, step = 2 : i64}
// CHECK-NEXT:    %[[W:.*]] = lm.skew %[[H]] {by = 4 : i64, dim = 3 : i64, slope = 2 : i64}
// CHECK-NEXT:    %[[ROWS:.*]] = lm.transpose %[[W]] {permutation = array<i64: 0, 1, 3, 2, 4, 5>}
// CHECK-NEXT:    %[[X:.*]] = lm.reshape %[[ROWS]] : {{.*}} -> tensor<2x3x2x18xf32>
// CHECK-NEXT:    %[[F:.*]] = lm.reshape %arg1 : {{.*}} -> tensor<18x4xf32>
// CHECK-NEXT:    lm.matmul %[[X]], %[[F]]
func.func @dense(%x: tensor<2x5x4x3xf32>, %w: tensor<3x2x3x4xf32>) -> tensor<2x3x2x4xf32> {
  %y = lm.convolution %x, %w {strides = array<i64: 2, 1>, dilations = array<i64: 1, 2>, pad_low = array<i64: 1, 0>, pad_high = array<i64: 1, 0>} : (tensor<2x5x4x3xf32>, tensor<3x2x3x4xf32>) -> tensor<2x3x2x4xf32>
  return %y : tensor<2x3x2x4xf32>
}
// Windows that tile x are x itself.
// CHECK-LABEL: func.func @patches
// CHECK-NOT:     lm.skew
// CHECK:         lm.matmul {{.*}} : (tensor<2x2x9xf32>, tensor<9x4xf32>)
func.func @patches(%x: tensor<2x6x3xf32>, %w: tensor<3x3x4xf32>) -> tensor<2x2x4xf32> {
  %y = lm.convolution %x, %w {strides = array<i64: 3>} : (tensor<2x6x3xf32>, tensor<3x3x4xf32>) -> tensor<2x2x4xf32>
  return %y : tensor<2x2x4xf32>
}
// CHECK-LABEL: func.func @groups
// CHECK:         lm.matmul {{.*}} : (tensor<3x8x4xf32>, tensor<3x4x5xf32>) -> tensor<3x8x5xf32>
func.func @groups(%x: tensor<2x5x6xf32>, %w: tensor<2x2x15xf32>) -> tensor<2x4x15xf32> {
  %y = lm.convolution %x, %w {groups = 3 : i64} : (tensor<2x5x6xf32>, tensor<2x2x15xf32>) -> tensor<2x4x15xf32>
  return %y : tensor<2x4x15xf32>
}
// CHECK-LABEL: func.func @max_pool
// CHECK:         %[[READ:.*]] = lm.skew {{.*}} {by = 2 : i64, dim = 1 : i64, outside = "lowest", slope = 1 : i64, start = -1 : i64, step = 2 : i64}
// CHECK-NEXT:    lm.reduce %[[READ]] {dims = array<i64: 2>, kind = "max"}
func.func @max_pool(%x: tensor<2x7x5xf32>) -> tensor<2x4x5xf32> {
  %y = lm.max_pool %x {size = array<i64: 3>, strides = array<i64: 2>, pad_low = array<i64: 1>, pad_high = array<i64: 1>} : (tensor<2x7x5xf32>) -> tensor<2x4x5xf32>
  return %y : tensor<2x4x5xf32>
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
