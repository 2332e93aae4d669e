// RUN: lmc-opt %s -split-input-file -verify-diagnostics | lmc-opt -split-input-file | FileCheck %s

// CHECK-LABEL: func.func @reshape_0
// CHECK: lm.reshape %{{.*}} : (tensor<3x5xf32>) -> tensor<15xf32>
func.func @reshape_0(%x: tensor<3x5xf32>) -> tensor<15xf32> {
  %y = lm.reshape %x : (tensor<3x5xf32>) -> tensor<15xf32>
  return %y : tensor<15xf32>
}

// -----

// CHECK-LABEL: func.func @reshape_1
// CHECK: lm.reshape %{{.*}} : (tensor<2x?x6xf32, #lm.dims<"T">>) -> tensor<?x12xf32, #lm.dims<"T">>
func.func @reshape_1(%x: tensor<2x?x6xf32, #lm.dims<"T">>) -> tensor<?x12xf32, #lm.dims<"T">> {
  %y = lm.reshape %x : (tensor<2x?x6xf32, #lm.dims<"T">>) -> tensor<?x12xf32, #lm.dims<"T">>
  return %y : tensor<?x12xf32, #lm.dims<"T">>
}

// -----

func.func @refused(%x: tensor<3x5xf32>) -> tensor<15xf64> {
  // expected-error@+1 {{changes the element type}}
  %y = lm.reshape %x : (tensor<3x5xf32>) -> tensor<15xf64>
  return %y : tensor<15xf64>
}

// -----

func.func @refused(%x: tensor<3x5xf32>) -> tensor<16xf32> {
  // expected-error@+1 {{has other element counts: [3, 5] to [16]}}
  %y = lm.reshape %x : (tensor<3x5xf32>) -> tensor<16xf32>
  return %y : tensor<16xf32>
}

// -----

func.func @refused(%x: tensor<?xf32, #lm.dims<"T">>) -> tensor<?xf32, #lm.dims<"S">> {
  // expected-error@+1 {{has other element counts: [T] to [S]}}
  %y = lm.reshape %x : (tensor<?xf32, #lm.dims<"T">>) -> tensor<?xf32, #lm.dims<"S">>
  return %y : tensor<?xf32, #lm.dims<"S">>
}
