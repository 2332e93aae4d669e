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

// -----

// A slice of leading dimensions of what is stored, at a multiple of 64 bytes, is no part of a kernel,
// and parts that are stored are written where the whole lies. Both products are one kernel.
// CHECK-LABEL: func.func @views
// CHECK:         %[[HIGH:.*]] = lm.slice %arg0 {dim = 0 : i64, size = 4 : i64, start = 4 : i64}
// CHECK:         %[[Y1:.*]] = lm.kernel "matmul"(%[[HIGH]], %arg1)
// CHECK:         %[[LOW:.*]] = lm.slice %arg0 {dim = 0 : i64, size = 4 : i64, start = 0 : i64}
// CHECK:         %[[Y0:.*]] = lm.kernel "matmul"(%[[LOW]], %arg1)
// CHECK:         %[[Y:.*]] = lm.concat %[[Y1]], %[[Y0]]
// CHECK-NEXT:    %[[E:.*]] = lm.kernel "map"(%[[Y]])
// CHECK:         return %[[E]]
func.func @views(%x: tensor<8x4xf32>, %w: tensor<4x8xf32>) -> tensor<8x8xf32> {
  %1 = lm.slice %x {dim = 0 : i64, size = 4 : i64, start = 4 : i64} : (tensor<8x4xf32>) -> tensor<4x4xf32>
  %y1 = lm.matmul %1, %w : (tensor<4x4xf32>, tensor<4x8xf32>) -> tensor<4x8xf32>
  %0 = lm.slice %x {dim = 0 : i64, size = 4 : i64, start = 0 : i64} : (tensor<8x4xf32>) -> tensor<4x4xf32>
  %y0 = lm.matmul %0, %w : (tensor<4x4xf32>, tensor<4x8xf32>) -> tensor<4x8xf32>
  %y = lm.concat %y1, %y0 {dim = 0 : i64} : (tensor<4x8xf32>, tensor<4x8xf32>) -> tensor<8x8xf32>
  %e = lm.exp %y : (tensor<8x8xf32>) -> tensor<8x8xf32>
  return %e : tensor<8x8xf32>
}

// -----

// Elsewhere a slice is read through its strides, and a concatenation is computed where it is read.
// CHECK-LABEL: func.func @no_views
// CHECK-NEXT:    %[[Y1:.*]] = lm.kernel "matmul"(%arg0, %arg1)
// CHECK:           lm.slice
// CHECK:         %[[E:.*]] = lm.kernel "map"
// CHECK:           lm.concat
// CHECK:         return %[[E]]
func.func @no_views(%x: tensor<8x4xf32>, %w: tensor<4x3xf32>) -> tensor<6x3xf32> {
  %1 = lm.slice %x {dim = 0 : i64, size = 3 : i64, start = 2 : i64} : (tensor<8x4xf32>) -> tensor<3x4xf32>
  %y1 = lm.matmul %1, %w : (tensor<3x4xf32>, tensor<4x3xf32>) -> tensor<3x3xf32>
  %0 = lm.slice %x {dim = 0 : i64, size = 3 : i64, start = 0 : i64} : (tensor<8x4xf32>) -> tensor<3x4xf32>
  %y0 = lm.matmul %0, %w : (tensor<3x4xf32>, tensor<4x3xf32>) -> tensor<3x3xf32>
  %y = lm.concat %y1, %y0 {dim = 0 : i64} : (tensor<3x3xf32>, tensor<3x3xf32>) -> tensor<6x3xf32>
  %e = lm.exp %y : (tensor<6x3xf32>) -> tensor<6x3xf32>
  return %e : tensor<6x3xf32>
}

// -----

// The second product adds to the first's sum in place. The scatter comes last: with its result as an
// epilogue the product would wait, and %d with it.
// CHECK-LABEL: func.func @sum
// CHECK:         %[[D:.*]] = lm.kernel "gather"
// CHECK:         %[[W0:.*]] = lm.kernel "matmul"(%[[D]], %arg0)
// CHECK:         %[[W1:.*]] = lm.kernel "matmul"(%[[D]], %arg1, %[[W0]])
// CHECK:         %[[S:.*]] = lm.kernel "scatter"
// CHECK:         lm.kernel "map"({{.*}}%[[W1]]
func.func @sum(%x: tensor<3x4xf32>, %y: tensor<3x4xf32>, %t: tensor<9x5xf32>, %i: tensor<3xi32>, %j: tensor<3xi32>) -> tensor<5x4xf32> {
  %d = lm.gather %t, %i : (tensor<9x5xf32>, tensor<3xi32>) -> tensor<3x5xf32>
  %w0 = lm.matmul %d, %x {transpose_a} : (tensor<3x5xf32>, tensor<3x4xf32>) -> tensor<5x4xf32>
  %m1 = lm.matmul %d, %y {transpose_a} : (tensor<3x5xf32>, tensor<3x4xf32>) -> tensor<5x4xf32>
  %w1 = lm.add %m1, %w0 : (tensor<5x4xf32>, tensor<5x4xf32>) -> tensor<5x4xf32>
  %s = lm.scatter_add %j, %y : (tensor<3xi32>, tensor<3x4xf32>) -> tensor<5x4xf32>
  %w = lm.add %w1, %s : (tensor<5x4xf32>, tensor<5x4xf32>) -> tensor<5x4xf32>
  return %w : tensor<5x4xf32>
}

// -----

// A causal convolution of each channel is one map, with what is in front of it and behind it: windows
// of 4 are read where they lie.
// CHECK-LABEL: func.func @causal_convolution
// CHECK-NEXT:    %[[Y:.*]] = lm.kernel "map"(%arg0, %arg1, %arg2)
// CHECK:           lm.neg
// CHECK:           lm.broadcast
// CHECK:           lm.skew
// CHECK:           lm.reduce
// CHECK:           lm.add
// CHECK:           lm.tanh
// CHECK-NEXT:      lm.yield
// CHECK:         return %[[Y]]
!x = tensor<2x?x5xf32, #lm.dims<"T">>
!windows = tensor<2x?x4x5xf32, #lm.dims<"T">>
func.func @causal_convolution(%x: !x, %w: tensor<4x5xf32>, %b: tensor<5xf32>) -> !x attributes {lm.ranges = {T = array<i64: 1, 40>}} {
  %e = lm.neg %x : (!x) -> !x
  %r = lm.broadcast %e {dims = array<i64: 0, 1, 3>} : (!x) -> !windows
  %s = lm.skew %r {dim = 1 : i64, by = 2 : i64, slope = 1 : i64, start = -3 : i64} : (!windows) -> !windows
  %t = lm.broadcast %w {dims = array<i64: 2, 3>} : (tensor<4x5xf32>) -> !windows
  %m = lm.mul %s, %t : (!windows, !windows) -> !windows
  %y = lm.reduce %m {dims = array<i64: 2>, kind = "sum"} : (!windows) -> !x
  %c = lm.broadcast %b {dims = array<i64: 2>} : (tensor<5xf32>) -> !x
  %a = lm.add %y, %c : (!x, !x) -> !x
  %z = lm.tanh %a : (!x) -> !x
  return %z : !x
}

// -----

// An exponential is computed once, not for each window that it lies in.
// CHECK-LABEL: func.func @dear
// CHECK-NEXT:    %[[E:.*]] = lm.kernel "map"(%arg0)
// CHECK:           lm.exp
// CHECK:         lm.kernel "map"(%[[E]])
// CHECK-NOT:       lm.exp
// CHECK:           lm.reduce
func.func @dear(%x: tensor<2x7x5xf32>) -> tensor<2x7x5xf32> {
  %e = lm.exp %x : (tensor<2x7x5xf32>) -> tensor<2x7x5xf32>
  %z = lm.neg %e : (tensor<2x7x5xf32>) -> tensor<2x7x5xf32>
  %r = lm.broadcast %z {dims = array<i64: 0, 1, 3>} : (tensor<2x7x5xf32>) -> tensor<2x7x3x5xf32>
  %s = lm.skew %r {dim = 1 : i64, by = 2 : i64, slope = 1 : i64, start = -1 : i64} : (tensor<2x7x3x5xf32>) -> tensor<2x7x3x5xf32>
  %y = lm.reduce %s {dims = array<i64: 2>, kind = "sum"} : (tensor<2x7x3x5xf32>) -> tensor<2x7x5xf32>
  return %y : tensor<2x7x5xf32>
}

// -----

// So is a maximum over squares, and the way back: of windows that overlap each element gathers its own.
// CHECK-LABEL: func.func @max_pool
// CHECK-NEXT:    lm.kernel "map"(%arg0)
// CHECK:           lm.reduce {{.*}} {dims = array<i64: 2, 4>, kind = "max"}
// CHECK:         lm.kernel "map"(%arg0, %{{.*}}, %arg1)
// CHECK:           lm.compare
// CHECK:           lm.reduce {{.*}} {dims = array<i64: 2, 4>, kind = "sum"}
// CHECK-NEXT:      lm.yield
// CHECK:         return
!image = tensor<2x9x7x5xf32>
!pool = tensor<2x4x6x5xf32>
!taps = tensor<2x4x3x6x2x5xf32>
func.func @max_pool(%x: !image, %dy: !pool) -> (!pool, !image) {
  %r = lm.broadcast %x {dims = array<i64: 0, 1, 3, 5>} : (!image) -> tensor<2x9x3x7x2x5xf32>
  %h = lm.skew %r {dim = 1 : i64, by = 2 : i64, step = 2 : i64, slope = 1 : i64, outside = "lowest"} : (tensor<2x9x3x7x2x5xf32>) -> tensor<2x4x3x7x2x5xf32>
  %s = lm.skew %h {dim = 3 : i64, by = 4 : i64, slope = 1 : i64, outside = "lowest"} : (tensor<2x4x3x7x2x5xf32>) -> !taps
  %y = lm.reduce %s {dims = array<i64: 2, 4>, kind = "max"} : (!taps) -> !pool
  %yb = lm.broadcast %y {dims = array<i64: 0, 1, 3, 5>} : (!pool) -> !taps
  %db = lm.broadcast %dy {dims = array<i64: 0, 1, 3, 5>} : (!pool) -> !taps
  %0 = lm.constant dense<0.0> : !taps
  %c = lm.compare %s, %yb {predicate = "eq"} : (!taps, !taps) -> tensor<2x4x3x6x2x5xi1>
  %d = lm.select %c, %db, %0 : (tensor<2x4x3x6x2x5xi1>, !taps, !taps) -> !taps
  %dw = lm.skew %d {dim = 3 : i64, by = 4 : i64, slope = -1 : i64} : (!taps) -> tensor<2x4x3x7x2x5xf32>
  %dh = lm.skew %dw {dim = 1 : i64, by = 2 : i64, slope = -1 : i64, every = 2 : i64} : (tensor<2x4x3x7x2x5xf32>) -> tensor<2x9x3x7x2x5xf32>
  %dx = lm.reduce %dh {dims = array<i64: 2, 4>, kind = "sum"} : (tensor<2x9x3x7x2x5xf32>) -> !image
  return %y, %dx : !pool, !image
}
