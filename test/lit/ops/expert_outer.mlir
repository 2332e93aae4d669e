// RUN: lmc-opt %s -split-input-file -verify-diagnostics | lmc-opt -split-input-file | FileCheck %s

// CHECK-LABEL: func.func @outer
// CHECK: lm.expert_outer %{{.*}} : (tensor<2x6x3xf32>, tensor<6x5xf32>, tensor<2x6xi32>, tensor<5xi32>) -> tensor<4x3x5xf32>
func.func @outer(%a: tensor<2x6x3xf32>, %b: tensor<6x5xf32>, %order: tensor<2x6xi32>, %starts: tensor<5xi32>) -> tensor<4x3x5xf32> {
  %y = lm.expert_outer %a, %b, %order, %starts : (tensor<2x6x3xf32>, tensor<6x5xf32>, tensor<2x6xi32>, tensor<5xi32>) -> tensor<4x3x5xf32>
  return %y : tensor<4x3x5xf32>
}

// -----

func.func @refused(%a: tensor<6x3xf32>, %b: tensor<6x5xbf16>, %order: tensor<6xi32>, %starts: tensor<5xi32>) -> tensor<4x3x5xf32> {
  // expected-error@+2 {{expert_outer of 'f32' and 'bf16'}}
  // expected-error@+1 {{failed to infer returned types}}
  %y = lm.expert_outer %a, %b, %order, %starts : (tensor<6x3xf32>, tensor<6x5xbf16>, tensor<6xi32>, tensor<5xi32>) -> tensor<4x3x5xf32>
  return %y : tensor<4x3x5xf32>
}
