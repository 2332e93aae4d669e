// RUN: lmc-opt %s -split-input-file -verify-diagnostics | lmc-opt -split-input-file | FileCheck %s

// CHECK-LABEL: func.func @rope_0
// CHECK: lm.rope %{{.*}}, %{{.*}}, %{{.*}} : (tensor<2x3x4x6xf32>, tensor<3xf32>, tensor<3xf32>) -> tensor<2x3x4x6xf32>
func.func @rope_0(%x: tensor<2x3x4x6xf32>, %p: tensor<3xf32>, %f: tensor<3xf32>) -> tensor<2x3x4x6xf32> {
  %y = lm.rope %x, %p, %f : (tensor<2x3x4x6xf32>, tensor<3xf32>, tensor<3xf32>) -> tensor<2x3x4x6xf32>
  return %y : tensor<2x3x4x6xf32>
}

// -----

// CHECK-LABEL: func.func @rope_1
// CHECK: lm.rope %{{.*}}, %{{.*}}, %{{.*}} {inverse} : (tensor<2x3x4x6xf32>, tensor<3xf32>, tensor<3xf32>) -> tensor<2x3x4x6xf32>
func.func @rope_1(%x: tensor<2x3x4x6xf32>, %p: tensor<3xf32>, %f: tensor<3xf32>) -> tensor<2x3x4x6xf32> {
  %y = lm.rope %x, %p, %f {inverse} : (tensor<2x3x4x6xf32>, tensor<3xf32>, tensor<3xf32>) -> tensor<2x3x4x6xf32>
  return %y : tensor<2x3x4x6xf32>
}

// -----

func.func @refused(%x: tensor<2x3x4x6xf32>, %p: tensor<4xf32>, %f: tensor<3xf32>) -> tensor<2x3x4x6xf32> {
  // expected-error@+2 {{rope needs x [B, T, H, D], positions [T] and inv_freq [D/2], got [2, 3, 4, 6], [4], [3]}}
  // expected-error@+1 {{failed to infer returned types}}
  %y = lm.rope %x, %p, %f : (tensor<2x3x4x6xf32>, tensor<4xf32>, tensor<3xf32>) -> tensor<2x3x4x6xf32>
  return %y : tensor<2x3x4x6xf32>
}

// -----

func.func @refused(%x: tensor<2x3x4x6xf32>, %p: tensor<3xf32>, %f: tensor<6xf32>) -> tensor<2x3x4x6xf32> {
  // expected-error@+2 {{rope needs x [B, T, H, D], positions [T] and inv_freq [D/2], got [2, 3, 4, 6], [3], [6]}}
  // expected-error@+1 {{failed to infer returned types}}
  %y = lm.rope %x, %p, %f : (tensor<2x3x4x6xf32>, tensor<3xf32>, tensor<6xf32>) -> tensor<2x3x4x6xf32>
  return %y : tensor<2x3x4x6xf32>
}

// -----

func.func @refused(%x: tensor<2x3x4x5xf32>, %p: tensor<3xf32>, %f: tensor<2xf32>) -> tensor<2x3x4x5xf32> {
  // expected-error@+2 {{rope needs x [B, T, H, D], positions [T] and inv_freq [D/2], got [2, 3, 4, 5], [3], [2]}}
  // expected-error@+1 {{failed to infer returned types}}
  %y = lm.rope %x, %p, %f : (tensor<2x3x4x5xf32>, tensor<3xf32>, tensor<2xf32>) -> tensor<2x3x4x5xf32>
  return %y : tensor<2x3x4x5xf32>
}

// -----

func.func @refused(%x: tensor<3x4x6xf32>, %p: tensor<4xf32>, %f: tensor<3xf32>) -> tensor<3x4x6xf32> {
  // expected-error@+2 {{rope needs x [B, T, H, D], positions [T] and inv_freq [D/2], got [3, 4, 6], [4], [3]}}
  // expected-error@+1 {{failed to infer returned types}}
  %y = lm.rope %x, %p, %f : (tensor<3x4x6xf32>, tensor<4xf32>, tensor<3xf32>) -> tensor<3x4x6xf32>
  return %y : tensor<3x4x6xf32>
}

// -----

func.func @refused(%x: tensor<2x3x4x6xf32>, %p: tensor<3xf64>, %f: tensor<3xf32>) -> tensor<2x3x4x6xf32> {
  // expected-error@+2 {{rope needs x [B, T, H, D], positions [T] and inv_freq [D/2], got [2, 3, 4, 6], [3], [3]}}
  // expected-error@+1 {{failed to infer returned types}}
  %y = lm.rope %x, %p, %f : (tensor<2x3x4x6xf32>, tensor<3xf64>, tensor<3xf32>) -> tensor<2x3x4x6xf32>
  return %y : tensor<2x3x4x6xf32>
}
