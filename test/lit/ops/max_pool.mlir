// RUN: lmc-opt %s -split-input-file -verify-diagnostics | lmc-opt -split-input-file | FileCheck %s

// CHECK-LABEL: func.func @images
// CHECK: lm.max_pool %{{.*}} {pad_high = array<i64: 1, 0>, pad_low = array<i64: 1, 0>, size = array<i64: 3, 2>, strides = array<i64: 2, 2>} : (tensor<2x5x6x3xbf16>) -> tensor<2x3x3x3xbf16>
func.func @images(%x: tensor<2x5x6x3xbf16>) -> tensor<2x3x3x3xbf16> {
  %y = lm.max_pool %x {size = array<i64: 3, 2>, strides = array<i64: 2, 2>, pad_low = array<i64: 1, 0>, pad_high = array<i64: 1, 0>} : (tensor<2x5x6x3xbf16>) -> tensor<2x3x3x3xbf16>
  return %y : tensor<2x3x3x3xbf16>
}

// -----

func.func @refused(%x: tensor<2x7x3xf32>) -> tensor<2x7x3xf32> {
  // expected-error@+2 {{a pool with windows of 2 dimensions needs x [N, spatial..., C], got [2, 7, 3]}}
  // expected-error@+1 {{failed to infer returned types}}
  %y = lm.max_pool %x {size = array<i64: 3, 3>} : (tensor<2x7x3xf32>) -> tensor<2x7x3xf32>
  return %y : tensor<2x7x3xf32>
}

// -----

func.func @refused(%x: tensor<2x7x3xf32>) -> tensor<2x7x3xf32> {
  // expected-error@+2 {{windows of size 8 and dilation 1 are 8 long, more than the extent 7 with padding 0 + 0}}
  // expected-error@+1 {{failed to infer returned types}}
  %y = lm.max_pool %x {size = array<i64: 8>} : (tensor<2x7x3xf32>) -> tensor<2x7x3xf32>
  return %y : tensor<2x7x3xf32>
}

// -----

func.func @refused(%x: tensor<2x7x3xf32>) -> tensor<2x8x3xf32> {
  // expected-error@+2 {{window 0 of size 3, dilation 1 and stride 1 has only padding: the extent is 7, padding 3 + 0}}
  // expected-error@+1 {{failed to infer returned types}}
  %y = lm.max_pool %x {size = array<i64: 3>, pad_low = array<i64: 3>} : (tensor<2x7x3xf32>) -> tensor<2x8x3xf32>
  return %y : tensor<2x8x3xf32>
}

// -----

func.func @refused(%x: tensor<2x7x3xf32>) -> tensor<2x8x3xf32> {
  // expected-error@+2 {{window 7 of size 3, dilation 1 and stride 1 has only padding: the extent is 7, padding 0 + 3}}
  // expected-error@+1 {{failed to infer returned types}}
  %y = lm.max_pool %x {size = array<i64: 3>, pad_high = array<i64: 3>} : (tensor<2x7x3xf32>) -> tensor<2x8x3xf32>
  return %y : tensor<2x8x3xf32>
}

// -----

// Steps of 3 lead across both elements.
func.func @refused(%x: tensor<1x2x3xf32>) -> tensor<1x2x3xf32> {
  // expected-error@+2 {{window 1 of size 2, dilation 3 and stride 1 has only padding: the extent is 2, padding 2 + 1}}
  // expected-error@+1 {{failed to infer returned types}}
  %y = lm.max_pool %x {size = array<i64: 2>, dilations = array<i64: 3>, pad_low = array<i64: 2>, pad_high = array<i64: 1>} : (tensor<1x2x3xf32>) -> tensor<1x2x3xf32>
  return %y : tensor<1x2x3xf32>
}

// -----

func.func @refused(%x: tensor<1x?x3xf32, #lm.dims<"T">>) -> tensor<1x?x3xf32, #lm.dims<"T">> {
  // expected-error@+2 {{windows of dilation 2 over the symbolic dimension 'T' need padding in front of whole dilations, got 1}}
  // expected-error@+1 {{failed to infer returned types}}
  %y = lm.max_pool %x {size = array<i64: 2>, dilations = array<i64: 2>, pad_low = array<i64: 1>, pad_high = array<i64: 1>} : (tensor<1x?x3xf32, #lm.dims<"T">>) -> tensor<1x?x3xf32, #lm.dims<"T">>
  return %y : tensor<1x?x3xf32, #lm.dims<"T">>
}
