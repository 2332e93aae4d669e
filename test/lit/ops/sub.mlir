// RUN: lmc-opt %s -split-input-file -verify-diagnostics | lmc-opt -split-input-file | FileCheck %s

// CHECK-LABEL: func.func @sub_0
// CHECK: lm.sub %{{.*}}, %{{.*}} : (tensor<3x5xf32>, tensor<3x5xf32>) -> tensor<3x5xf32>
func.func @sub_0(%x: tensor<3x5xf32>, %z: tensor<3x5xf32>) -> tensor<3x5xf32> {
  %y = lm.sub %x, %z : (tensor<3x5xf32>, tensor<3x5xf32>) -> tensor<3x5xf32>
  return %y : tensor<3x5xf32>
}

// -----

// CHECK-LABEL: func.func @sub_1
// CHECK: lm.sub %{{.*}}, %{{.*}} : (tensor<3x5xi32>, tensor<3x5xi32>) -> tensor<3x5xi32>
func.func @sub_1(%x: tensor<3x5xi32>, %z: tensor<3x5xi32>) -> tensor<3x5xi32> {
  %y = lm.sub %x, %z : (tensor<3x5xi32>, tensor<3x5xi32>) -> tensor<3x5xi32>
  return %y : tensor<3x5xi32>
}

// -----

func.func @refused(%x: tensor<3x5xf32>, %z: tensor<5x3xf32>) -> tensor<3x5xf32> {
  // expected-error@+2 {{operands must have one type, got 'tensor<3x5xf32>' and 'tensor<5x3xf32>'; broadcast or convert explicitly}}
  // expected-error@+1 {{failed to infer returned types}}
  %y = lm.sub %x, %z : (tensor<3x5xf32>, tensor<5x3xf32>) -> tensor<3x5xf32>
  return %y : tensor<3x5xf32>
}

// -----

func.func @refused(%x: tensor<3x5xi1>, %z: tensor<3x5xi1>) -> tensor<3x5xi1> {
  // expected-error@+1 {{operand #0 must be ranked tensor of}}
  %y = lm.sub %x, %z : (tensor<3x5xi1>, tensor<3x5xi1>) -> tensor<3x5xi1>
  return %y : tensor<3x5xi1>
}
