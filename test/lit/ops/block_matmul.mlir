// RUN: lmc-opt %s -split-input-file -verify-diagnostics | lmc-opt -split-input-file | FileCheck %s

// CHECK-LABEL: func.func @products
// CHECK: lm.block_matmul {{.*}} {columns = 7 : i64, format = "q4_0", width = 8 : i64}
func.func @products(%x: tensor<1x?x64xf32, #lm.dims<"T">>, %w: tensor<1x320xi8>) -> tensor<1x?x7xf32, #lm.dims<"T">> {
  %c:4 = lm.quantize_rows %x : (tensor<1x?x64xf32, #lm.dims<"T">>) -> (tensor<1x?x64xi8, #lm.dims<"T">>, tensor<1x?x2xf32, #lm.dims<"T">>, tensor<1x?x2xf32, #lm.dims<"T">>, tensor<1x?x4xf32, #lm.dims<"T">>)
  %y = lm.block_matmul %c#0, %c#1, %c#2, %c#3, %w {columns = 7 : i64, format = "q4_0", width = 8 : i64} : (tensor<1x?x64xi8, #lm.dims<"T">>, tensor<1x?x2xf32, #lm.dims<"T">>, tensor<1x?x2xf32, #lm.dims<"T">>, tensor<1x?x4xf32, #lm.dims<"T">>, tensor<1x320xi8>) -> tensor<1x?x7xf32, #lm.dims<"T">>
  return %y : tensor<1x?x7xf32, #lm.dims<"T">>
}

// -----

func.func @scales(%c: tensor<3x64xi8>, %s: tensor<3x2xf32>, %w: tensor<1x320xi8>) -> tensor<3x7xf32> {
  // expected-error@+2 {{scales and sums must be [3, 2], half sums [3, 4], got [3, 2], [3, 2], [3, 2]}}
  // expected-error@+1 {{failed to infer returned types}}
  %y = lm.block_matmul %c, %s, %s, %s, %w {columns = 7 : i64, format = "q4_0", width = 8 : i64} : (tensor<3x64xi8>, tensor<3x2xf32>, tensor<3x2xf32>, tensor<3x2xf32>, tensor<1x320xi8>) -> tensor<3x7xf32>
  return %y : tensor<3x7xf32>
}
