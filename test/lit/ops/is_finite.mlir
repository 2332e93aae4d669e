// RUN: lmc-opt %s -split-input-file -verify-diagnostics | lmc-opt -split-input-file | FileCheck %s

// CHECK-LABEL: func.func @is_finite_0
// CHECK: lm.is_finite %{{.*}} : (tensor<3x5xf32>) -> tensor<3x5xi1>
func.func @is_finite_0(%x: tensor<3x5xf32>) -> tensor<3x5xi1> {
  %y = lm.is_finite %x : (tensor<3x5xf32>) -> tensor<3x5xi1>
  return %y : tensor<3x5xi1>
}

// -----

func.func @refused(%x: tensor<3x5xi32>) -> tensor<3x5xi1> {
  // expected-error@+1 {{operand #0 must be ranked tensor of}}
  %y = lm.is_finite %x : (tensor<3x5xi32>) -> tensor<3x5xi1>
  return %y : tensor<3x5xi1>
}
