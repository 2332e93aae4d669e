// RUN: lmc-opt %s -lm-fuse-kernels -split-input-file | FileCheck %s
// RUN: lmc-opt %s -lm-fuse-kernels -lm-verify-phase=phase=kernels -split-input-file

// Bias, activation and residual go into the product that makes what they read. The activation is
// recomputed in the backward from the product's own result: its derivative is never stored.
// CHECK-LABEL: func.func @epilogues
// CHECK:         %[[UP:.*]]:2 = lm.kernel "matmul"(%arg0, %arg1, %arg2)
// CHECK:           %[[M:.*]] = lm.matmul
// CHECK:           lm.add
// CHECK:           lm.tanh
// CHECK:           %[[A:.*]] = lm.mul
// CHECK:           lm.yield %[[M]], %[[A]] :
// CHECK:         %[[Y:.*]] = lm.kernel "matmul"(%[[UP]]#1, %arg3, %arg4)
// CHECK-NEXT:    ^bb0
// CHECK-NEXT:      lm.matmul
// CHECK-NEXT:      %[[R:.*]] = lm.add
// CHECK-NEXT:      lm.yield %[[R]] :
// CHECK:         %[[DH:.*]] = lm.kernel "matmul"(%arg5, %arg3, %[[UP]]#0, %arg2)
// CHECK:           lm.matmul {{.*}} {transpose_b}
// CHECK:           lm.tanh
// CHECK:           lm.yield %{{.*}} : tensor<3x6xf32>
// CHECK:         return %[[Y]], %[[DH]]
func.func @epilogues(%x: tensor<3x4xf32>, %w: tensor<4x6xf32>, %b: tensor<6xf32>, %w2: tensor<6x4xf32>, %r: tensor<3x4xf32>, %dy: tensor<3x4xf32>) -> (tensor<3x4xf32>, tensor<3x6xf32>) {
  %m = lm.matmul %x, %w : (tensor<3x4xf32>, tensor<4x6xf32>) -> tensor<3x6xf32>
  %bb = lm.broadcast %b {dims = array<i64: 1>} : (tensor<6xf32>) -> tensor<3x6xf32>
  %h = lm.add %m, %bb : (tensor<3x6xf32>, tensor<3x6xf32>) -> tensor<3x6xf32>
  %t = lm.tanh %h : (tensor<3x6xf32>) -> tensor<3x6xf32>
  %a = lm.mul %t, %h : (tensor<3x6xf32>, tensor<3x6xf32>) -> tensor<3x6xf32>
  %m2 = lm.matmul %a, %w2 : (tensor<3x6xf32>, tensor<6x4xf32>) -> tensor<3x4xf32>
  %y = lm.add %m2, %r : (tensor<3x4xf32>, tensor<3x4xf32>) -> tensor<3x4xf32>
  %da = lm.matmul %dy, %w2 {transpose_b} : (tensor<3x4xf32>, tensor<6x4xf32>) -> tensor<3x6xf32>
  %tt = lm.mul %t, %t : (tensor<3x6xf32>, tensor<3x6xf32>) -> tensor<3x6xf32>
  %dh = lm.mul %da, %tt : (tensor<3x6xf32>, tensor<3x6xf32>) -> tensor<3x6xf32>
  return %y, %dh : tensor<3x4xf32>, tensor<3x6xf32>
}

// -----

// A norm is one row kernel. The reductions that the backward needs are stored, a number a row; the
// normalised rows are not, the backward recomputes them.
// CHECK-LABEL: func.func @norm
// CHECK:         %[[FORWARD:.*]]:2 = lm.kernel "row"(%arg0)
// CHECK:           %[[S:.*]] = lm.reduce {{.*}} {dims = array<i64: 1>, kind = "sum"}
// CHECK:           lm.rsqrt
// CHECK:           %[[N:.*]] = lm.mul
// CHECK:           lm.yield %[[S]], %[[N]] : tensor<3xf32>, tensor<3x5xf32>
// CHECK:         lm.kernel "matmul"
// Both column reductions read dy: side by side in one kernel.
// CHECK:         %[[SUMS:.*]]:2 = lm.kernel "column"(%{{.*}}, %[[FORWARD]]#0)
// CHECK:           lm.reduce {{.*}} {dims = array<i64: 0>, kind = "sum"}
// CHECK:           lm.rsqrt
// CHECK:           lm.reduce {{.*}} {dims = array<i64: 0>, kind = "sum"}
// CHECK:           lm.yield %{{.*}}, %{{.*}} : tensor<5xf32>, tensor<5xf32>
func.func @norm(%x: tensor<3x5xf32>, %w: tensor<5x5xf32>) -> (tensor<5xf32>, tensor<5xf32>) {
  %sq = lm.mul %x, %x : (tensor<3x5xf32>, tensor<3x5xf32>) -> tensor<3x5xf32>
  %s = lm.reduce %sq {dims = array<i64: 1>, kind = "sum"} : (tensor<3x5xf32>) -> tensor<3xf32>
  %inv = lm.rsqrt %s : (tensor<3xf32>) -> tensor<3xf32>
  %ib = lm.broadcast %inv {dims = array<i64: 0>} : (tensor<3xf32>) -> tensor<3x5xf32>
  %n = lm.mul %x, %ib : (tensor<3x5xf32>, tensor<3x5xf32>) -> tensor<3x5xf32>
  %dy = lm.matmul %n, %w : (tensor<3x5xf32>, tensor<5x5xf32>) -> tensor<3x5xf32>
  %db = lm.reduce %dy {dims = array<i64: 0>, kind = "sum"} : (tensor<3x5xf32>) -> tensor<5xf32>
  %p = lm.mul %dy, %ib : (tensor<3x5xf32>, tensor<3x5xf32>) -> tensor<3x5xf32>
  %dw = lm.reduce %p {dims = array<i64: 0>, kind = "sum"} : (tensor<3x5xf32>) -> tensor<5xf32>
  return %db, %dw : tensor<5xf32>, tensor<5xf32>
}

// -----

// A reshape is a view between kernels, slices and transposes are read inside them.
// CHECK-LABEL: func.func @views
// CHECK:         %[[K:.*]] = lm.kernel "map"(%arg0, %arg1)
// CHECK:           lm.slice
// CHECK:         %[[V:.*]] = lm.reshape %[[K]] : (tensor<3x4xf32>) -> tensor<12xf32>
// CHECK:         return %[[V]]
func.func @views(%x: tensor<3x8xf32>, %z: tensor<4x3xf32>) -> tensor<12xf32> {
  %a = lm.slice %x {dim = 1, start = 4, size = 4} : (tensor<3x8xf32>) -> tensor<3x4xf32>
  %t = lm.transpose %z {permutation = array<i64: 1, 0>} : (tensor<4x3xf32>) -> tensor<3x4xf32>
  %y = lm.add %a, %t : (tensor<3x4xf32>, tensor<3x4xf32>) -> tensor<3x4xf32>
  %v = lm.reshape %y : (tensor<3x4xf32>) -> tensor<12xf32>
  return %v : tensor<12xf32>
}

// -----

// Attention, gather and scatter_add are kernels of their own; the log-sum-exp is always written.
// CHECK-LABEL: func.func @heavy
// CHECK:         %[[G:.*]] = lm.kernel "gather"(%arg0, %arg1)
// CHECK:         %[[S:.*]] = lm.kernel "scatter"(%arg1, %[[G]])
// CHECK:         %{{.*}}:2 = lm.kernel "attention"(%arg2)
func.func @heavy(%t: tensor<7x4xf32>, %i: tensor<5xi32>, %q: tensor<1x3x2x4xf32>) -> (tensor<7x4xf32>, tensor<1x3x2x4xf32>) {
  %g = lm.gather %t, %i : (tensor<7x4xf32>, tensor<5xi32>) -> tensor<5x4xf32>
  %s = lm.scatter_add %i, %g : (tensor<5xi32>, tensor<5x4xf32>) -> tensor<7x4xf32>
  %out, %lse = lm.attention %q, %q, %q {causal, scale = 0.5 : f64} : (tensor<1x3x2x4xf32>, tensor<1x3x2x4xf32>, tensor<1x3x2x4xf32>) -> (tensor<1x3x2x4xf32>, tensor<1x3x2xf32>)
  return %s, %out : tensor<7x4xf32>, tensor<1x3x2x4xf32>
}

// -----

// What nobody reads is no kernel.
// CHECK-LABEL: func.func @dead
// CHECK-NEXT:    return
func.func @dead(%x: tensor<3xf32>) -> tensor<3xf32> {
  %y = lm.reduce %x {dims = array<i64: 0>, kind = "sum"} : (tensor<3xf32>) -> tensor<f32>
  %z = lm.exp %y : (tensor<f32>) -> tensor<f32>
  return %x : tensor<3xf32>
}
