// RUN: lmc-opt %s -split-input-file -verify-diagnostics | lmc-opt -split-input-file | FileCheck %s

// CHECK-LABEL: func.func @plain
// CHECK: lm.convolution %{{.*}}, %{{.*}} : (tensor<2x7x3xf32>, tensor<3x3x4xf32>) -> tensor<2x5x4xf32>
func.func @plain(%x: tensor<2x7x3xf32>, %w: tensor<3x3x4xf32>) -> tensor<2x5x4xf32> {
  %y = lm.convolution %x, %w : (tensor<2x7x3xf32>, tensor<3x3x4xf32>) -> tensor<2x5x4xf32>
  return %y : tensor<2x5x4xf32>
}

// -----

// CHECK-LABEL: func.func @images
// CHECK: lm.convolution %{{.*}}, %{{.*}} {dilations = array<i64: 1, 2>, groups = 3 : i64, pad_high = array<i64: 2, 1>, pad_low = array<i64: 1, 0>, strides = array<i64: 2, 1>}
func.func @images(%x: tensor<2x5x4x3xf32>, %w: tensor<3x2x1x3xf32>) -> tensor<2x3x3x3xf32> {
  %y = lm.convolution %x, %w {groups = 3 : i64, strides = array<i64: 2, 1>, dilations = array<i64: 1, 2>, pad_low = array<i64: 1, 0>, pad_high = array<i64: 2, 1>} : (tensor<2x5x4x3xf32>, tensor<3x2x1x3xf32>) -> tensor<2x3x3x3xf32>
  return %y : tensor<2x3x3x3xf32>
}

// -----

// A product's sums are f32; a causal window keeps a symbolic extent.
// CHECK-LABEL: func.func @causal
// CHECK: lm.convolution {{.*}} -> tensor<?x?x5xf32, #lm.dims<"B", "T">>
func.func @causal(%x: tensor<?x?x5xbf16, #lm.dims<"B", "T">>, %w: tensor<4x1x5xbf16>) -> tensor<?x?x5xf32, #lm.dims<"B", "T">> {
  %y = lm.convolution %x, %w {groups = 5 : i64, pad_low = array<i64: 3>} : (tensor<?x?x5xbf16, #lm.dims<"B", "T">>, tensor<4x1x5xbf16>) -> tensor<?x?x5xf32, #lm.dims<"B", "T">>
  return %y : tensor<?x?x5xf32, #lm.dims<"B", "T">>
}

// -----

func.func @refused(%x: tensor<7x3xf32>, %w: tensor<3x4xf32>) -> tensor<7x4xf32> {
  // expected-error@+2 {{convolution needs x [N, spatial..., C] and w [kernel..., C / groups, F] of one element type, got [7, 3] 'f32' and [3, 4] 'f32'}}
  // expected-error@+1 {{failed to infer returned types}}
  %y = lm.convolution %x, %w : (tensor<7x3xf32>, tensor<3x4xf32>) -> tensor<7x4xf32>
  return %y : tensor<7x4xf32>
}

// -----

func.func @refused(%x: tensor<2x7x3xf32>, %w: tensor<3x3x3x4xf32>) -> tensor<2x5x4xf32> {
  // expected-error@+2 {{got [2, 7, 3] 'f32' and [3, 3, 3, 4] 'f32'}}
  // expected-error@+1 {{failed to infer returned types}}
  %y = lm.convolution %x, %w : (tensor<2x7x3xf32>, tensor<3x3x3x4xf32>) -> tensor<2x5x4xf32>
  return %y : tensor<2x5x4xf32>
}

// -----

func.func @refused(%x: tensor<2x7x3xf32>, %w: tensor<3x3x4xbf16>) -> tensor<2x5x4xf32> {
  // expected-error@+2 {{of one element type, got [2, 7, 3] 'f32' and [3, 3, 4] 'bf16'}}
  // expected-error@+1 {{failed to infer returned types}}
  %y = lm.convolution %x, %w : (tensor<2x7x3xf32>, tensor<3x3x4xbf16>) -> tensor<2x5x4xf32>
  return %y : tensor<2x5x4xf32>
}

// -----

func.func @refused(%x: tensor<2x7x6xf32>, %w: tensor<3x6x4xf32>) -> tensor<2x5x4xf32> {
  // expected-error@+2 {{convolution in 2 groups of 6 channels needs w [kernel..., C / groups, F] with as many groups of F, got [3, 6, 4]}}
  // expected-error@+1 {{failed to infer returned types}}
  %y = lm.convolution %x, %w {groups = 2 : i64} : (tensor<2x7x6xf32>, tensor<3x6x4xf32>) -> tensor<2x5x4xf32>
  return %y : tensor<2x5x4xf32>
}

// -----

func.func @refused(%x: tensor<2x7x6xf32>, %w: tensor<3x2x4xf32>) -> tensor<2x5x4xf32> {
  // expected-error@+2 {{convolution in 3 groups of 6 channels needs w [kernel..., C / groups, F] with as many groups of F, got [3, 2, 4]}}
  // expected-error@+1 {{failed to infer returned types}}
  %y = lm.convolution %x, %w {groups = 3 : i64} : (tensor<2x7x6xf32>, tensor<3x2x4xf32>) -> tensor<2x5x4xf32>
  return %y : tensor<2x5x4xf32>
}

// -----

func.func @refused(%x: tensor<2x7x6xf32>, %w: tensor<3x2x4xf32>) -> tensor<2x5x4xf32> {
  // expected-error@+2 {{convolution in 0 groups of 6 channels}}
  // expected-error@+1 {{failed to infer returned types}}
  %y = lm.convolution %x, %w {groups = 0 : i64} : (tensor<2x7x6xf32>, tensor<3x2x4xf32>) -> tensor<2x5x4xf32>
  return %y : tensor<2x5x4xf32>
}

// -----

func.func @refused(%x: tensor<2x3x3xf32>, %w: tensor<3x3x4xf32>) -> tensor<2x1x4xf32> {
  // expected-error@+2 {{windows of size 3 and dilation 3 are 7 long, more than the extent 3 with padding 1 + 2}}
  // expected-error@+1 {{failed to infer returned types}}
  %y = lm.convolution %x, %w {dilations = array<i64: 3>, pad_low = array<i64: 1>, pad_high = array<i64: 2>} : (tensor<2x3x3xf32>, tensor<3x3x4xf32>) -> tensor<2x1x4xf32>
  return %y : tensor<2x1x4xf32>
}

// -----

func.func @refused(%x: tensor<2x7x3xf32>, %w: tensor<3x3x4xf32>) -> tensor<2x5x4xf32> {
  // expected-error@+2 {{strides has 2 numbers for 1 spatial dimensions}}
  // expected-error@+1 {{failed to infer returned types}}
  %y = lm.convolution %x, %w {strides = array<i64: 1, 1>} : (tensor<2x7x3xf32>, tensor<3x3x4xf32>) -> tensor<2x5x4xf32>
  return %y : tensor<2x5x4xf32>
}

// -----

func.func @refused(%x: tensor<2x7x3xf32>, %w: tensor<3x3x4xf32>) -> tensor<2x5x4xf32> {
  // expected-error@+2 {{windows need size, stride and dilation of 1 or more, padding of 0 or more and numbers below 2^30, got size 3, stride 1, dilation 1, padding -1 and 0}}
  // expected-error@+1 {{failed to infer returned types}}
  %y = lm.convolution %x, %w {pad_low = array<i64: -1>} : (tensor<2x7x3xf32>, tensor<3x3x4xf32>) -> tensor<2x5x4xf32>
  return %y : tensor<2x5x4xf32>
}

// -----

func.func @refused(%x: tensor<2x7x3xf32>, %w: tensor<3x3x4xf32>) -> tensor<2x5x4xf32> {
  // expected-error@+2 {{got size 3, stride 1, dilation 9223372036854775807, padding 0 and 0}}
  // expected-error@+1 {{failed to infer returned types}}
  %y = lm.convolution %x, %w {dilations = array<i64: 9223372036854775807>} : (tensor<2x7x3xf32>, tensor<3x3x4xf32>) -> tensor<2x5x4xf32>
  return %y : tensor<2x5x4xf32>
}

// -----

func.func @refused(%x: tensor<2x?x3xf32, #lm.dims<"T">>, %w: tensor<3x3x4xf32>) -> tensor<2x?x4xf32, #lm.dims<"T">> {
  // expected-error@+2 {{a symbolic dimension must keep its extent: 'T' needs stride 1 and padding of 2 in all, got stride 1 and padding 1 + 0}}
  // expected-error@+1 {{failed to infer returned types}}
  %y = lm.convolution %x, %w {pad_low = array<i64: 1>} : (tensor<2x?x3xf32, #lm.dims<"T">>, tensor<3x3x4xf32>) -> tensor<2x?x4xf32, #lm.dims<"T">>
  return %y : tensor<2x?x4xf32, #lm.dims<"T">>
}

// -----

func.func @refused(%x: tensor<2x?x4xf32, #lm.dims<"T">>, %w: tensor<3x2x4xf32>) -> tensor<2x?x4xf32, #lm.dims<"T">> {
  // expected-error@+2 {{convolution in 2 groups of more than one channel needs a known number of windows, got [2, T]}}
  // expected-error@+1 {{failed to infer returned types}}
  %y = lm.convolution %x, %w {groups = 2 : i64, pad_low = array<i64: 1>, pad_high = array<i64: 1>} : (tensor<2x?x4xf32, #lm.dims<"T">>, tensor<3x2x4xf32>) -> tensor<2x?x4xf32, #lm.dims<"T">>
  return %y : tensor<2x?x4xf32, #lm.dims<"T">>
}
