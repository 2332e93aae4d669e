// RUN: lmc-opt %s -split-input-file -verify-diagnostics | lmc-opt -split-input-file | FileCheck %s

// CHECK-LABEL: func.func @matmul_0
// CHECK: lm.matmul %{{.*}}, %{{.*}} : (tensor<3x5xf32>, tensor<5x4xf32>) -> tensor<3x4xf32>
func.func @matmul_0(%a: tensor<3x5xf32>, %b: tensor<5x4xf32>) -> tensor<3x4xf32> {
  %y = lm.matmul %a, %b : (tensor<3x5xf32>, tensor<5x4xf32>) -> tensor<3x4xf32>
  return %y : tensor<3x4xf32>
}

// -----

// CHECK-LABEL: func.func @matmul_1
// CHECK: lm.matmul %{{.*}}, %{{.*}} {transpose_b} : (tensor<1x?x5xf32, #lm.dims<"T">>, tensor<4x5xf32>) -> tensor<1x?x4xf32, #lm.dims<"T">>
func.func @matmul_1(%a: tensor<1x?x5xf32, #lm.dims<"T">>, %b: tensor<4x5xf32>) -> tensor<1x?x4xf32, #lm.dims<"T">> {
  %y = lm.matmul %a, %b {transpose_b} : (tensor<1x?x5xf32, #lm.dims<"T">>, tensor<4x5xf32>) -> tensor<1x?x4xf32, #lm.dims<"T">>
  return %y : tensor<1x?x4xf32, #lm.dims<"T">>
}

// -----

// CHECK-LABEL: func.func @matmul_2
// CHECK: lm.matmul %{{.*}}, %{{.*}} {transpose_a} : (tensor<2x5x3xf32>, tensor<2x5x4xf32>) -> tensor<2x3x4xf32>
func.func @matmul_2(%a: tensor<2x5x3xf32>, %b: tensor<2x5x4xf32>) -> tensor<2x3x4xf32> {
  %y = lm.matmul %a, %b {transpose_a} : (tensor<2x5x3xf32>, tensor<2x5x4xf32>) -> tensor<2x3x4xf32>
  return %y : tensor<2x3x4xf32>
}

// -----

// CHECK-LABEL: func.func @panels
// CHECK: lm.matmul %{{.*}}, %{{.*}} {panel_columns = 7 : i64} : (tensor<1x?x5xf32, #lm.dims<"T">>, tensor<2x8x4xf32>) -> tensor<1x?x7xf32, #lm.dims<"T">>
func.func @panels(%a: tensor<1x?x5xf32, #lm.dims<"T">>, %b: tensor<2x8x4xf32>) -> tensor<1x?x7xf32, #lm.dims<"T">> {
  %y = lm.matmul %a, %b {panel_columns = 7 : i64} : (tensor<1x?x5xf32, #lm.dims<"T">>, tensor<2x8x4xf32>) -> tensor<1x?x7xf32, #lm.dims<"T">>
  return %y : tensor<1x?x7xf32, #lm.dims<"T">>
}

// -----

func.func @refused(%a: tensor<3x5xf32>, %b: tensor<2x8x4xf32>) -> tensor<3x9xf32> {
  // expected-error@+2 {{matmul of [3, 5] and panels [2, 8, 4]: they do not hold [5] x 9 elements}}
  // expected-error@+1 {{failed to infer returned types}}
  %y = lm.matmul %a, %b {panel_columns = 9 : i64} : (tensor<3x5xf32>, tensor<2x8x4xf32>) -> tensor<3x9xf32>
  return %y : tensor<3x9xf32>
}

// -----

func.func @refused(%a: tensor<3x5xf32>, %b: tensor<8x4xf32>) -> tensor<3x4xf32> {
  // expected-error@+2 {{panels are [count, depth, width] without transpose_b}}
  // expected-error@+1 {{failed to infer returned types}}
  %y = lm.matmul %a, %b {panel_columns = 4 : i64} : (tensor<3x5xf32>, tensor<8x4xf32>) -> tensor<3x4xf32>
  return %y : tensor<3x4xf32>
}

// -----

func.func @refused(%a: tensor<3x5xf32>, %b: tensor<5x4xf64>) -> tensor<3x4xf32> {
  // expected-error@+2 {{matmul of 'f32' and 'f64'}}
  // expected-error@+1 {{failed to infer returned types}}
  %y = lm.matmul %a, %b : (tensor<3x5xf32>, tensor<5x4xf64>) -> tensor<3x4xf32>
  return %y : tensor<3x4xf32>
}

// -----

func.func @refused(%a: tensor<3x5xf32>, %b: tensor<5xf32>) -> tensor<3x4xf32> {
  // expected-error@+2 {{matmul of [3, 5] and [5]: ranks must be equal, or the right one 2}}
  // expected-error@+1 {{failed to infer returned types}}
  %y = lm.matmul %a, %b : (tensor<3x5xf32>, tensor<5xf32>) -> tensor<3x4xf32>
  return %y : tensor<3x4xf32>
}

// -----

func.func @refused(%a: tensor<3x5xf32>, %b: tensor<2x5x4xf32>) -> tensor<3x4xf32> {
  // expected-error@+2 {{matmul of [3, 5] and [2, 5, 4]: ranks must be equal, or the right one 2}}
  // expected-error@+1 {{failed to infer returned types}}
  %y = lm.matmul %a, %b : (tensor<3x5xf32>, tensor<2x5x4xf32>) -> tensor<3x4xf32>
  return %y : tensor<3x4xf32>
}

// -----

func.func @refused(%a: tensor<3x3x5xf32>, %b: tensor<2x5x4xf32>) -> tensor<3x3x4xf32> {
  // expected-error@+2 {{matmul batch dimensions differ: [3, 3, 5] and [2, 5, 4]}}
  // expected-error@+1 {{failed to infer returned types}}
  %y = lm.matmul %a, %b : (tensor<3x3x5xf32>, tensor<2x5x4xf32>) -> tensor<3x3x4xf32>
  return %y : tensor<3x3x4xf32>
}

// -----

func.func @refused(%a: tensor<2x5x3xf32>, %b: tensor<5x4xf32>) -> tensor<2x3x4xf32> {
  // expected-error@+2 {{matmul with transpose_a needs operands of one rank}}
  // expected-error@+1 {{failed to infer returned types}}
  %y = lm.matmul %a, %b {transpose_a} : (tensor<2x5x3xf32>, tensor<5x4xf32>) -> tensor<2x3x4xf32>
  return %y : tensor<2x3x4xf32>
}

// -----

func.func @refused(%a: tensor<3x5xf32>, %b: tensor<5x4xf32>) -> tensor<3x4xf32> {
  // expected-error@+2 {{matmul inner extents differ: [3, 5] and [5, 4] transposed}}
  // expected-error@+1 {{failed to infer returned types}}
  %y = lm.matmul %a, %b {transpose_b} : (tensor<3x5xf32>, tensor<5x4xf32>) -> tensor<3x4xf32>
  return %y : tensor<3x4xf32>
}
