// RUN: lmc-opt %s -split-input-file -verify-diagnostics | lmc-opt -split-input-file | FileCheck %s

// CHECK-LABEL: func.func @philox_0
// CHECK: lm.philox %{{.*}}, %{{.*}}, %{{.*}}, %{{.*}} {stream = -3 : i32} : (tensor<3x7xi32>, tensor<3x7xi32>, tensor<3x7xi32>, tensor<3x7xi32>) -> tensor<3x7xi32>
func.func @philox_0(%i: tensor<3x7xi32>, %k0: tensor<3x7xi32>, %k1: tensor<3x7xi32>, %step: tensor<3x7xi32>) -> tensor<3x7xi32> {
  %y = lm.philox %i, %k0, %k1, %step {stream = -3 : i32} : (tensor<3x7xi32>, tensor<3x7xi32>, tensor<3x7xi32>, tensor<3x7xi32>) -> tensor<3x7xi32>
  return %y : tensor<3x7xi32>
}

// -----

func.func @refused(%i: tensor<3xi32>, %k: tensor<i32>) -> tensor<3xi32> {
  // expected-error@+2 {{failed to infer returned types}}
  // expected-error@+1 {{operands must have one type, got 'tensor<3xi32>' and 'tensor<i32>'; broadcast explicitly}}
  %y = lm.philox %i, %k, %k, %k {stream = 0 : i32} : (tensor<3xi32>, tensor<i32>, tensor<i32>, tensor<i32>) -> tensor<3xi32>
  return %y : tensor<3xi32>
}
