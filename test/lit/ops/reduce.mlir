// RUN: lmc-opt %s -split-input-file -verify-diagnostics | lmc-opt -split-input-file | FileCheck %s

// CHECK-LABEL: func.func @reduce_0
// CHECK: lm.reduce %{{.*}} {dims = array<i64: 1>, kind = "sum"} : (tensor<3x5xf32>) -> tensor<3xf32>
func.func @reduce_0(%x: tensor<3x5xf32>) -> tensor<3xf32> {
  %y = lm.reduce %x {dims = array<i64: 1>, kind = "sum"} : (tensor<3x5xf32>) -> tensor<3xf32>
  return %y : tensor<3xf32>
}

// -----

// CHECK-LABEL: func.func @reduce_1
// CHECK: lm.reduce %{{.*}} {dims = array<i64: 0, 1>, kind = "max"} : (tensor<3x5xf32>) -> tensor<f32>
func.func @reduce_1(%x: tensor<3x5xf32>) -> tensor<f32> {
  %y = lm.reduce %x {dims = array<i64: 0, 1>, kind = "max"} : (tensor<3x5xf32>) -> tensor<f32>
  return %y : tensor<f32>
}

// -----

func.func @refused(%x: tensor<3x5xf32>) -> tensor<3xf32> {
  // expected-error@+1 {{kind must be sum or max, got 'mean'}}
  %y = lm.reduce %x {dims = array<i64: 1>, kind = "mean"} : (tensor<3x5xf32>) -> tensor<3xf32>
  return %y : tensor<3xf32>
}

// -----

func.func @refused(%x: tensor<3x5xf32>) -> tensor<3xf32> {
  // expected-error@+2 {{reduced dimensions must rise strictly below rank 2}}
  // expected-error@+1 {{failed to infer returned types}}
  %y = lm.reduce %x {dims = array<i64: 2>, kind = "sum"} : (tensor<3x5xf32>) -> tensor<3xf32>
  return %y : tensor<3xf32>
}

// -----

func.func @refused(%x: tensor<3x5xf32>) -> tensor<3xf32> {
  // expected-error@+2 {{reduced dimensions must rise strictly below rank 2}}
  // expected-error@+1 {{failed to infer returned types}}
  %y = lm.reduce %x {dims = array<i64: 1, 0>, kind = "sum"} : (tensor<3x5xf32>) -> tensor<3xf32>
  return %y : tensor<3xf32>
}

// -----

func.func @refused(%x: tensor<3x5xf32>) -> tensor<3xf32> {
  // expected-error@+2 {{reduced dimensions must rise strictly below rank 2}}
  // expected-error@+1 {{failed to infer returned types}}
  %y = lm.reduce %x {dims = array<i64: 0, 0>, kind = "sum"} : (tensor<3x5xf32>) -> tensor<3xf32>
  return %y : tensor<3xf32>
}

// -----

func.func @refused(%x: tensor<3x5xf32>) -> tensor<3xf32> {
  // expected-error@+2 {{reduced dimensions must rise strictly below rank 2}}
  // expected-error@+1 {{failed to infer returned types}}
  %y = lm.reduce %x {dims = array<i64: -1>, kind = "sum"} : (tensor<3x5xf32>) -> tensor<3xf32>
  return %y : tensor<3xf32>
}

// -----

func.func @refused(%x: tensor<3x5xf32>) -> tensor<3x5xf32> {
  // expected-error@+2 {{reduce over no dimension}}
  // expected-error@+1 {{failed to infer returned types}}
  %y = lm.reduce %x {dims = array<i64>, kind = "sum"} : (tensor<3x5xf32>) -> tensor<3x5xf32>
  return %y : tensor<3x5xf32>
}

// -----

func.func @refused(%x: tensor<3x5xi1>) -> tensor<3xi1> {
  // expected-error@+1 {{operand #0 must be ranked tensor of}}
  %y = lm.reduce %x {dims = array<i64: 1>, kind = "sum"} : (tensor<3x5xi1>) -> tensor<3xi1>
  return %y : tensor<3xi1>
}
