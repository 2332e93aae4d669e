// RUN: lmc-opt %s -split-input-file -verify-diagnostics | lmc-opt -split-input-file | FileCheck %s

// CHECK-LABEL: func.func @compare_0
// CHECK: lm.compare %{{.*}}, %{{.*}} {predicate = "lt"} : (tensor<3x5xf32>, tensor<3x5xf32>) -> tensor<3x5xi1>
func.func @compare_0(%x: tensor<3x5xf32>, %z: tensor<3x5xf32>) -> tensor<3x5xi1> {
  %y = lm.compare %x, %z {predicate = "lt"} : (tensor<3x5xf32>, tensor<3x5xf32>) -> tensor<3x5xi1>
  return %y : tensor<3x5xi1>
}

// -----

func.func @refused(%x: tensor<3x5xf32>, %z: tensor<3x5xf32>) -> tensor<3x5xi1> {
  // expected-error@+1 {{predicate must be eq, lt, le, gt or ge, got 'ne'}}
  %y = lm.compare %x, %z {predicate = "ne"} : (tensor<3x5xf32>, tensor<3x5xf32>) -> tensor<3x5xi1>
  return %y : tensor<3x5xi1>
}

// -----

func.func @refused(%x: tensor<3x5xf32>, %z: tensor<5x3xf32>) -> tensor<3x5xi1> {
  // expected-error@+2 {{operands must have one type, got 'tensor<3x5xf32>' and 'tensor<5x3xf32>'; broadcast or convert explicitly}}
  // expected-error@+1 {{failed to infer returned types}}
  %y = lm.compare %x, %z {predicate = "lt"} : (tensor<3x5xf32>, tensor<5x3xf32>) -> tensor<3x5xi1>
  return %y : tensor<3x5xi1>
}
