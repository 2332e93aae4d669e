// RUN: lmc-opt %s -split-input-file -verify-diagnostics | lmc-opt -split-input-file | FileCheck %s

// CHECK-LABEL: func.func @global_norm_0
// CHECK: lm.global_norm %{{.*}}, %{{.*}} : (tensor<3x5xf32>, tensor<5xf32>) -> tensor<f32>
func.func @global_norm_0(%x: tensor<3x5xf32>, %z: tensor<5xf32>) -> tensor<f32> {
  %y = lm.global_norm %x, %z : (tensor<3x5xf32>, tensor<5xf32>) -> tensor<f32>
  return %y : tensor<f32>
}

// -----

func.func @refused() -> tensor<f32> {
  // expected-error@+2 {{global_norm of nothing}}
  // expected-error@+1 {{failed to infer returned types}}
  %y = lm.global_norm : () -> tensor<f32>
  return %y : tensor<f32>
}

// -----

func.func @refused(%x: tensor<3x5xf32>, %z: tensor<5xf64>) -> tensor<f32> {
  // expected-error@+2 {{global_norm of 'f32' and 'f64' elements}}
  // expected-error@+1 {{failed to infer returned types}}
  %y = lm.global_norm %x, %z : (tensor<3x5xf32>, tensor<5xf64>) -> tensor<f32>
  return %y : tensor<f32>
}
