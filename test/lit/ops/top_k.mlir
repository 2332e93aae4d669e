// RUN: lmc-opt %s -split-input-file -verify-diagnostics | lmc-opt -split-input-file | FileCheck %s

// CHECK-LABEL: func.func @top_k_0
// CHECK: lm.top_k %{{.*}} {k = 2 : i64} : (tensor<1x?x5xf32, #lm.dims<"T">>) -> (tensor<1x?x2xf32, #lm.dims<"T">>, tensor<1x?x2xi32, #lm.dims<"T">>)
func.func @top_k_0(%x: tensor<1x?x5xf32, #lm.dims<"T">>) -> tensor<1x?x2xf32, #lm.dims<"T">> {
  %y, %i = lm.top_k %x {k = 2} : (tensor<1x?x5xf32, #lm.dims<"T">>) -> (tensor<1x?x2xf32, #lm.dims<"T">>, tensor<1x?x2xi32, #lm.dims<"T">>)
  return %y : tensor<1x?x2xf32, #lm.dims<"T">>
}

// -----

func.func @refused(%x: tensor<3x5xf32>) -> tensor<3x6xf32> {
  // expected-error@+2 {{top_k takes 1 to N of x [..., N], got k = 6 of [3, 5]}}
  // expected-error@+1 {{failed to infer returned types}}
  %y, %i = lm.top_k %x {k = 6} : (tensor<3x5xf32>) -> (tensor<3x6xf32>, tensor<3x6xi32>)
  return %y : tensor<3x6xf32>
}
