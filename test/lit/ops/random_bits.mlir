// RUN: lmc-opt %s -split-input-file -verify-diagnostics | lmc-opt -split-input-file | FileCheck %s
// RUN: lmc-opt %s -split-input-file -verify-diagnostics -lm-decompose | FileCheck %s --check-prefix=PRIMITIVES

// CHECK-LABEL: func.func @random_bits_0
// CHECK: lm.random_bits %{{.*}}, %{{.*}}, %{{.*}} {stream = 7 : i32} : (tensor<i32>, tensor<i32>, tensor<i32>) -> tensor<3x5xi32>
// PRIMITIVES-LABEL: func.func @random_bits_0
// PRIMITIVES-DAG: %[[COLUMN:.*]] = lm.iota {dim = 1 : i64}
// PRIMITIVES-DAG: %[[ROW:.*]] = lm.iota {dim = 0 : i64}
// PRIMITIVES:     %[[START:.*]] = lm.mul %[[ROW]],
// PRIMITIVES:     %[[INDEX:.*]] = lm.add %[[COLUMN]], %[[START]]
// PRIMITIVES:     lm.philox %[[INDEX]],
func.func @random_bits_0(%k0: tensor<i32>, %k1: tensor<i32>, %step: tensor<i32>) -> tensor<3x5xi32> {
  %y = lm.random_bits %k0, %k1, %step {stream = 7 : i32} : (tensor<i32>, tensor<i32>, tensor<i32>) -> tensor<3x5xi32>
  return %y : tensor<3x5xi32>
}

// -----

func.func @refused(%k: tensor<2xi32>, %step: tensor<i32>) -> tensor<3xi32> {
  // expected-error@+1 {{keys and step must be scalars, got [2]}}
  %y = lm.random_bits %k, %k, %step {stream = 0 : i32} : (tensor<2xi32>, tensor<2xi32>, tensor<i32>) -> tensor<3xi32>
  return %y : tensor<3xi32>
}

// -----

func.func @refused(%k: tensor<i32>) -> tensor<3x?xi32, #lm.dims<"T">> {
  // expected-error@+1 {{extents behind the first must be static, got [3, T]}}
  %y = lm.random_bits %k, %k, %k {stream = 0 : i32} : (tensor<i32>, tensor<i32>, tensor<i32>) -> tensor<3x?xi32, #lm.dims<"T">>
  return %y : tensor<3x?xi32, #lm.dims<"T">>
}

// -----

func.func @refused(%k: tensor<i32>) -> tensor<65536x32768xi32> {
  // expected-error@+1 {{more than 2^31 - 1 elements: [65536, 32768]}}
  %y = lm.random_bits %k, %k, %k {stream = 0 : i32} : (tensor<i32>, tensor<i32>, tensor<i32>) -> tensor<65536x32768xi32>
  return %y : tensor<65536x32768xi32>
}
