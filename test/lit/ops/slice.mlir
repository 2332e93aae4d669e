// RUN: lmc-opt %s -split-input-file -verify-diagnostics | lmc-opt -split-input-file | FileCheck %s

// CHECK-LABEL: func.func @slice_0
// CHECK: lm.slice %{{.*}} {dim = 1 : i64, size = 2 : i64, start = 3 : i64} : (tensor<3x5xf32>) -> tensor<3x2xf32>
func.func @slice_0(%x: tensor<3x5xf32>) -> tensor<3x2xf32> {
  %y = lm.slice %x {dim = 1 : i64, size = 2 : i64, start = 3 : i64} : (tensor<3x5xf32>) -> tensor<3x2xf32>
  return %y : tensor<3x2xf32>
}

// -----

func.func @refused(%x: tensor<3x5xf32>) -> tensor<3x5xf32> {
  // expected-error@+2 {{slice needs a static dimension, got 2 of [3, 5]}}
  // expected-error@+1 {{failed to infer returned types}}
  %y = lm.slice %x {dim = 2 : i64, size = 2 : i64, start = 3 : i64} : (tensor<3x5xf32>) -> tensor<3x5xf32>
  return %y : tensor<3x5xf32>
}

// -----

func.func @refused(%x: tensor<3x5xf32>) -> tensor<3x5xf32> {
  // expected-error@+2 {{slice needs a static dimension, got -1 of [3, 5]}}
  // expected-error@+1 {{failed to infer returned types}}
  %y = lm.slice %x {dim = -1 : i64, size = 2 : i64, start = 3 : i64} : (tensor<3x5xf32>) -> tensor<3x5xf32>
  return %y : tensor<3x5xf32>
}

// -----

func.func @refused(%x: tensor<?x5xf32, #lm.dims<"T">>) -> tensor<3x5xf32> {
  // expected-error@+2 {{slice needs a static dimension, got 0 of [T, 5]}}
  // expected-error@+1 {{failed to infer returned types}}
  %y = lm.slice %x {dim = 0 : i64, size = 2 : i64, start = 0 : i64} : (tensor<?x5xf32, #lm.dims<"T">>) -> tensor<3x5xf32>
  return %y : tensor<3x5xf32>
}

// -----

func.func @refused(%x: tensor<3x5xf32>) -> tensor<3x5xf32> {
  // expected-error@+2 {{slice [4, 4 + 2) leaves the extent 5}}
  // expected-error@+1 {{failed to infer returned types}}
  %y = lm.slice %x {dim = 1 : i64, size = 2 : i64, start = 4 : i64} : (tensor<3x5xf32>) -> tensor<3x5xf32>
  return %y : tensor<3x5xf32>
}

// -----

func.func @refused(%x: tensor<3x5xf32>) -> tensor<3x5xf32> {
  // expected-error@+2 {{slice [-1, -1 + 2) leaves the extent 5}}
  // expected-error@+1 {{failed to infer returned types}}
  %y = lm.slice %x {dim = 1 : i64, size = 2 : i64, start = -1 : i64} : (tensor<3x5xf32>) -> tensor<3x5xf32>
  return %y : tensor<3x5xf32>
}

// -----

func.func @refused(%x: tensor<3x5xf32>) -> tensor<3x5xf32> {
  // expected-error@+2 {{slice [0, 0 + 0) leaves the extent 5}}
  // expected-error@+1 {{failed to infer returned types}}
  %y = lm.slice %x {dim = 1 : i64, size = 0 : i64, start = 0 : i64} : (tensor<3x5xf32>) -> tensor<3x5xf32>
  return %y : tensor<3x5xf32>
}

// -----

func.func @refused(%x: tensor<3x5xf32>) -> tensor<3x5xf32> {
  // expected-error@+2 {{slice [9223372036854775807, 9223372036854775807 + 1) leaves the extent 5}}
  // expected-error@+1 {{failed to infer returned types}}
  %y = lm.slice %x {dim = 1 : i64, size = 1 : i64, start = 9223372036854775807 : i64} : (tensor<3x5xf32>) -> tensor<3x5xf32>
  return %y : tensor<3x5xf32>
}
