// RUN: lmc-opt %s -split-input-file -verify-diagnostics | lmc-opt -split-input-file | FileCheck %s

// CHECK-LABEL: func.func @scatter_add_0
// CHECK: lm.scatter_add %{{.*}}, %{{.*}} : (tensor<2x4xi32>, tensor<2x4x5xf32>) -> tensor<3x5xf32>
func.func @scatter_add_0(%ids: tensor<2x4xi32>, %updates: tensor<2x4x5xf32>) -> tensor<3x5xf32> {
  %y = lm.scatter_add %ids, %updates : (tensor<2x4xi32>, tensor<2x4x5xf32>) -> tensor<3x5xf32>
  return %y : tensor<3x5xf32>
}

// -----

func.func @refused(%ids: tensor<2x4xi32>, %updates: tensor<2x3x5xf32>) -> tensor<3x5xf32> {
  // expected-error@+1 {{needs ids [...], updates [..., C] and a result [V, C], got [2, 4], [2, 3, 5], [3, 5]}}
  %y = lm.scatter_add %ids, %updates : (tensor<2x4xi32>, tensor<2x3x5xf32>) -> tensor<3x5xf32>
  return %y : tensor<3x5xf32>
}

// -----

func.func @refused(%ids: tensor<2x4xi32>, %updates: tensor<2x4x5xf32>) -> tensor<3x4xf32> {
  // expected-error@+1 {{needs ids [...], updates [..., C] and a result [V, C], got [2, 4], [2, 4, 5], [3, 4]}}
  %y = lm.scatter_add %ids, %updates : (tensor<2x4xi32>, tensor<2x4x5xf32>) -> tensor<3x4xf32>
  return %y : tensor<3x4xf32>
}

// -----

func.func @refused(%ids: tensor<2x4xi32>, %updates: tensor<2x4x5xf32>) -> tensor<5xf32> {
  // expected-error@+1 {{needs ids [...], updates [..., C] and a result [V, C], got [2, 4], [2, 4, 5], [5]}}
  %y = lm.scatter_add %ids, %updates : (tensor<2x4xi32>, tensor<2x4x5xf32>) -> tensor<5xf32>
  return %y : tensor<5xf32>
}

// -----

func.func @refused(%ids: tensor<2x4xi32>, %updates: tensor<2x4x5xf32>) -> tensor<3x5xf64> {
  // expected-error@+1 {{needs ids [...], updates [..., C] and a result [V, C], got [2, 4], [2, 4, 5], [3, 5]}}
  %y = lm.scatter_add %ids, %updates : (tensor<2x4xi32>, tensor<2x4x5xf32>) -> tensor<3x5xf64>
  return %y : tensor<3x5xf64>
}
