// RUN: lmc-opt %s -split-input-file -verify-diagnostics | lmc-opt -split-input-file | FileCheck %s

// CHECK-LABEL: func.func @transpose_0
// CHECK: lm.transpose %{{.*}} {permutation = array<i64: 1, 0>} : (tensor<3x5xf32>) -> tensor<5x3xf32>
func.func @transpose_0(%x: tensor<3x5xf32>) -> tensor<5x3xf32> {
  %y = lm.transpose %x {permutation = array<i64: 1, 0>} : (tensor<3x5xf32>) -> tensor<5x3xf32>
  return %y : tensor<5x3xf32>
}

// -----

func.func @refused(%x: tensor<3x5xf32>) -> tensor<5x3xf32> {
  // expected-error@+2 {{not a permutation of the 2 dimensions}}
  // expected-error@+1 {{failed to infer returned types}}
  %y = lm.transpose %x {permutation = array<i64: 0, 0>} : (tensor<3x5xf32>) -> tensor<5x3xf32>
  return %y : tensor<5x3xf32>
}

// -----

func.func @refused(%x: tensor<3x5xf32>) -> tensor<5x3xf32> {
  // expected-error@+2 {{not a permutation of the 2 dimensions}}
  // expected-error@+1 {{failed to infer returned types}}
  %y = lm.transpose %x {permutation = array<i64: 0>} : (tensor<3x5xf32>) -> tensor<5x3xf32>
  return %y : tensor<5x3xf32>
}

// -----

func.func @refused(%x: tensor<3x5xf32>) -> tensor<5x3xf32> {
  // expected-error@+2 {{not a permutation of the 2 dimensions}}
  // expected-error@+1 {{failed to infer returned types}}
  %y = lm.transpose %x {permutation = array<i64: 1, 2>} : (tensor<3x5xf32>) -> tensor<5x3xf32>
  return %y : tensor<5x3xf32>
}
