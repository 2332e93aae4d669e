// RUN: lmc-opt %s -split-input-file -verify-diagnostics | lmc-opt -split-input-file | FileCheck %s

// CHECK-LABEL: func.func @symbolic
// CHECK: lm.average_pool %{{.*}} {pad_high = array<i64: 1>, pad_low = array<i64: 1>, size = array<i64: 3>} : (tensor<2x?x3xf32, #lm.dims<"T">>) -> tensor<2x?x3xf32, #lm.dims<"T">>
func.func @symbolic(%x: tensor<2x?x3xf32, #lm.dims<"T">>) -> tensor<2x?x3xf32, #lm.dims<"T">> {
  %y = lm.average_pool %x {size = array<i64: 3>, pad_low = array<i64: 1>, pad_high = array<i64: 1>} : (tensor<2x?x3xf32, #lm.dims<"T">>) -> tensor<2x?x3xf32, #lm.dims<"T">>
  return %y : tensor<2x?x3xf32, #lm.dims<"T">>
}

// -----

func.func @refused(%x: tensor<7x3xf32>) -> tensor<7x3xf32> {
  // expected-error@+2 {{a pool with windows of 0 dimensions needs x [N, spatial..., C], got [7, 3]}}
  // expected-error@+1 {{failed to infer returned types}}
  %y = lm.average_pool %x {size = array<i64>} : (tensor<7x3xf32>) -> tensor<7x3xf32>
  return %y : tensor<7x3xf32>
}

// -----

func.func @refused(%x: tensor<2x7x3xf32>) -> tensor<2x7x3xf32> {
  // expected-error@+2 {{got size 3, stride 0, dilation 1, padding 0 and 0}}
  // expected-error@+1 {{failed to infer returned types}}
  %y = lm.average_pool %x {size = array<i64: 3>, strides = array<i64: 0>} : (tensor<2x7x3xf32>) -> tensor<2x7x3xf32>
  return %y : tensor<2x7x3xf32>
}

// -----

func.func @refused(%x: tensor<2x7x3xf32>) -> tensor<2x9x3xf32> {
  // expected-error@+2 {{window 0 of size 2, dilation 1 and stride 1 has only padding: the extent is 7, padding 2 + 1}}
  // expected-error@+1 {{failed to infer returned types}}
  %y = lm.average_pool %x {size = array<i64: 2>, pad_low = array<i64: 2>, pad_high = array<i64: 1>} : (tensor<2x7x3xf32>) -> tensor<2x9x3xf32>
  return %y : tensor<2x9x3xf32>
}
