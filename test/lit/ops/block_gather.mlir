// RUN: lmc-opt %s -split-input-file -verify-diagnostics | lmc-opt -split-input-file | FileCheck %s

// CHECK-LABEL: func.func @rows
// CHECK: lm.block_gather %{{.*}}, %{{.*}} {columns = 7 : i64, depth = 64 : i64, format = "q4_0", width = 8 : i64} : (tensor<1x320xi8>, tensor<3xi32>) -> tensor<3x64xf32>
func.func @rows(%w: tensor<1x320xi8>, %ids: tensor<3xi32>) -> tensor<3x64xf32> {
  %y = lm.block_gather %w, %ids {columns = 7 : i64, depth = 64 : i64, format = "q4_0", width = 8 : i64} : (tensor<1x320xi8>, tensor<3xi32>) -> tensor<3x64xf32>
  return %y : tensor<3x64xf32>
}

// -----

func.func @format(%w: tensor<1x320xi8>, %ids: tensor<3xi32>) -> tensor<3x64xf32> {
  // expected-error@+2 {{unknown block format 'q9'}}
  // expected-error@+1 {{failed to infer returned types}}
  %y = lm.block_gather %w, %ids {columns = 7 : i64, depth = 64 : i64, format = "q9", width = 8 : i64} : (tensor<1x320xi8>, tensor<3xi32>) -> tensor<3x64xf32>
  return %y : tensor<3x64xf32>
}

// -----

func.func @size(%w: tensor<1x321xi8>, %ids: tensor<3xi32>) -> tensor<3x64xf32> {
  // expected-error@+2 {{panels of [64, 7] in q4_0 are [1, 320], got [1, 321]}}
  // expected-error@+1 {{failed to infer returned types}}
  %y = lm.block_gather %w, %ids {columns = 7 : i64, depth = 64 : i64, format = "q4_0", width = 8 : i64} : (tensor<1x321xi8>, tensor<3xi32>) -> tensor<3x64xf32>
  return %y : tensor<3x64xf32>
}

// -----

func.func @depth(%w: tensor<1x320xi8>, %ids: tensor<3xi32>) -> tensor<3x64xf32> {
  // expected-error@+2 {{a matrix of q4_k needs columns and a depth that is a multiple of 256, got [64, 7]}}
  // expected-error@+1 {{failed to infer returned types}}
  %y = lm.block_gather %w, %ids {columns = 7 : i64, depth = 64 : i64, format = "q4_k", width = 8 : i64} : (tensor<1x320xi8>, tensor<3xi32>) -> tensor<3x64xf32>
  return %y : tensor<3x64xf32>
}
