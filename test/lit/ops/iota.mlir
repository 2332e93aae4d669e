// RUN: lmc-opt %s -split-input-file -verify-diagnostics | lmc-opt -split-input-file | FileCheck %s

// CHECK-LABEL: func.func @iota_0
// CHECK: lm.iota {dim = 1 : i64} : () -> tensor<3x5xi32>
func.func @iota_0() -> tensor<3x5xi32> {
  %y = lm.iota {dim = 1 : i64} : () -> tensor<3x5xi32>
  return %y : tensor<3x5xi32>
}

// -----

func.func @refused() -> tensor<3x5xi32> {
  // expected-error@+1 {{dimension 2 of [3, 5]}}
  %y = lm.iota {dim = 2 : i64} : () -> tensor<3x5xi32>
  return %y : tensor<3x5xi32>
}

// -----

func.func @refused() -> tensor<3x5xi32> {
  // expected-error@+1 {{dimension -1 of [3, 5]}}
  %y = lm.iota {dim = -1 : i64} : () -> tensor<3x5xi32>
  return %y : tensor<3x5xi32>
}
