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

// -----

// Rows as files have them.
// CHECK-LABEL: func.func @file
// CHECK: lm.block_gather %{{.*}}, %{{.*}} {columns = 7 : i64, depth = 64 : i64, format = "q4_0", width = 1 : i64} : (tensor<7x36xi8>, tensor<3xi32>) -> tensor<3x64xf32>
func.func @file(%w: tensor<7x36xi8>, %ids: tensor<3xi32>) -> tensor<3x64xf32> {
  %y = lm.block_gather %w, %ids {columns = 7 : i64, depth = 64 : i64, format = "q4_0", width = 1 : i64} : (tensor<7x36xi8>, tensor<3xi32>) -> tensor<3x64xf32>
  return %y : tensor<3x64xf32>
}

// -----

func.func @order(%w: tensor<7x44xi8>, %ids: tensor<3xi32>) -> tensor<3x64xf32> {
  // expected-error@+2 {{blocks of q5_0 are not read as files have them here (a width of 1): only gathers do, of formats without super-blocks and high bits}}
  // expected-error@+1 {{failed to infer returned types}}
  %y = lm.block_gather %w, %ids {columns = 7 : i64, depth = 64 : i64, format = "q5_0", width = 1 : i64} : (tensor<7x44xi8>, tensor<3xi32>) -> tensor<3x64xf32>
  return %y : tensor<3x64xf32>
}
