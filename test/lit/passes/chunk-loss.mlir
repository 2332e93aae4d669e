// RUN: lmc-opt %s -lm-chunk-loss=rows=2 -split-input-file | FileCheck %s
// RUN: lmc-opt %s -lm-chunk-loss -split-input-file | FileCheck %s --check-prefix=WHOLE
// RUN: lmc-opt %s -lm-chunk-loss="rows=2 explain" -split-input-file -o /dev/null 2>&1 | FileCheck %s --check-prefix=SAYS
// RUN: lmc-opt %s -lm-chunk-loss=rows=2 -lm-fuse-kernels -lm-verify-phase=phase=kernels -split-input-file -o /dev/null

// Small logits stay whole.
// WHOLE-NOT:     lm.slice
// WHOLE-NOT:     lm.concat

// Three rows as two and one, one chunk after the other; the gradient of the table adds up in this
// order. Targets and rows of x are sliced, constants and index maps are made anew.
// CHECK-LABEL: func.func @step(
// CHECK-SAME:    %[[X:.*]]: tensor<1x3x4xf32>, %[[W:.*]]: tensor<5x4xf32>, %[[T:.*]]: tensor<1x3xi32>, %[[S:.*]]: tensor<f32>)
// CHECK-NOT:     3x5
// CHECK:         %[[FLATX:.*]] = lm.reshape %[[X]] : (tensor<1x3x4xf32>) -> tensor<3x4xf32>
// CHECK:         %[[FLATX2:.*]] = lm.reshape %[[X]] : (tensor<1x3x4xf32>) -> tensor<3x4xf32>
// CHECK-NOT:     3x5
// CHECK:         %[[X0:.*]] = lm.slice %[[FLATX2]] {dim = 0 : i64, size = 2 : i64, start = 0 : i64}
// CHECK:         %[[L0:.*]] = lm.matmul %[[X0]], %[[W]] {transpose_b} : {{.*}} -> tensor<2x5xf32>
// CHECK:         lm.reduce %[[L0]] {dims = array<i64: 1>, kind = "max"}
// CHECK:         %[[T0:.*]] = lm.slice %{{.*}} {dim = 0 : i64, size = 2 : i64, start = 0 : i64} : (tensor<3xi32>) -> tensor<2xi32>
// CHECK:         %[[LOSS0:.*]] = lm.sub {{.*}} -> tensor<2xf32>
// CHECK:         %[[DL0:.*]] = lm.mul {{.*}} -> tensor<2x5xf32>
// CHECK:         %[[DX0:.*]] = lm.matmul %[[DL0]], %[[W]] : {{.*}} -> tensor<2x4xf32>
// CHECK:         %[[DW0:.*]] = lm.matmul %[[DL0]], %[[X0S:.*]] {transpose_a} : {{.*}} -> tensor<5x4xf32>
// CHECK-NOT:     3x5
// CHECK:         %[[L1:.*]] = lm.matmul %{{.*}}, %[[W]] {transpose_b} : {{.*}} -> tensor<1x5xf32>
// CHECK:         %[[LOSS1:.*]] = lm.sub {{.*}} -> tensor<1xf32>
// CHECK:         %[[DX1:.*]] = lm.matmul %[[DL1:.*]], %[[W]] : {{.*}} -> tensor<1x4xf32>
// CHECK:         %[[DW1:.*]] = lm.matmul %[[DL1]], %{{.*}} {transpose_a} : {{.*}} -> tensor<5x4xf32>
// CHECK:         %[[DW:.*]] = lm.add %[[DW1]], %[[DW0]]
// CHECK-NOT:     3x5
// CHECK-DAG:     %[[LOSSES:.*]] = lm.concat %[[LOSS0]], %[[LOSS1]] {dim = 0 : i64} : {{.*}} -> tensor<3xf32>
// CHECK-DAG:     %[[DXS:.*]] = lm.concat %[[DX0]], %[[DX1]] {dim = 0 : i64} : {{.*}} -> tensor<3x4xf32>
// CHECK-DAG:     %[[LOSS:.*]] = lm.reshape %[[LOSSES]] : {{.*}} -> tensor<1x3xf32>
// CHECK-DAG:     %[[DX:.*]] = lm.reshape %[[DXS]] : {{.*}} -> tensor<1x3x4xf32>
// CHECK:         return %[[LOSS]], %[[DX]], %[[DW]]
// SAYS:          'head' is computed 2 of 3 rows at a time
func.func @step(%x: tensor<1x3x4xf32>, %w: tensor<5x4xf32>, %t: tensor<1x3xi32>, %s: tensor<f32>) -> (tensor<1x3xf32>, tensor<1x3x4xf32>, tensor<5x4xf32>) {
  %zero = lm.constant dense<0.0> : tensor<1x3x5xf32>
  %one = lm.constant dense<1.0> : tensor<1x3x5xf32>
  %l = lm.matmul %x, %w {transpose_b} : (tensor<1x3x4xf32>, tensor<5x4xf32>) -> tensor<1x3x5xf32> loc("head")
  %max = lm.reduce %l {dims = array<i64: 2>, kind = "max"} : (tensor<1x3x5xf32>) -> tensor<1x3xf32>
  %maxb = lm.broadcast %max {dims = array<i64: 0, 1>} : (tensor<1x3xf32>) -> tensor<1x3x5xf32>
  %c = lm.sub %l, %maxb : (tensor<1x3x5xf32>, tensor<1x3x5xf32>) -> tensor<1x3x5xf32>
  %e = lm.exp %c : (tensor<1x3x5xf32>) -> tensor<1x3x5xf32>
  %sum = lm.reduce %e {dims = array<i64: 2>, kind = "sum"} : (tensor<1x3x5xf32>) -> tensor<1x3xf32>
  %log = lm.log %sum : (tensor<1x3xf32>) -> tensor<1x3xf32>
  %lse = lm.add %log, %max : (tensor<1x3xf32>, tensor<1x3xf32>) -> tensor<1x3xf32>
  %columns = lm.iota {dim = 2 : i64} : () -> tensor<1x3x5xi32>
  %tb = lm.broadcast %t {dims = array<i64: 0, 1>} : (tensor<1x3xi32>) -> tensor<1x3x5xi32>
  %is = lm.compare %columns, %tb {predicate = "eq"} : (tensor<1x3x5xi32>, tensor<1x3x5xi32>) -> tensor<1x3x5xi1>
  %p = lm.select %is, %l, %zero : (tensor<1x3x5xi1>, tensor<1x3x5xf32>, tensor<1x3x5xf32>) -> tensor<1x3x5xf32>
  %picked = lm.reduce %p {dims = array<i64: 2>, kind = "sum"} : (tensor<1x3x5xf32>) -> tensor<1x3xf32>
  %loss = lm.sub %lse, %picked : (tensor<1x3xf32>, tensor<1x3xf32>) -> tensor<1x3xf32>
  %lseb = lm.broadcast %lse {dims = array<i64: 0, 1>} : (tensor<1x3xf32>) -> tensor<1x3x5xf32>
  %d = lm.sub %l, %lseb : (tensor<1x3x5xf32>, tensor<1x3x5xf32>) -> tensor<1x3x5xf32>
  %q = lm.exp %d : (tensor<1x3x5xf32>) -> tensor<1x3x5xf32>
  %hot = lm.select %is, %one, %zero : (tensor<1x3x5xi1>, tensor<1x3x5xf32>, tensor<1x3x5xf32>) -> tensor<1x3x5xf32>
  %r = lm.sub %q, %hot : (tensor<1x3x5xf32>, tensor<1x3x5xf32>) -> tensor<1x3x5xf32>
  %dloss = lm.broadcast %s {dims = array<i64>} : (tensor<f32>) -> tensor<1x3xf32>
  %dlossb = lm.broadcast %dloss {dims = array<i64: 0, 1>} : (tensor<1x3xf32>) -> tensor<1x3x5xf32>
  %dl = lm.mul %r, %dlossb : (tensor<1x3x5xf32>, tensor<1x3x5xf32>) -> tensor<1x3x5xf32>
  %dx = lm.matmul %dl, %w : (tensor<1x3x5xf32>, tensor<5x4xf32>) -> tensor<1x3x4xf32>
  %flat = lm.reshape %dl : (tensor<1x3x5xf32>) -> tensor<3x5xf32>
  %flatx = lm.reshape %x : (tensor<1x3x4xf32>) -> tensor<3x4xf32>
  %dw = lm.matmul %flat, %flatx {transpose_a} : (tensor<3x5xf32>, tensor<3x4xf32>) -> tensor<5x4xf32>
  return %loss, %dx, %dw : tensor<1x3xf32>, tensor<1x3x4xf32>, tensor<5x4xf32>
}

// -----

// A head of the other layout with a bias, forward alone: only the loss comes out.
// CHECK-LABEL: func.func @eval
// CHECK:         lm.matmul {{.*}} -> tensor<2x7xf32>
// CHECK:         lm.add {{.*}} -> tensor<2x7xf32>
// CHECK:         lm.matmul {{.*}} -> tensor<2x7xf32>
// CHECK:         lm.matmul {{.*}} -> tensor<1x7xf32>
// CHECK:         lm.concat {{.*}} -> tensor<5xf32>
// CHECK-NOT:     5x7
// CHECK:         return
func.func @eval(%x: tensor<5x4xf32>, %w: tensor<4x7xf32>, %b: tensor<7xf32>) -> tensor<5xf32> {
  %m = lm.matmul %x, %w : (tensor<5x4xf32>, tensor<4x7xf32>) -> tensor<5x7xf32>
  %bb = lm.broadcast %b {dims = array<i64: 1>} : (tensor<7xf32>) -> tensor<5x7xf32>
  %l = lm.add %m, %bb : (tensor<5x7xf32>, tensor<5x7xf32>) -> tensor<5x7xf32>
  %sum = lm.reduce %l {dims = array<i64: 1>, kind = "sum"} : (tensor<5x7xf32>) -> tensor<5xf32>
  return %sum : tensor<5xf32>
}

// -----

// The logits are returned.
// CHECK-LABEL: func.func @returned
// CHECK-NOT:     lm.slice
// SAYS:          'head' is not computed in chunks of rows: {{.*}} (func.return) reads whole columns of it
func.func @returned(%x: tensor<5x4xf32>, %w: tensor<4x7xf32>) -> (tensor<5x7xf32>, tensor<5xf32>) {
  %l = lm.matmul %x, %w : (tensor<5x4xf32>, tensor<4x7xf32>) -> tensor<5x7xf32> loc("head")
  %sum = lm.reduce %l {dims = array<i64: 1>, kind = "sum"} : (tensor<5x7xf32>) -> tensor<5xf32>
  return %l, %sum : tensor<5x7xf32>, tensor<5xf32>
}

// -----

// A feed-forward block has no loss.
// CHECK-LABEL: func.func @block
// CHECK-NOT:     lm.slice
// SAYS:          'up' is not computed in chunks of rows: no loss reduces its rows
// SAYS:          'down' is not computed in chunks of rows: {{.*}} (func.return)
func.func @block(%x: tensor<5x4xf32>, %w: tensor<4x7xf32>, %v: tensor<7x4xf32>) -> tensor<5x4xf32> {
  %u = lm.matmul %x, %w : (tensor<5x4xf32>, tensor<4x7xf32>) -> tensor<5x7xf32> loc("up")
  %a = lm.tanh %u : (tensor<5x7xf32>) -> tensor<5x7xf32>
  %y = lm.matmul %a, %v : (tensor<5x7xf32>, tensor<7x4xf32>) -> tensor<5x4xf32> loc("down")
  return %y : tensor<5x4xf32>
}

// -----

// The adjoint needs the mean over all rows before the first can go on.
// CHECK-LABEL: func.func @coupled
// CHECK-NOT:     lm.slice
// SAYS:          'head' is not computed in chunks of rows: 'scaled' (lm.broadcast) needs something of all rows first
func.func @coupled(%x: tensor<5x4xf32>, %w: tensor<4x7xf32>) -> tensor<5x4xf32> {
  %l = lm.matmul %x, %w : (tensor<5x4xf32>, tensor<4x7xf32>) -> tensor<5x7xf32> loc("head")
  %sum = lm.reduce %l {dims = array<i64: 1>, kind = "sum"} : (tensor<5x7xf32>) -> tensor<5xf32>
  %all = lm.reduce %sum {dims = array<i64: 0>, kind = "sum"} : (tensor<5xf32>) -> tensor<f32>
  %b = lm.broadcast %all {dims = array<i64>} : (tensor<f32>) -> tensor<5x7xf32> loc("scaled")
  %d = lm.mul %l, %b : (tensor<5x7xf32>, tensor<5x7xf32>) -> tensor<5x7xf32>
  %dx = lm.matmul %d, %w {transpose_b} : (tensor<5x7xf32>, tensor<4x7xf32>) -> tensor<5x4xf32>
  return %dx : tensor<5x4xf32>
}

// -----

// Another value of the logits' width comes from outside.
// CHECK-LABEL: func.func @beside
// CHECK-NOT:     lm.slice
// SAYS:          'head' is not computed in chunks of rows: 'sum' (lm.add) reads another value of its width
func.func @beside(%x: tensor<5x4xf32>, %w: tensor<4x7xf32>, %i: tensor<5xi32>, %o: tensor<9x7xf32>) -> tensor<5xf32> {
  %r = lm.gather %o, %i : (tensor<9x7xf32>, tensor<5xi32>) -> tensor<5x7xf32>
  %m = lm.matmul %x, %w : (tensor<5x4xf32>, tensor<4x7xf32>) -> tensor<5x7xf32> loc("head")
  %l = lm.add %m, %r : (tensor<5x7xf32>, tensor<5x7xf32>) -> tensor<5x7xf32> loc("sum")
  %sum = lm.reduce %l {dims = array<i64: 1>, kind = "sum"} : (tensor<5x7xf32>) -> tensor<5xf32>
  return %sum : tensor<5xf32>
}
