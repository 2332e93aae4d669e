// RUN: lmc-opt %s -split-input-file -verify-diagnostics | lmc-opt -split-input-file | FileCheck %s

// CHECK-LABEL: func.func @broadcast_0
// CHECK: lm.broadcast %{{.*}} {dims = array<i64: 1>} : (tensor<5xf32>) -> tensor<3x5xf32>
func.func @broadcast_0(%x: tensor<5xf32>) -> tensor<3x5xf32> {
  %y = lm.broadcast %x {dims = array<i64: 1>} : (tensor<5xf32>) -> tensor<3x5xf32>
  return %y : tensor<3x5xf32>
}

// -----

// CHECK-LABEL: func.func @broadcast_1
// CHECK: lm.broadcast %{{.*}} {dims = array<i64>} : (tensor<f32>) -> tensor<2x?xf32, #lm.dims<"T">>
func.func @broadcast_1(%x: tensor<f32>) -> tensor<2x?xf32, #lm.dims<"T">> {
  %y = lm.broadcast %x {dims = array<i64>} : (tensor<f32>) -> tensor<2x?xf32, #lm.dims<"T">>
  return %y : tensor<2x?xf32, #lm.dims<"T">>
}

// -----

// CHECK-LABEL: func.func @broadcast_2
// CHECK: lm.broadcast %{{.*}} {dims = array<i64: 0, 1>} : (tensor<3x1xf32>) -> tensor<3x5xf32>
func.func @broadcast_2(%x: tensor<3x1xf32>) -> tensor<3x5xf32> {
  %y = lm.broadcast %x {dims = array<i64: 0, 1>} : (tensor<3x1xf32>) -> tensor<3x5xf32>
  return %y : tensor<3x5xf32>
}

// -----

func.func @refused(%x: tensor<5xf32>) -> tensor<3x5xf64> {
  // expected-error@+1 {{changes the element type}}
  %y = lm.broadcast %x {dims = array<i64: 1>} : (tensor<5xf32>) -> tensor<3x5xf64>
  return %y : tensor<3x5xf64>
}

// -----

func.func @refused(%x: tensor<5xf32>) -> tensor<3x5xf32> {
  // expected-error@+1 {{names 0 dimensions for an operand of rank 1}}
  %y = lm.broadcast %x {dims = array<i64>} : (tensor<5xf32>) -> tensor<3x5xf32>
  return %y : tensor<3x5xf32>
}

// -----

func.func @refused(%x: tensor<5xf32>) -> tensor<3x5xf32> {
  // expected-error@+1 {{dimensions must rise strictly below rank 2}}
  %y = lm.broadcast %x {dims = array<i64: 2>} : (tensor<5xf32>) -> tensor<3x5xf32>
  return %y : tensor<3x5xf32>
}

// -----

func.func @refused(%x: tensor<1x1xf32>) -> tensor<3x5x5xf32> {
  // expected-error@+1 {{dimensions must rise strictly below rank 3}}
  %y = lm.broadcast %x {dims = array<i64: 1, 0>} : (tensor<1x1xf32>) -> tensor<3x5x5xf32>
  return %y : tensor<3x5x5xf32>
}

// -----

func.func @refused(%x: tensor<5xf32>) -> tensor<3x5xf32> {
  // expected-error@+1 {{operand [5] does not fit dimension 0 of [3, 5]}}
  %y = lm.broadcast %x {dims = array<i64: 0>} : (tensor<5xf32>) -> tensor<3x5xf32>
  return %y : tensor<3x5xf32>
}
