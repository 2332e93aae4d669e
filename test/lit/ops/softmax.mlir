// RUN: lmc-opt %s -split-input-file -verify-diagnostics | lmc-opt -split-input-file | FileCheck %s

// CHECK-LABEL: func.func @softmax_0
// CHECK: lm.softmax %{{.*}} : (tensor<3x5xf32>) -> tensor<3x5xf32>
func.func @softmax_0(%x: tensor<3x5xf32>) -> tensor<3x5xf32> {
  %y = lm.softmax %x : (tensor<3x5xf32>) -> tensor<3x5xf32>
  return %y : tensor<3x5xf32>
}

// -----

func.func @refused(%x: tensor<f32>) -> tensor<f32> {
  // expected-error@+2 {{softmax of a scalar}}
  // expected-error@+1 {{failed to infer returned types}}
  %y = lm.softmax %x : (tensor<f32>) -> tensor<f32>
  return %y : tensor<f32>
}
