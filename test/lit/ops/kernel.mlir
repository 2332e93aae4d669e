// RUN: lmc-opt %s -split-input-file -verify-diagnostics | lmc-opt -split-input-file | FileCheck %s

// CHECK-LABEL: func.func @kernel_0
// CHECK: lm.kernel "map"(%{{.*}}) : (tensor<3x5xf32>) -> tensor<3x5xf32> {
// CHECK-NEXT: ^bb0(%{{.*}}: tensor<3x5xf32>):
// CHECK-NEXT: %{{.*}} = lm.exp %{{.*}} : (tensor<3x5xf32>) -> tensor<3x5xf32>
// CHECK-NEXT: lm.yield %{{.*}} : tensor<3x5xf32>
// CHECK-NEXT: }
func.func @kernel_0(%x: tensor<3x5xf32>) -> tensor<3x5xf32> {
  %y = lm.kernel "map"(%x) : (tensor<3x5xf32>) -> tensor<3x5xf32> {
  ^bb0(%k: tensor<3x5xf32>):
    %e = lm.exp %k : (tensor<3x5xf32>) -> tensor<3x5xf32>
    lm.yield %e : tensor<3x5xf32>
  }
  return %y : tensor<3x5xf32>
}

// -----

func.func @refused(%x: tensor<3x5xf32>) -> tensor<3x5xf32> {
  // expected-error@+1 {{block arguments differ from the inputs}}
  %y = lm.kernel "map"(%x) : (tensor<3x5xf32>) -> tensor<3x5xf32> {
  ^bb0(%k: tensor<3x5xf32>, %l: tensor<3x5xf32>):
    %e = lm.exp %k : (tensor<3x5xf32>) -> tensor<3x5xf32>
    lm.yield %e : tensor<3x5xf32>
  }
  return %y : tensor<3x5xf32>
}

// -----

func.func @refused(%x: tensor<3x5xf32>) -> tensor<5x3xf32> {
  // expected-error@+1 {{yields other types than its results}}
  %y = lm.kernel "map"(%x) : (tensor<3x5xf32>) -> tensor<5x3xf32> {
  ^bb0(%k: tensor<3x5xf32>):
    %e = lm.exp %k : (tensor<3x5xf32>) -> tensor<3x5xf32>
    lm.yield %e : tensor<3x5xf32>
  }
  return %y : tensor<5x3xf32>
}

// -----

func.func @refused(%x: tensor<3x5xf32>) -> tensor<3x5xf32> {
  // expected-error@+1 {{holds 'arith.constant', which no kernel can}}
  %y = lm.kernel "map"(%x) : (tensor<3x5xf32>) -> tensor<3x5xf32> {
  ^bb0(%k: tensor<3x5xf32>):
    %c = arith.constant 1 : index
    %e = lm.exp %k : (tensor<3x5xf32>) -> tensor<3x5xf32>
    lm.yield %e : tensor<3x5xf32>
  }
  return %y : tensor<3x5xf32>
}
