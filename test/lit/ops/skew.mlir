// RUN: lmc-opt %s -split-input-file -verify-diagnostics | lmc-opt -split-input-file | FileCheck %s

// CHECK-LABEL: func.func @windows
// CHECK: lm.skew %{{.*}} {by = 2 : i64, dim = 1 : i64, slope = 1 : i64, start = -3 : i64} : (tensor<2x7x4x3xf32>) -> tensor<2x7x4x3xf32>
func.func @windows(%x: tensor<2x7x4x3xf32>) -> tensor<2x7x4x3xf32> {
  %y = lm.skew %x {dim = 1 : i64, by = 2 : i64, slope = 1 : i64, start = -3 : i64} : (tensor<2x7x4x3xf32>) -> tensor<2x7x4x3xf32>
  return %y : tensor<2x7x4x3xf32>
}

// -----

// CHECK-LABEL: func.func @lowest
// CHECK: lm.skew %{{.*}} {by = 0 : i64, dim = 1 : i64, every = 2 : i64, outside = "lowest", step = 3 : i64} : (tensor<2x7xi32>) -> tensor<2x4xi32>
func.func @lowest(%x: tensor<2x7xi32>) -> tensor<2x4xi32> {
  %y = lm.skew %x {dim = 1 : i64, by = 0 : i64, step = 3 : i64, every = 2 : i64, outside = "lowest"} : (tensor<2x7xi32>) -> tensor<2x4xi32>
  return %y : tensor<2x4xi32>
}

// -----

func.func @refused(%x: tensor<2x7xf32>) -> tensor<2x7xf32> {
  // expected-error@+1 {{'lm.skew' op needs two dimensions of [2, 7], got 1 and 1}}
  %y = lm.skew %x {dim = 1 : i64, by = 1 : i64, slope = 1 : i64} : (tensor<2x7xf32>) -> tensor<2x7xf32>
  return %y : tensor<2x7xf32>
}

// -----

func.func @refused(%x: tensor<2x7xf32>) -> tensor<2x7xf32> {
  // expected-error@+1 {{'lm.skew' op needs two dimensions of [2, 7], got 1 and 2}}
  %y = lm.skew %x {dim = 1 : i64, by = 2 : i64, slope = 1 : i64} : (tensor<2x7xf32>) -> tensor<2x7xf32>
  return %y : tensor<2x7xf32>
}

// -----

func.func @refused(%x: tensor<2x7xf32>) -> tensor<3x7xf32> {
  // expected-error@+1 {{'lm.skew' op of [2, 7] changes more than dimension 1: [3, 7]}}
  %y = lm.skew %x {dim = 1 : i64, by = 0 : i64, slope = 1 : i64} : (tensor<2x7xf32>) -> tensor<3x7xf32>
  return %y : tensor<3x7xf32>
}

// -----

func.func @refused(%x: tensor<2x7xf32>) -> tensor<14xf32> {
  // expected-error@+1 {{'lm.skew' op of [2, 7] changes more than dimension 1: [14]}}
  %y = lm.skew %x {dim = 1 : i64, by = 0 : i64, slope = 1 : i64} : (tensor<2x7xf32>) -> tensor<14xf32>
  return %y : tensor<14xf32>
}

// -----

func.func @refused(%x: tensor<2x7xf32>) -> tensor<2x7xf64> {
  // expected-error@+1 {{'lm.skew' op changes the element type}}
  %y = lm.skew %x {dim = 1 : i64, by = 0 : i64, slope = 1 : i64} : (tensor<2x7xf32>) -> tensor<2x7xf64>
  return %y : tensor<2x7xf64>
}

// -----

func.func @refused(%x: tensor<2x7xf32>) -> tensor<2x7xf32> {
  // expected-error@+1 {{'lm.skew' op needs step and every of 1 or more and no number of 2^31 or more, got 1, 0, slope 1, start 0}}
  %y = lm.skew %x {dim = 1 : i64, by = 0 : i64, slope = 1 : i64, every = 0 : i64} : (tensor<2x7xf32>) -> tensor<2x7xf32>
  return %y : tensor<2x7xf32>
}

// -----

func.func @refused(%x: tensor<2x7xf32>) -> tensor<2x7xf32> {
  // expected-error@+1 {{got 1, 1, slope -9223372036854775808, start 0}}
  %y = lm.skew %x {dim = 1 : i64, by = 0 : i64, slope = -9223372036854775808 : i64} : (tensor<2x7xf32>) -> tensor<2x7xf32>
  return %y : tensor<2x7xf32>
}

// -----

func.func @refused(%x: tensor<2x7xf32>) -> tensor<2x7xf32> {
  // expected-error@+1 {{'lm.skew' op outside must be zero or lowest, got 'edge'}}
  %y = lm.skew %x {dim = 1 : i64, by = 0 : i64, slope = 1 : i64, outside = "edge"} : (tensor<2x7xf32>) -> tensor<2x7xf32>
  return %y : tensor<2x7xf32>
}
