// RUN: lmc-opt %s -split-input-file -verify-diagnostics | lmc-opt -split-input-file | FileCheck %s

// CHECK-LABEL: func.func @constant_0
// CHECK: lm.constant dense<[1.000000e+00, 2.000000e+00]> : tensor<2xf32>
func.func @constant_0() -> tensor<2xf32> {
  %y = lm.constant dense<[1.000000e+00, 2.000000e+00]> : tensor<2xf32>
  return %y : tensor<2xf32>
}

// -----

func.func @refused() -> tensor<2xf32> {
  // expected-error@+1 {{constant needs dense elements}}
  %y = lm.constant sparse<[[0]], [1.0]> : tensor<2xf32>
  return %y : tensor<2xf32>
}
