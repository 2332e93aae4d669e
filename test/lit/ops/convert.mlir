// RUN: lmc-opt %s -split-input-file -verify-diagnostics | lmc-opt -split-input-file | FileCheck %s

// CHECK-LABEL: func.func @convert_0
// CHECK: lm.convert %{{.*}} : (tensor<3x5xf32>) -> tensor<3x5xbf16>
func.func @convert_0(%x: tensor<3x5xf32>) -> tensor<3x5xbf16> {
  %y = lm.convert %x : (tensor<3x5xf32>) -> tensor<3x5xbf16>
  return %y : tensor<3x5xbf16>
}

// -----

// CHECK-LABEL: func.func @convert_1
// CHECK: lm.convert %{{.*}} : (tensor<3x5xi32>) -> tensor<3x5xf32>
func.func @convert_1(%x: tensor<3x5xi32>) -> tensor<3x5xf32> {
  %y = lm.convert %x : (tensor<3x5xi32>) -> tensor<3x5xf32>
  return %y : tensor<3x5xf32>
}

// -----

func.func @refused(%x: tensor<3x5xf32>) -> tensor<5x3xbf16> {
  // expected-error@+1 {{changes the shape from [3, 5] to [5, 3]}}
  %y = lm.convert %x : (tensor<3x5xf32>) -> tensor<5x3xbf16>
  return %y : tensor<5x3xbf16>
}
