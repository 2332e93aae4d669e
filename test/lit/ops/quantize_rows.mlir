// RUN: lmc-opt %s -split-input-file -verify-diagnostics | lmc-opt -split-input-file | FileCheck %s

// CHECK-LABEL: func.func @rows
// CHECK: lm.quantize_rows %{{.*}} : (tensor<1x?x64xf32, #lm.dims<"T">>) -> (tensor<1x?x64xi8, #lm.dims<"T">>, tensor<1x?x2xf32, #lm.dims<"T">>, tensor<1x?x2xf32, #lm.dims<"T">>, tensor<1x?x4xf32, #lm.dims<"T">>)
func.func @rows(%x: tensor<1x?x64xf32, #lm.dims<"T">>) -> tensor<1x?x64xi8, #lm.dims<"T">> {
  %c:4 = lm.quantize_rows %x : (tensor<1x?x64xf32, #lm.dims<"T">>) -> (tensor<1x?x64xi8, #lm.dims<"T">>, tensor<1x?x2xf32, #lm.dims<"T">>, tensor<1x?x2xf32, #lm.dims<"T">>, tensor<1x?x4xf32, #lm.dims<"T">>)
  return %c#0 : tensor<1x?x64xi8, #lm.dims<"T">>
}

// -----

func.func @depth(%x: tensor<3x40xf32>) -> tensor<3x40xi8> {
  // expected-error@+2 {{rows are quantised in blocks of 32, got [3, 40]}}
  // expected-error@+1 {{failed to infer returned types}}
  %c:4 = lm.quantize_rows %x : (tensor<3x40xf32>) -> (tensor<3x40xi8>, tensor<3x1xf32>, tensor<3x1xf32>, tensor<3x2xf32>)
  return %c#0 : tensor<3x40xi8>
}
