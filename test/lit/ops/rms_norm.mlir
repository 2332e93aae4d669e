// RUN: lmc-opt %s -split-input-file -verify-diagnostics | lmc-opt -split-input-file | FileCheck %s

// CHECK-LABEL: func.func @rms_norm_0
// CHECK: lm.rms_norm %{{.*}}, %{{.*}} {eps = 1.000000e-05 : f64} : (tensor<3x5xf32>, tensor<5xf32>) -> tensor<3x5xf32>
func.func @rms_norm_0(%x: tensor<3x5xf32>, %w: tensor<5xf32>) -> tensor<3x5xf32> {
  %y = lm.rms_norm %x, %w {eps = 1.000000e-05 : f64} : (tensor<3x5xf32>, tensor<5xf32>) -> tensor<3x5xf32>
  return %y : tensor<3x5xf32>
}

// -----

func.func @refused(%x: tensor<3x5xf32>, %w: tensor<3xf32>) -> tensor<3x5xf32> {
  // expected-error@+2 {{weight is [3], x is [3, 5]: it must be [C] for x [..., C]}}
  // expected-error@+1 {{failed to infer returned types}}
  %y = lm.rms_norm %x, %w {eps = 1.000000e-05 : f64} : (tensor<3x5xf32>, tensor<3xf32>) -> tensor<3x5xf32>
  return %y : tensor<3x5xf32>
}

// -----

func.func @refused(%x: tensor<3x5xf32>, %w: tensor<5x1xf32>) -> tensor<3x5xf32> {
  // expected-error@+2 {{weight is [5, 1], x is [3, 5]: it must be [C] for x [..., C]}}
  // expected-error@+1 {{failed to infer returned types}}
  %y = lm.rms_norm %x, %w {eps = 1.000000e-05 : f64} : (tensor<3x5xf32>, tensor<5x1xf32>) -> tensor<3x5xf32>
  return %y : tensor<3x5xf32>
}

// -----

func.func @refused(%x: tensor<3x5xf32>, %w: tensor<5xf64>) -> tensor<3x5xf32> {
  // expected-error@+2 {{weight is [5], x is [3, 5]: it must be [C] for x [..., C]}}
  // expected-error@+1 {{failed to infer returned types}}
  %y = lm.rms_norm %x, %w {eps = 1.000000e-05 : f64} : (tensor<3x5xf32>, tensor<5xf64>) -> tensor<3x5xf32>
  return %y : tensor<3x5xf32>
}
