// RUN: lmc-opt %s -split-input-file -verify-diagnostics | lmc-opt -split-input-file | FileCheck %s

// Rows that lack the first dimension are read once for each of its indices.
// CHECK-LABEL: func.func @shared
// CHECK: lm.expert_block_matmul {{.*}} {columns = 7 : i64, format = "q4_0", width = 8 : i64} {{.*}} -> tensor<2x3x7xf32>
func.func @shared(%c: tensor<3x64xi8>, %s: tensor<3x2xf32>, %h: tensor<3x4xf32>, %w: tensor<5x1x320xi8>, %order: tensor<2x3xi32>, %starts: tensor<6xi32>) -> tensor<2x3x7xf32> {
  %y = lm.expert_block_matmul %c, %s, %s, %h, %w, %order, %starts {columns = 7 : i64, format = "q4_0", width = 8 : i64} : (tensor<3x64xi8>, tensor<3x2xf32>, tensor<3x2xf32>, tensor<3x4xf32>, tensor<5x1x320xi8>, tensor<2x3xi32>, tensor<6xi32>) -> tensor<2x3x7xf32>
  return %y : tensor<2x3x7xf32>
}

// -----

func.func @refused(%c: tensor<3x64xi8>, %s: tensor<3x2xf32>, %h: tensor<3x4xf32>, %w: tensor<4x1x320xi8>, %order: tensor<3xi32>, %starts: tensor<6xi32>) -> tensor<3x7xf32> {
  // expected-error@+2 {{panels of [64, 7] in q4_0 are [5, 1, 320], got [4, 1, 320]}}
  // expected-error@+1 {{failed to infer returned types}}
  %y = lm.expert_block_matmul %c, %s, %s, %h, %w, %order, %starts {columns = 7 : i64, format = "q4_0", width = 8 : i64} : (tensor<3x64xi8>, tensor<3x2xf32>, tensor<3x2xf32>, tensor<3x4xf32>, tensor<4x1x320xi8>, tensor<3xi32>, tensor<6xi32>) -> tensor<3x7xf32>
  return %y : tensor<3x7xf32>
}

// -----

func.func @refused(%c: tensor<3x64xi8>, %s: tensor<3x2xf32>, %h: tensor<3x4xf32>, %w: tensor<5x1x320xi8>, %order: tensor<2xi32>, %starts: tensor<6xi32>) -> tensor<2x7xf32> {
  // expected-error@+2 {{codes is [3, 64], the rows are [2]: it must have their last dimensions and features}}
  // expected-error@+1 {{failed to infer returned types}}
  %y = lm.expert_block_matmul %c, %s, %s, %h, %w, %order, %starts {columns = 7 : i64, format = "q4_0", width = 8 : i64} : (tensor<3x64xi8>, tensor<3x2xf32>, tensor<3x2xf32>, tensor<3x4xf32>, tensor<5x1x320xi8>, tensor<2xi32>, tensor<6xi32>) -> tensor<2x7xf32>
  return %y : tensor<2x7xf32>
}
