// RUN: lmc-opt %s -split-input-file -verify-diagnostics | lmc-opt -split-input-file | FileCheck %s

// CHECK-LABEL: func.func @select_0
// CHECK: lm.select %{{.*}}, %{{.*}}, %{{.*}} : (tensor<3x5xi1>, tensor<3x5xf32>, tensor<3x5xf32>) -> tensor<3x5xf32>
func.func @select_0(%c: tensor<3x5xi1>, %x: tensor<3x5xf32>, %z: tensor<3x5xf32>) -> tensor<3x5xf32> {
  %y = lm.select %c, %x, %z : (tensor<3x5xi1>, tensor<3x5xf32>, tensor<3x5xf32>) -> tensor<3x5xf32>
  return %y : tensor<3x5xf32>
}

// -----

func.func @refused(%c: tensor<5xi1>, %x: tensor<3x5xf32>, %z: tensor<3x5xf32>) -> tensor<3x5xf32> {
  // expected-error@+2 {{condition has shape [5], the operands [3, 5]}}
  // expected-error@+1 {{failed to infer returned types}}
  %y = lm.select %c, %x, %z : (tensor<5xi1>, tensor<3x5xf32>, tensor<3x5xf32>) -> tensor<3x5xf32>
  return %y : tensor<3x5xf32>
}

// -----

func.func @refused(%c: tensor<3x5xi1>, %x: tensor<3x5xf32>, %z: tensor<5x3xf32>) -> tensor<3x5xf32> {
  // expected-error@+2 {{operands must have one type, got 'tensor<3x5xf32>' and 'tensor<5x3xf32>'; broadcast or convert explicitly}}
  // expected-error@+1 {{failed to infer returned types}}
  %y = lm.select %c, %x, %z : (tensor<3x5xi1>, tensor<3x5xf32>, tensor<5x3xf32>) -> tensor<3x5xf32>
  return %y : tensor<3x5xf32>
}
