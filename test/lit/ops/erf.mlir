// RUN: lmc-opt %s -split-input-file -verify-diagnostics | lmc-opt -split-input-file | FileCheck %s

// CHECK-LABEL: func.func @erf_0
// CHECK: lm.erf %{{.*}} : (tensor<3x5xf32>) -> tensor<3x5xf32>
func.func @erf_0(%x: tensor<3x5xf32>) -> tensor<3x5xf32> {
  %y = lm.erf %x : (tensor<3x5xf32>) -> tensor<3x5xf32>
  return %y : tensor<3x5xf32>
}

// -----

// CHECK-LABEL: func.func @erf_1
// CHECK: lm.erf %{{.*}} : (tensor<2x?xbf16, #lm.dims<"T">>) -> tensor<2x?xbf16, #lm.dims<"T">>
func.func @erf_1(%x: tensor<2x?xbf16, #lm.dims<"T">>) -> tensor<2x?xbf16, #lm.dims<"T">> {
  %y = lm.erf %x : (tensor<2x?xbf16, #lm.dims<"T">>) -> tensor<2x?xbf16, #lm.dims<"T">>
  return %y : tensor<2x?xbf16, #lm.dims<"T">>
}

// -----

func.func @refused(%x: tensor<3x5xi32>) -> tensor<3x5xi32> {
  // expected-error@+1 {{operand #0 must be ranked tensor of}}
  %y = lm.erf %x : (tensor<3x5xi32>) -> tensor<3x5xi32>
  return %y : tensor<3x5xi32>
}

// -----

func.func @refused(%x: tensor<3x5xf32>) -> tensor<5x3xf32> {
  // expected-error@+2 {{inferred type(s) 'tensor<3x5xf32>' are incompatible with return type(s) of operation 'tensor<5x3xf32>'}}
  // expected-error@+1 {{failed to infer returned types}}
  %y = lm.erf %x : (tensor<3x5xf32>) -> tensor<5x3xf32>
  return %y : tensor<5x3xf32>
}
