// RUN: lmc-opt %s -split-input-file -verify-diagnostics | lmc-opt -split-input-file | FileCheck %s

// CHECK-LABEL: func.func @layer_norm_0
// CHECK: lm.layer_norm %{{.*}}, %{{.*}}, %{{.*}} {eps = 1.000000e-05 : f64} : (tensor<3x5xf32>, tensor<5xf32>, tensor<5xf32>) -> tensor<3x5xf32>
func.func @layer_norm_0(%x: tensor<3x5xf32>, %w: tensor<5xf32>, %b: tensor<5xf32>) -> tensor<3x5xf32> {
  %y = lm.layer_norm %x, %w, %b {eps = 1.000000e-05 : f64} : (tensor<3x5xf32>, tensor<5xf32>, tensor<5xf32>) -> tensor<3x5xf32>
  return %y : tensor<3x5xf32>
}

// -----

func.func @refused(%x: tensor<3x5xf32>, %w: tensor<3xf32>, %b: tensor<5xf32>) -> tensor<3x5xf32> {
  // expected-error@+2 {{weight is [3], x is [3, 5]: it must be [C] for x [..., C]}}
  // expected-error@+1 {{failed to infer returned types}}
  %y = lm.layer_norm %x, %w, %b {eps = 1.000000e-05 : f64} : (tensor<3x5xf32>, tensor<3xf32>, tensor<5xf32>) -> tensor<3x5xf32>
  return %y : tensor<3x5xf32>
}

// -----

func.func @refused(%x: tensor<3x5xf32>, %w: tensor<5xf32>, %b: tensor<3xf32>) -> tensor<3x5xf32> {
  // expected-error@+2 {{bias is [3], x is [3, 5]: it must be [C] for x [..., C]}}
  // expected-error@+1 {{failed to infer returned types}}
  %y = lm.layer_norm %x, %w, %b {eps = 1.000000e-05 : f64} : (tensor<3x5xf32>, tensor<5xf32>, tensor<3xf32>) -> tensor<3x5xf32>
  return %y : tensor<3x5xf32>
}
