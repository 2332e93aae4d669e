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
