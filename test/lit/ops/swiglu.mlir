// RUN: lmc-opt %s -split-input-file -verify-diagnostics | lmc-opt -split-input-file | FileCheck %s

// CHECK-LABEL: func.func @swiglu_0
// CHECK: lm.swiglu %{{.*}}, %{{.*}} : (tensor<3x5xf32>, tensor<3x5xf32>) -> tensor<3x5xf32>
func.func @swiglu_0(%x: tensor<3x5xf32>, %z: tensor<3x5xf32>) -> tensor<3x5xf32> {
  %y = lm.swiglu %x, %z : (tensor<3x5xf32>, tensor<3x5xf32>) -> tensor<3x5xf32>
  return %y : tensor<3x5xf32>
}

// -----

func.func @refused(%x: tensor<3x5xf32>, %z: tensor<5x3xf32>) -> tensor<3x5xf32> {
  // expected-error@+2 {{swiglu gate is 'tensor<3x5xf32>', up is 'tensor<5x3xf32>'}}
  // expected-error@+1 {{failed to infer returned types}}
  %y = lm.swiglu %x, %z : (tensor<3x5xf32>, tensor<5x3xf32>) -> tensor<3x5xf32>
  return %y : tensor<3x5xf32>
}
