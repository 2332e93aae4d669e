// RUN: lmc-opt %s -split-input-file -verify-diagnostics | lmc-opt -split-input-file | FileCheck %s

// CHECK-LABEL: func.func @sigmoid_0
// CHECK: lm.sigmoid %{{.*}} : (tensor<3x5xf32>) -> tensor<3x5xf32>
func.func @sigmoid_0(%x: tensor<3x5xf32>) -> tensor<3x5xf32> {
  %y = lm.sigmoid %x : (tensor<3x5xf32>) -> tensor<3x5xf32>
  return %y : tensor<3x5xf32>
}

// -----

func.func @refused(%x: tensor<3x5xi32>) -> tensor<3x5xi32> {
  // expected-error@+1 {{operand #0 must be ranked tensor of}}
  %y = lm.sigmoid %x : (tensor<3x5xi32>) -> tensor<3x5xi32>
  return %y : tensor<3x5xi32>
}
