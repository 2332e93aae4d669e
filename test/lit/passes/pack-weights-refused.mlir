// RUN: lmc-opt %s "-lm-pack-weights=width=4 explain" -split-input-file -verify-diagnostics | FileCheck %s
// RUN: lmc-opt %s -lm-pack-weights -split-input-file | FileCheck %s

// A tied table: rows are gathered from it.
// CHECK-LABEL: func.func @tied(%{{.*}}: tensor<8x8xf32> {lm.name
// expected-remark @below {{'w' is not packed: lm.gather reads it too}}
func.func @tied(%w: tensor<8x8xf32> {lm.name = "w", lm.role = "parameter"}, %i: tensor<2xi32> {lm.name = "i", lm.role = "input"})
    -> (tensor<2x8xf32> {lm.name = "y", lm.role = "output"}) {
  %x = lm.gather %w, %i : (tensor<8x8xf32>, tensor<2xi32>) -> tensor<2x8xf32>
  %y = lm.matmul %x, %w {transpose_b} : (tensor<2x8xf32>, tensor<8x8xf32>) -> tensor<2x8xf32>
  return %y : tensor<2x8xf32>
}

// -----

// CHECK-LABEL: func.func @both_ways(%{{.*}}: tensor<2x8xf32> {{.*}}, %{{.*}}: tensor<8x8xf32> {lm.name
// expected-remark @below {{'w' is not packed: products read it both ways round}}
func.func @both_ways(%x: tensor<2x8xf32> {lm.name = "x", lm.role = "input"}, %w: tensor<8x8xf32> {lm.name = "w", lm.role = "parameter"})
    -> (tensor<2x8xf32> {lm.name = "y", lm.role = "output"}) {
  %y = lm.matmul %x, %w {transpose_b} : (tensor<2x8xf32>, tensor<8x8xf32>) -> tensor<2x8xf32>
  %z = lm.matmul %y, %w : (tensor<2x8xf32>, tensor<8x8xf32>) -> tensor<2x8xf32>
  return %z : tensor<2x8xf32>
}

// -----

// CHECK-LABEL: func.func @narrow(%{{.*}}: tensor<2x8xf32> {{.*}}, %{{.*}}: tensor<8x5xf32> {lm.name
// expected-remark @below {{'w' is not packed: more than a fifth of the panels would be padding}}
func.func @narrow(%x: tensor<2x8xf32> {lm.name = "x", lm.role = "input"}, %w: tensor<8x5xf32> {lm.name = "w", lm.role = "parameter"})
    -> (tensor<2x5xf32> {lm.name = "y", lm.role = "output"}) {
  %y = lm.matmul %x, %w : (tensor<2x8xf32>, tensor<8x5xf32>) -> tensor<2x5xf32>
  return %y : tensor<2x5xf32>
}

// -----

// An input changes from run to run.
// CHECK-LABEL: func.func @input(%{{.*}}: tensor<2x8xf32> {{.*}}, %{{.*}}: tensor<8x8xf32> {lm.name
func.func @input(%x: tensor<2x8xf32> {lm.name = "x", lm.role = "input"}, %w: tensor<8x8xf32> {lm.name = "w", lm.role = "input"})
    -> (tensor<2x8xf32> {lm.name = "y", lm.role = "output"}) {
  %y = lm.matmul %x, %w : (tensor<2x8xf32>, tensor<8x8xf32>) -> tensor<2x8xf32>
  return %y : tensor<2x8xf32>
}
