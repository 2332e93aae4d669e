// RUN: lmc-opt %s -lm-fuse-kernels -lm-plan-memory -split-input-file | FileCheck %s

// Named tensors lie one after the other at multiples of 64 bytes. %t takes over %s's place: it is read
// there for the last time, element by element. %u needs %t at other indices and goes elsewhere.
// CHECK-LABEL: module
// CHECK-DAG:     plan.tensor @w "parameter" tensor<3x7xf32> at 0
// CHECK-DAG:     plan.tensor @x "input" tensor<3x7xf32> at 128
// CHECK-DAG:     plan.tensor @i "input" tensor<3xi32> at 256
// CHECK-DAG:     plan.tensor @y "output" tensor<7x3xf32> at 320
// CHECK:         plan.program @chain transient = 128
// CHECK:           %[[S:.*]] = plan.temporary at 0 size 84 : <tensor<3x7xf32>>
// CHECK:           plan.launch @gather_0({{.*}}) -> (%[[S]])
// CHECK:           %[[T:.*]] = plan.temporary at 0 size 84 : <tensor<3x7xf32>>
// CHECK:           plan.launch @map_0(%[[S]], %{{.*}}) -> (%[[T]])
// CHECK:           %[[Y:.*]] = plan.use @y : <tensor<7x3xf32>>
// CHECK:           plan.launch @map_1(%[[T]]) -> (%[[Y]])
func.func @chain(%w: tensor<3x7xf32> {lm.name = "w", lm.role = "parameter"}, %x: tensor<3x7xf32> {lm.name = "x", lm.role = "input"},
                 %i: tensor<3xi32> {lm.name = "i", lm.role = "input"})
    -> (tensor<7x3xf32> {lm.name = "y", lm.role = "output"}) {
  %s = lm.gather %w, %i : (tensor<3x7xf32>, tensor<3xi32>) -> tensor<3x7xf32>
  %t = lm.add %s, %x : (tensor<3x7xf32>, tensor<3x7xf32>) -> tensor<3x7xf32>
  %u = lm.transpose %t {permutation = array<i64: 1, 0>} : (tensor<3x7xf32>) -> tensor<7x3xf32>
  return %u : tensor<7x3xf32>
}

// -----

// Equal kernels are one kernel.
// CHECK-LABEL: plan.program @shared
// CHECK:         plan.launch @gather_0(%{{.*}}, %[[I:.*]]) -> (%[[T:.*]]) {
// CHECK:         plan.launch @gather_0(%[[T]], %[[I]])
// CHECK:         plan.kernel @gather_0 "gather"
// CHECK-NOT:     plan.kernel
func.func @shared(%x: tensor<4x4xf32> {lm.name = "x", lm.role = "input"}, %i: tensor<4xi32> {lm.name = "i", lm.role = "input"})
    -> (tensor<4x4xf32> {lm.name = "y", lm.role = "output"}) {
  %s = lm.gather %x, %i : (tensor<4x4xf32>, tensor<4xi32>) -> tensor<4x4xf32>
  %t = lm.gather %s, %i : (tensor<4x4xf32>, tensor<4xi32>) -> tensor<4x4xf32>
  return %t : tensor<4x4xf32>
}

// -----

// A view is the same place under another shape: nothing is launched for it.
// CHECK-LABEL: plan.program @view
// CHECK:         %[[S:.*]] = plan.temporary at 0 size 48 : <tensor<3x4xf32>>
// CHECK:         plan.launch @gather_0({{.*}}) -> (%[[S]])
// CHECK:         %[[V:.*]] = plan.temporary at 0 size 48 : <tensor<12xf32>>
// CHECK:         plan.launch @map_0(%[[V]])
// CHECK-NOT:     plan.launch
func.func @view(%x: tensor<4x4xf32> {lm.name = "x", lm.role = "input"}, %i: tensor<3xi32> {lm.name = "i", lm.role = "input"})
    -> (tensor<12xf32> {lm.name = "y", lm.role = "output"}) {
  %s = lm.gather %x, %i : (tensor<4x4xf32>, tensor<3xi32>) -> tensor<3x4xf32>
  %v = lm.reshape %s : (tensor<3x4xf32>) -> tensor<12xf32>
  %y = lm.exp %v : (tensor<12xf32>) -> tensor<12xf32>
  return %y : tensor<12xf32>
}

// -----

// A donated parameter is updated where it lies.
// CHECK-LABEL: plan.program @in_place transient = 0
// CHECK:         %[[P:.*]] = plan.use @p
// CHECK:         %[[NEW:.*]] = plan.use @p
// CHECK:         plan.launch @map_0(%[[P]], %{{.*}}) -> (%[[NEW]])
// CHECK-NOT:     plan.launch
func.func @in_place(%p: tensor<3x7xf32> {lm.name = "p", lm.role = "parameter"}, %g: tensor<3x7xf32> {lm.name = "g", lm.role = "input"})
    -> (tensor<3x7xf32> {lm.updates = 0 : i64}) {
  %n = lm.sub %p, %g : (tensor<3x7xf32>, tensor<3x7xf32>) -> tensor<3x7xf32>
  return %n : tensor<3x7xf32>
}

// -----

// The old parameter is still read: the new one waits and is copied at the end.
// CHECK-LABEL: plan.program @still_read transient = 64
// CHECK:         plan.launch @map_0({{.*}}) -> (%[[N:.*]]) {
// CHECK:         plan.launch @matmul_0(
// CHECK:         %[[P:.*]] = plan.use @p
// CHECK:         plan.launch @map_1(%[[N]]) -> (%[[P]]) {ops = ["copy"]
func.func @still_read(%p: tensor<3x3xf32> {lm.name = "p", lm.role = "parameter"}, %g: tensor<3x3xf32> {lm.name = "g", lm.role = "input"})
    -> (tensor<3x3xf32> {lm.updates = 0 : i64}, tensor<3x3xf32> {lm.name = "y", lm.role = "output"}) {
  %n = lm.sub %p, %g : (tensor<3x3xf32>, tensor<3x3xf32>) -> tensor<3x3xf32>
  %y = lm.matmul %p, %n : (tensor<3x3xf32>, tensor<3x3xf32>) -> tensor<3x3xf32>
  return %n, %y : tensor<3x3xf32>, tensor<3x3xf32>
}

// -----

// The update reads the parameter at other indices: not in place.
// CHECK-LABEL: plan.program @other_indices transient = 64
// CHECK:         plan.launch @map_0({{.*}}) -> (%[[N:.*]]) {ops = ["lm.add"]
// CHECK:         %[[P:.*]] = plan.use @p
// CHECK:         plan.launch @map_1(%[[N]]) -> (%[[P]]) {ops = ["copy"]
func.func @other_indices(%p: tensor<3x3xf32> {lm.name = "p", lm.role = "parameter"}) -> (tensor<3x3xf32> {lm.updates = 0 : i64}) {
  %t = lm.transpose %p {permutation = array<i64: 1, 0>} : (tensor<3x3xf32>) -> tensor<3x3xf32>
  %n = lm.add %p, %t : (tensor<3x3xf32>, tensor<3x3xf32>) -> tensor<3x3xf32>
  return %n : tensor<3x3xf32>
}

// -----

// Arguments that change places go by way of a temporary.
// CHECK-LABEL: plan.program @swap transient = 64
// CHECK:         %[[B:.*]] = plan.use @b
// CHECK:         %[[SAVED:.*]] = plan.temporary
// CHECK:         plan.launch @map_0(%[[B]]) -> (%[[SAVED]])
// CHECK:         %[[A:.*]] = plan.use @a
// CHECK:         %[[NEWB:.*]] = plan.use @b
// CHECK:         plan.launch @map_0(%[[A]]) -> (%[[NEWB]])
// CHECK:         %[[NEWA:.*]] = plan.use @a
// CHECK:         plan.launch @map_0(%[[SAVED]]) -> (%[[NEWA]])
func.func @swap(%a: tensor<3xf32> {lm.name = "a", lm.role = "state"}, %b: tensor<3xf32> {lm.name = "b", lm.role = "state"})
    -> (tensor<3xf32> {lm.updates = 0 : i64}, tensor<3xf32> {lm.updates = 1 : i64}) {
  return %b, %a : tensor<3xf32>, tensor<3xf32>
}

// -----

// The old content is returned before it is overwritten.
// CHECK-LABEL: plan.program @before
// CHECK:         %[[A:.*]] = plan.use @a
// CHECK:         %[[OUT:.*]] = plan.use @old
// CHECK:         plan.launch @map_0(%[[A]]) -> (%[[OUT]])
// CHECK:         %[[X:.*]] = plan.use @x
// CHECK:         %[[NEW:.*]] = plan.use @a
// CHECK:         plan.launch @map_0(%[[X]]) -> (%[[NEW]])
func.func @before(%a: tensor<3xf32> {lm.name = "a", lm.role = "state"}, %x: tensor<3xf32> {lm.name = "x", lm.role = "input"})
    -> (tensor<3xf32> {lm.updates = 0 : i64}, tensor<3xf32> {lm.name = "old", lm.role = "output"}) {
  return %x, %a : tensor<3xf32>, tensor<3xf32>
}

// -----

// Caches count in a slot of their own, at the largest extents of symbols; they grow in place. A program
// may have the name of a tensor.
// CHECK-LABEL: module
// CHECK-DAG:     plan.tensor @past "input" tensor<i32> at 64
// CHECK-DAG:     plan.tensor @k "cache" tensor<1x?x2x4xf32, #lm.dims<"S">> at 0
// CHECK-DAG:     plan.tensor @v "cache" tensor<1x?x2x4xf32, #lm.dims<"S">> at 192
// CHECK:         plan.program @past transient = 0 ranges = {S = array<i64: 1, 5>}
// CHECK:           %[[K:.*]] = plan.use @k
// CHECK:           %[[NEW:.*]] = plan.use @k
// CHECK:           plan.launch @cache_0(%[[K]], {{.*}}) -> (%[[NEW]])
// CHECK:           plan.launch @cache_0(
// CHECK-NOT:       plan.launch
func.func @past(%k: tensor<1x?x2x4xf32, #lm.dims<"S">> {lm.name = "k", lm.role = "cache"}, %v: tensor<1x?x2x4xf32, #lm.dims<"S">> {lm.name = "v", lm.role = "cache"},
                %u: tensor<1x1x2x4xf32> {lm.name = "u", lm.role = "input"}, %p: tensor<i32> {lm.name = "past", lm.role = "input"})
    -> (tensor<1x?x2x4xf32, #lm.dims<"S">> {lm.updates = 0 : i64}, tensor<1x?x2x4xf32, #lm.dims<"S">> {lm.updates = 1 : i64})
    attributes {lm.ranges = {S = array<i64: 1, 5>}} {
  %n = lm.cache_append %k, %u, %p : (tensor<1x?x2x4xf32, #lm.dims<"S">>, tensor<1x1x2x4xf32>, tensor<i32>) -> tensor<1x?x2x4xf32, #lm.dims<"S">>
  %m = lm.cache_append %v, %u, %p : (tensor<1x?x2x4xf32, #lm.dims<"S">>, tensor<1x1x2x4xf32>, tensor<i32>) -> tensor<1x?x2x4xf32, #lm.dims<"S">>
  return %n, %m : tensor<1x?x2x4xf32, #lm.dims<"S">>, tensor<1x?x2x4xf32, #lm.dims<"S">>
}

// -----

// Views of a part: a tensor from an offset on, parts that are written where the whole will lie, and
// the end of that whole. Nothing is copied, and both products are one kernel.
// CHECK-LABEL: plan.program @parts transient = 256
// CHECK:         %[[HIGH:.*]] = plan.use @x at 64 : <tensor<4x4xf32>>
// CHECK:         %[[Y1:.*]] = plan.temporary at 0 size 128 : <tensor<4x8xf32>>
// CHECK:         plan.launch @[[PRODUCT:matmul_.*]](%[[HIGH]], %{{.*}}) -> (%[[Y1]])
// CHECK:         %[[LOW:.*]] = plan.use @x : <tensor<4x4xf32>>
// CHECK:         %[[Y0:.*]] = plan.temporary at 128 size 128 : <tensor<4x8xf32>>
// CHECK:         plan.launch @[[PRODUCT]](%[[LOW]], %{{.*}}) -> (%[[Y0]])
// CHECK:         %[[Y:.*]] = plan.temporary at 0 size 256 : <tensor<8x8xf32>>
// CHECK:         plan.launch @map_0(%[[Y]]) -> (%{{.*}})
// CHECK:         %[[TAIL:.*]] = plan.temporary at 192 size 64 : <tensor<2x8xf32>>
// CHECK:         plan.launch @{{.*}}(%[[TAIL]], %{{.*}})
func.func @parts(%x: tensor<8x4xf32> {lm.name = "x", lm.role = "input"}, %w: tensor<4x8xf32> {lm.name = "w", lm.role = "input"})
    -> (tensor<8x8xf32> {lm.name = "e", lm.role = "output"}, tensor<2x4xf32> {lm.name = "z", lm.role = "output"}) {
  %1 = lm.slice %x {dim = 0 : i64, size = 4 : i64, start = 4 : i64} : (tensor<8x4xf32>) -> tensor<4x4xf32>
  %y1 = lm.matmul %1, %w : (tensor<4x4xf32>, tensor<4x8xf32>) -> tensor<4x8xf32>
  %0 = lm.slice %x {dim = 0 : i64, size = 4 : i64, start = 0 : i64} : (tensor<8x4xf32>) -> tensor<4x4xf32>
  %y0 = lm.matmul %0, %w : (tensor<4x4xf32>, tensor<4x8xf32>) -> tensor<4x8xf32>
  %y = lm.concat %y1, %y0 {dim = 0 : i64} : (tensor<4x8xf32>, tensor<4x8xf32>) -> tensor<8x8xf32>
  %e = lm.exp %y : (tensor<8x8xf32>) -> tensor<8x8xf32>
  %tail = lm.slice %y {dim = 0 : i64, size = 2 : i64, start = 6 : i64} : (tensor<8x8xf32>) -> tensor<2x8xf32>
  %z = lm.matmul %tail, %w {transpose_b} : (tensor<2x8xf32>, tensor<4x8xf32>) -> tensor<2x4xf32>
  return %e, %z : tensor<8x8xf32>, tensor<2x4xf32>
}

// -----

// A sum over chunks stays in one place.
// CHECK-LABEL: plan.program @sum transient = 128
// CHECK:         %[[W0:.*]] = plan.temporary at 0 size 80
// CHECK:         plan.launch @{{.*}} -> (%[[W0]])
// CHECK:         %[[W1:.*]] = plan.temporary at 0 size 80
// CHECK:         plan.launch @{{.*}}(%{{.*}}, %{{.*}}, %[[W0]]) -> (%[[W1]])
func.func @sum(%d: tensor<3x5xf32> {lm.name = "d", lm.role = "input"}, %x: tensor<3x4xf32> {lm.name = "x", lm.role = "input"})
    -> (tensor<5x5xf32> {lm.name = "y", lm.role = "output"}) {
  %w0 = lm.matmul %d, %x {transpose_a} : (tensor<3x5xf32>, tensor<3x4xf32>) -> tensor<5x4xf32>
  %m1 = lm.matmul %d, %x {transpose_a} : (tensor<3x5xf32>, tensor<3x4xf32>) -> tensor<5x4xf32>
  %w1 = lm.add %m1, %w0 : (tensor<5x4xf32>, tensor<5x4xf32>) -> tensor<5x4xf32>
  %y = lm.matmul %w1, %w1 {transpose_b} : (tensor<5x4xf32>, tensor<5x4xf32>) -> tensor<5x5xf32>
  return %y : tensor<5x5xf32>
}
