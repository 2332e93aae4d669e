// RUN: lmc-opt %s -split-input-file -verify-diagnostics | lmc-opt -split-input-file | FileCheck %s

// CHECK-LABEL: func.func @concat_0
// CHECK: lm.concat %{{.*}}, %{{.*}} {dim = 1 : i64} : (tensor<3x5xf32>, tensor<3x2xf32>) -> tensor<3x7xf32>
func.func @concat_0(%x: tensor<3x5xf32>, %z: tensor<3x2xf32>) -> tensor<3x7xf32> {
  %y = lm.concat %x, %z {dim = 1 : i64} : (tensor<3x5xf32>, tensor<3x2xf32>) -> tensor<3x7xf32>
  return %y : tensor<3x7xf32>
}

// -----

func.func @refused() -> tensor<3x5xf32> {
  // expected-error@+2 {{concat of nothing}}
  // expected-error@+1 {{failed to infer returned types}}
  %y = lm.concat {dim = 1 : i64} : () -> tensor<3x5xf32>
  return %y : tensor<3x5xf32>
}

// -----

func.func @refused(%x: tensor<3x5xf32>) -> tensor<3x5xf32> {
  // expected-error@+2 {{concat along dimension 2 of [3, 5]}}
  // expected-error@+1 {{failed to infer returned types}}
  %y = lm.concat %x {dim = 2 : i64} : (tensor<3x5xf32>) -> tensor<3x5xf32>
  return %y : tensor<3x5xf32>
}

// -----

func.func @refused(%x: tensor<3x5xf32>, %z: tensor<2x2xf32>) -> tensor<3x5xf32> {
  // expected-error@+2 {{concat of [3, 5] and [2, 2]}}
  // expected-error@+1 {{failed to infer returned types}}
  %y = lm.concat %x, %z {dim = 1 : i64} : (tensor<3x5xf32>, tensor<2x2xf32>) -> tensor<3x5xf32>
  return %y : tensor<3x5xf32>
}

// -----

func.func @refused(%x: tensor<3x5xf32>, %z: tensor<5xf32>) -> tensor<3x5xf32> {
  // expected-error@+2 {{concat of [3, 5] and [5]}}
  // expected-error@+1 {{failed to infer returned types}}
  %y = lm.concat %x, %z {dim = 1 : i64} : (tensor<3x5xf32>, tensor<5xf32>) -> tensor<3x5xf32>
  return %y : tensor<3x5xf32>
}

// -----

func.func @refused(%x: tensor<3x5xf32>, %z: tensor<3x5xf64>) -> tensor<3x5xf32> {
  // expected-error@+2 {{concat of [3, 5] and [3, 5]}}
  // expected-error@+1 {{failed to infer returned types}}
  %y = lm.concat %x, %z {dim = 1 : i64} : (tensor<3x5xf32>, tensor<3x5xf64>) -> tensor<3x5xf32>
  return %y : tensor<3x5xf32>
}
