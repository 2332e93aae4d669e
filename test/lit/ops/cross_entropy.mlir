// RUN: lmc-opt %s -split-input-file -verify-diagnostics | lmc-opt -split-input-file | FileCheck %s

// CHECK-LABEL: func.func @cross_entropy_0
// CHECK: lm.cross_entropy %{{.*}}, %{{.*}} : (tensor<3x5xf32>, tensor<3xi32>) -> tensor<3xf32>
func.func @cross_entropy_0(%x: tensor<3x5xf32>, %t: tensor<3xi32>) -> tensor<3xf32> {
  %y = lm.cross_entropy %x, %t : (tensor<3x5xf32>, tensor<3xi32>) -> tensor<3xf32>
  return %y : tensor<3xf32>
}

// -----

func.func @refused(%x: tensor<3x5xf32>, %t: tensor<5xi32>) -> tensor<3xf32> {
  // expected-error@+2 {{cross_entropy needs logits [..., V] and targets [...], got [3, 5] and [5]}}
  // expected-error@+1 {{failed to infer returned types}}
  %y = lm.cross_entropy %x, %t : (tensor<3x5xf32>, tensor<5xi32>) -> tensor<3xf32>
  return %y : tensor<3xf32>
}
