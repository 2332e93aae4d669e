// RUN: lmc-opt %s -lm-fuse-kernels -lm-join-kernels -split-input-file | FileCheck %s
// RUN: lmc-opt %s -lm-fuse-kernels -lm-join-kernels -lm-verify-phase=phase=kernels -split-input-file -o /dev/null
// RUN: lmc-opt %s -lm-fuse-kernels -lm-join-kernels=explain=true -split-input-file -o /dev/null 2>&1 | FileCheck %s --check-prefix=WHY
// RUN: lmc-opt %s -lm-fuse-kernels -lm-join-kernels=parameter-bytes=88 -split-input-file | FileCheck %s --check-prefix=SPLIT

// Two bodies, of which each has its segments one after the other: the shared number first, then what is
// each segment's own. An update of an argument is in place.
// CHECK-LABEL: func.func @maps
// CHECK:         %[[M:.*]]:5 = lm.kernel "map"(%arg5, %arg0, %arg1, %arg3, %arg2, %arg4)
// CHECK-SAME:      segments = array<i64: 3, 1, 1, 1, 2, 0, 1, 1>
// CHECK-NOT:     lm.kernel
// CHECK:         return %[[M]]#0, %[[M]]#1, %[[M]]#3, %[[M]]#2, %[[M]]#4
// WHY:           kernel 'a' and 4 more' (map) joins 5 launches of 2 bodies
// SPLIT-LABEL: func.func @maps
// SPLIT:         segments = array<i64: 3, 1, 1, 1, 1, 0, 1, 1>
// SPLIT:         lm.kernel "map"(%arg4) : (tensor<2xf32>)
func.func @maps(%a: tensor<3x7xf32> {lm.name = "a", lm.role = "parameter"}, %b: tensor<5xf32> {lm.name = "b", lm.role = "parameter"},
                %c: tensor<4x2xf32> {lm.name = "c", lm.role = "parameter"}, %d: tensor<9xf32> {lm.name = "d", lm.role = "parameter"},
                %e: tensor<2xf32> {lm.name = "e", lm.role = "parameter"}, %s: tensor<f32> {lm.name = "s", lm.role = "input"})
    -> (tensor<3x7xf32> {lm.updates = 0}, tensor<5xf32> {lm.updates = 1}, tensor<4x2xf32> {lm.updates = 2}, tensor<9xf32> {lm.updates = 3},
        tensor<2xf32> {lm.updates = 4}) {
  %sa = lm.broadcast %s {dims = array<i64>} : (tensor<f32>) -> tensor<3x7xf32>
  %ya = lm.mul %a, %sa : (tensor<3x7xf32>, tensor<3x7xf32>) -> tensor<3x7xf32> loc("a'")
  %sb = lm.broadcast %s {dims = array<i64>} : (tensor<f32>) -> tensor<5xf32>
  %yb = lm.mul %b, %sb : (tensor<5xf32>, tensor<5xf32>) -> tensor<5xf32> loc("b'")
  %yc = lm.tanh %c : (tensor<4x2xf32>) -> tensor<4x2xf32> loc("c'")
  %sd = lm.broadcast %s {dims = array<i64>} : (tensor<f32>) -> tensor<9xf32>
  %yd = lm.mul %d, %sd : (tensor<9xf32>, tensor<9xf32>) -> tensor<9xf32> loc("d'")
  %ye = lm.tanh %e : (tensor<2xf32>) -> tensor<2xf32> loc("e'")
  return %ya, %yb, %yc, %yd, %ye : tensor<3x7xf32>, tensor<5xf32>, tensor<4x2xf32>, tensor<9xf32>, tensor<2xf32>
}

// -----

// Rows, long and short, and in a second launch what waits for them: sums of sums, through a view.
// CHECK-LABEL: func.func @rows
// CHECK:         %[[R:.*]]:4 = lm.kernel "row"(%arg0, %arg1, %arg2, %arg3) {segments = array<i64: 4, 0, 1, 1>}
// CHECK:         %[[V:.*]] = lm.reshape %[[R]]#0
// CHECK:         lm.kernel "row"(%[[V]], %[[R]]#1, %[[R]]#2, %[[R]]#3) {segments = array<i64: 4, 0, 1, 1>}
// CHECK-NOT:     lm.kernel
func.func @rows(%a: tensor<3x7xf32>, %b: tensor<5x2xf32>, %c: tensor<4x600xf32>, %d: tensor<2x9xf32>) -> (tensor<f32>, tensor<f32>, tensor<f32>, tensor<f32>) {
  %ra = lm.reduce %a {dims = array<i64: 1>, kind = "sum"} : (tensor<3x7xf32>) -> tensor<3xf32>
  %va = lm.reshape %ra : (tensor<3xf32>) -> tensor<1x3xf32>
  %ta = lm.reduce %va {dims = array<i64: 1>, kind = "sum"} : (tensor<1x3xf32>) -> tensor<1xf32>
  %za = lm.reshape %ta : (tensor<1xf32>) -> tensor<f32>
  %rb = lm.reduce %b {dims = array<i64: 1>, kind = "sum"} : (tensor<5x2xf32>) -> tensor<5xf32>
  %tb = lm.reduce %rb {dims = array<i64: 0>, kind = "sum"} : (tensor<5xf32>) -> tensor<f32>
  %rc = lm.reduce %c {dims = array<i64: 1>, kind = "sum"} : (tensor<4x600xf32>) -> tensor<4xf32>
  %tc = lm.reduce %rc {dims = array<i64: 0>, kind = "sum"} : (tensor<4xf32>) -> tensor<f32>
  %rd = lm.reduce %d {dims = array<i64: 1>, kind = "sum"} : (tensor<2x9xf32>) -> tensor<2xf32>
  %td = lm.reduce %rd {dims = array<i64: 0>, kind = "sum"} : (tensor<2xf32>) -> tensor<f32>
  return %za, %tb, %tc, %td : tensor<f32>, tensor<f32>, tensor<f32>, tensor<f32>
}

// -----

// What overwrites an argument waits for what reads it: in one launch the other segments would not.
// CHECK-LABEL: func.func @overwritten
// CHECK:         lm.kernel "map"(%arg0, %arg1, %arg2, %arg3) {segments = array<i64: 4, 0, 1, 1>}
// CHECK:         lm.kernel "map"() {segments = array<i64: 4, 0, 0, 1>}
func.func @overwritten(%a: tensor<3xf32> {lm.name = "a", lm.role = "gradient"}, %b: tensor<4xf32> {lm.name = "b", lm.role = "gradient"},
                       %c: tensor<5xf32> {lm.name = "c", lm.role = "gradient"}, %d: tensor<6xf32> {lm.name = "d", lm.role = "gradient"})
    -> (tensor<3xf32> {lm.name = "w", lm.role = "output"}, tensor<4xf32> {lm.name = "x", lm.role = "output"}, tensor<5xf32> {lm.name = "y", lm.role = "output"},
        tensor<6xf32> {lm.name = "z", lm.role = "output"}, tensor<3xf32> {lm.updates = 0}, tensor<4xf32> {lm.updates = 1}, tensor<5xf32> {lm.updates = 2}, tensor<6xf32> {lm.updates = 3}) {
  %w = lm.tanh %a : (tensor<3xf32>) -> tensor<3xf32>
  %x = lm.tanh %b : (tensor<4xf32>) -> tensor<4xf32>
  %y = lm.tanh %c : (tensor<5xf32>) -> tensor<5xf32>
  %z = lm.tanh %d : (tensor<6xf32>) -> tensor<6xf32>
  %na = lm.constant dense<0.0> : tensor<3xf32>
  %nb = lm.constant dense<0.0> : tensor<4xf32>
  %nc = lm.constant dense<0.0> : tensor<5xf32>
  %nd = lm.constant dense<0.0> : tensor<6xf32>
  return %w, %x, %y, %z, %na, %nb, %nc, %nd : tensor<3xf32>, tensor<4xf32>, tensor<5xf32>, tensor<6xf32>, tensor<3xf32>, tensor<4xf32>, tensor<5xf32>, tensor<6xf32>
}

// -----

// Left alone: three launches, a transpose, a number, a dimension without a number.
// CHECK-LABEL: func.func @refused
// CHECK-NOT:     segments
func.func @refused(%a: tensor<3xf32>, %b: tensor<4xf32>, %c: tensor<5xf32>, %t: tensor<3x4xf32>, %s: tensor<f32>, %n: tensor<?xf32, #lm.dims<"n">>)
    -> (tensor<3xf32>, tensor<4xf32>, tensor<5xf32>, tensor<4x3xf32>, tensor<f32>, tensor<?xf32, #lm.dims<"n">>) attributes {lm.ranges = {n = array<i64: 1, 9>}} {
  %ya = lm.tanh %a : (tensor<3xf32>) -> tensor<3xf32>
  %yb = lm.tanh %b : (tensor<4xf32>) -> tensor<4xf32>
  %yc = lm.tanh %c : (tensor<5xf32>) -> tensor<5xf32>
  %yt = lm.transpose %t {permutation = array<i64: 1, 0>} : (tensor<3x4xf32>) -> tensor<4x3xf32>
  %ys = lm.tanh %s : (tensor<f32>) -> tensor<f32>
  %yn = lm.tanh %n : (tensor<?xf32, #lm.dims<"n">>) -> tensor<?xf32, #lm.dims<"n">>
  return %ya, %yb, %yc, %yt, %ys, %yn : tensor<3xf32>, tensor<4xf32>, tensor<5xf32>, tensor<4x3xf32>, tensor<f32>, tensor<?xf32, #lm.dims<"n">>
}

// -----

// Not all of what a run makes for itself may wait: 24 MiB would.
// CHECK-LABEL: func.func @large
// CHECK-NOT:     segments
func.func @large(%a: tensor<4x1572864xf32>) -> (tensor<4xf32>, tensor<4xf32>, tensor<4xf32>, tensor<4xf32>) {
  %s = lm.iota {dim = 0 : i64} : () -> tensor<4xf32>
  %x = lm.reduce %a {dims = array<i64: 1>, kind = "sum"} : (tensor<4x1572864xf32>) -> tensor<4xf32>
  %t = lm.tanh %a : (tensor<4x1572864xf32>) -> tensor<4x1572864xf32>
  %u = lm.reduce %t {dims = array<i64: 1>, kind = "max"} : (tensor<4x1572864xf32>) -> tensor<4xf32>
  %e = lm.exp %a : (tensor<4x1572864xf32>) -> tensor<4x1572864xf32>
  %v = lm.reduce %e {dims = array<i64: 1>, kind = "sum"} : (tensor<4x1572864xf32>) -> tensor<4xf32>
  %w = lm.add %x, %u : (tensor<4xf32>, tensor<4xf32>) -> tensor<4xf32>
  return %x, %u, %v, %w : tensor<4xf32>, tensor<4xf32>, tensor<4xf32>, tensor<4xf32>
}
