// RUN: lmc-opt %s -split-input-file -verify-diagnostics | lmc-opt -split-input-file | FileCheck %s

// CHECK-LABEL: func.func @gather_0
// CHECK: lm.gather %{{.*}}, %{{.*}} : (tensor<3x5xf32>, tensor<2x4xi32>) -> tensor<2x4x5xf32>
func.func @gather_0(%table: tensor<3x5xf32>, %ids: tensor<2x4xi32>) -> tensor<2x4x5xf32> {
  %y = lm.gather %table, %ids : (tensor<3x5xf32>, tensor<2x4xi32>) -> tensor<2x4x5xf32>
  return %y : tensor<2x4x5xf32>
}

// -----

func.func @refused(%table: tensor<5xf32>, %ids: tensor<2x4xi32>) -> tensor<2x4x5xf32> {
  // expected-error@+2 {{gather needs a table [V, C], got [5]}}
  // expected-error@+1 {{failed to infer returned types}}
  %y = lm.gather %table, %ids : (tensor<5xf32>, tensor<2x4xi32>) -> tensor<2x4x5xf32>
  return %y : tensor<2x4x5xf32>
}

// -----

func.func @refused(%table: tensor<3x5xf32>, %ids: tensor<2x4xf32>) -> tensor<2x4x5xf32> {
  // expected-error@+1 {{operand #1 must be ranked tensor of 32-bit signless integer values}}
  %y = lm.gather %table, %ids : (tensor<3x5xf32>, tensor<2x4xf32>) -> tensor<2x4x5xf32>
  return %y : tensor<2x4x5xf32>
}
