// RUN: lmc-opt %s -split-input-file -verify-diagnostics | lmc-opt -split-input-file | FileCheck %s

// Rows that lack the first dimension are read once for each of its indices.
// CHECK-LABEL: func.func @shared
// CHECK: lm.expert_matmul %{{.*}} {transpose_b} : (tensor<1x?x3xbf16, #lm.dims<"T">>, tensor<4x5x3xbf16>, tensor<2x1x?xi32, #lm.dims<"T">>, tensor<5xi32>) -> tensor<2x1x?x5xf32, #lm.dims<"T">>
func.func @shared(%x: tensor<1x?x3xbf16, #lm.dims<"T">>, %w: tensor<4x5x3xbf16>, %order: tensor<2x1x?xi32, #lm.dims<"T">>, %starts: tensor<5xi32>) -> tensor<2x1x?x5xf32, #lm.dims<"T">> {
  %y = lm.expert_matmul %x, %w, %order, %starts {transpose_b} : (tensor<1x?x3xbf16, #lm.dims<"T">>, tensor<4x5x3xbf16>, tensor<2x1x?xi32, #lm.dims<"T">>, tensor<5xi32>) -> tensor<2x1x?x5xf32, #lm.dims<"T">>
  return %y : tensor<2x1x?x5xf32, #lm.dims<"T">>
}

// -----

func.func @refused(%x: tensor<6x3xf32>, %w: tensor<4x5x3xf32>, %order: tensor<6xi32>, %starts: tensor<5xi32>) -> tensor<6x3xf32> {
  // expected-error@+2 {{weights of 4 experts for x [6, 3] of 'f32' are [E, K, N], got [4, 5, 3] of 'f32'}}
  // expected-error@+1 {{failed to infer returned types}}
  %y = lm.expert_matmul %x, %w, %order, %starts : (tensor<6x3xf32>, tensor<4x5x3xf32>, tensor<6xi32>, tensor<5xi32>) -> tensor<6x3xf32>
  return %y : tensor<6x3xf32>
}

// -----

func.func @refused(%x: tensor<2x3xf32>, %w: tensor<4x3x5xf32>, %order: tensor<2x6xi32>, %starts: tensor<5xi32>) -> tensor<2x6x5xf32> {
  // expected-error@+2 {{x is [2, 3], the rows are [2, 6]: it must have their last dimensions and features}}
  // expected-error@+1 {{failed to infer returned types}}
  %y = lm.expert_matmul %x, %w, %order, %starts : (tensor<2x3xf32>, tensor<4x3x5xf32>, tensor<2x6xi32>, tensor<5xi32>) -> tensor<2x6x5xf32>
  return %y : tensor<2x6x5xf32>
}

// -----

func.func @refused(%x: tensor<6x3xf32>, %w: tensor<4x3x5xf32>, %order: tensor<6xi32>, %starts: tensor<1xi32>) -> tensor<6x5xf32> {
  // expected-error@+2 {{starts must be [experts + 1], got [1]}}
  // expected-error@+1 {{failed to infer returned types}}
  %y = lm.expert_matmul %x, %w, %order, %starts : (tensor<6x3xf32>, tensor<4x3x5xf32>, tensor<6xi32>, tensor<1xi32>) -> tensor<6x5xf32>
  return %y : tensor<6x5xf32>
}
