// RUN: lmc-opt %s -lm-fuse-kernels -lm-join-kernels -lm-plan-memory -split-input-file | FileCheck %s

// One launch updates its arguments in place; each output keeps its op and path.
// CHECK-LABEL: plan.program @maps transient = 0
// CHECK:         plan.launch @map_0({{.*}}paths = ["a'", "b'", "d'", "c'", "e'"]
// CHECK:       plan.kernel @map_0 "map" attributes {segments = array<i64: 3, 1, 1, 1, 2, 0, 1, 1>}
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

// No copies: what is overwritten has been read.
// CHECK-LABEL: plan.program @overwritten
// CHECK-COUNT-2: plan.launch
// CHECK-NOT:     plan.launch
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
