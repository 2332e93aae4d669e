// The sum of the loss may be scheduled behind the backward pass: it does not end the forward pass.
// RUN: lmc-opt %s -lm-recompute="limit=10900" | FileCheck %s
// CHECK-LABEL: func.func @loss
// CHECK:      %[[H:.*]] = lm.kernel "matmul"(%arg0, %arg1)
// CHECK:      lm.kernel "matmul"(%[[H]], %arg2)
// CHECK:      %[[AGAIN:.*]] = lm.kernel "matmul"(%arg0, %arg1)
// CHECK:      %[[DV:.*]] = lm.kernel "matmul"(%[[AGAIN]],
// CHECK:      %[[SUM:.*]] = lm.kernel "row"
// CHECK:      lm.kernel "map"(%[[SUM]])
func.func @loss(%x: tensor<16x4xf32> {lm.name = "x", lm.role = "input"},
                %w: tensor<4x64xf32> {lm.name = "w", lm.role = "parameter"},
                %v: tensor<64x4xf32> {lm.name = "v", lm.role = "parameter"})
    -> (tensor<f32> {lm.name = "loss", lm.role = "output"}, tensor<64x4xf32> {lm.name = "dv", lm.role = "output"}) {
  %h = lm.kernel "matmul"(%x, %w) : (tensor<16x4xf32>, tensor<4x64xf32>) -> tensor<16x64xf32> {
  ^bb0(%a: tensor<16x4xf32>, %b: tensor<4x64xf32>):
    %y = lm.matmul %a, %b : (tensor<16x4xf32>, tensor<4x64xf32>) -> tensor<16x64xf32>
    lm.yield %y : tensor<16x64xf32>
  }
  %s = lm.kernel "matmul"(%h, %v) : (tensor<16x64xf32>, tensor<64x4xf32>) -> tensor<16x4xf32> {
  ^bb0(%a: tensor<16x64xf32>, %b: tensor<64x4xf32>):
    %y = lm.matmul %a, %b : (tensor<16x64xf32>, tensor<64x4xf32>) -> tensor<16x4xf32>
    lm.yield %y : tensor<16x4xf32>
  }
  %t = lm.kernel "matmul"(%s, %w) : (tensor<16x4xf32>, tensor<4x64xf32>) -> tensor<16x64xf32> {
  ^bb0(%a: tensor<16x4xf32>, %b: tensor<4x64xf32>):
    %y = lm.matmul %a, %b : (tensor<16x4xf32>, tensor<4x64xf32>) -> tensor<16x64xf32>
    lm.yield %y : tensor<16x64xf32>
  }
  %u = lm.kernel "matmul"(%t, %v) : (tensor<16x64xf32>, tensor<64x4xf32>) -> tensor<16x4xf32> {
  ^bb0(%a: tensor<16x64xf32>, %b: tensor<64x4xf32>):
    %y = lm.matmul %a, %b : (tensor<16x64xf32>, tensor<64x4xf32>) -> tensor<16x4xf32>
    lm.yield %y : tensor<16x4xf32>
  }
  %dv = lm.kernel "matmul"(%h, %u) : (tensor<16x64xf32>, tensor<16x4xf32>) -> tensor<64x4xf32> {
  ^bb0(%a: tensor<16x64xf32>, %b: tensor<16x4xf32>):
    %y = lm.matmul %a, %b {transpose_a} : (tensor<16x64xf32>, tensor<16x4xf32>) -> tensor<64x4xf32>
    lm.yield %y : tensor<64x4xf32>
  }
  %sum = lm.kernel "row"(%u) : (tensor<16x4xf32>) -> tensor<f32> {
  ^bb0(%a: tensor<16x4xf32>):
    %y = lm.reduce %a {dims = array<i64: 0, 1>, kind = "sum"} : (tensor<16x4xf32>) -> tensor<f32>
    lm.yield %y : tensor<f32>
  }
  %l = lm.kernel "map"(%sum) : (tensor<f32>) -> tensor<f32> {
  ^bb0(%a: tensor<f32>):
    %y = lm.add %a, %a : (tensor<f32>, tensor<f32>) -> tensor<f32>
    lm.yield %y : tensor<f32>
  }
  return %l, %dv : tensor<f32>, tensor<64x4xf32>
}
