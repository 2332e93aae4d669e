// RUN: lmc-opt %s -lm-fuse-kernels=explain=true -split-input-file 2>&1 -o /dev/null | FileCheck %s --check-prefix=WHY
// RUN: lmc-opt %s -lm-fuse-kernels -split-input-file | FileCheck %s

// WHY: remark: {{.*}}'second' (lm.reduce) not fused with 'first' (column): it needs the other's finished sums
// CHECK-LABEL: func.func @sums_of_sums
// CHECK-COUNT-2: lm.kernel "column"
func.func @sums_of_sums(%x: tensor<3x5xf32>) -> tensor<5xf32> {
  %s = lm.reduce %x {dims = array<i64: 0>, kind = "max"} : (tensor<3x5xf32>) -> tensor<5xf32> loc("first")
  %b = lm.broadcast %s {dims = array<i64: 1>} : (tensor<5xf32>) -> tensor<3x5xf32>
  %d = lm.sub %x, %b : (tensor<3x5xf32>, tensor<3x5xf32>) -> tensor<3x5xf32>
  %r = lm.reduce %d {dims = array<i64: 0>, kind = "sum"} : (tensor<3x5xf32>) -> tensor<5xf32> loc("second")
  return %r : tensor<5xf32>
}

// -----

// Square shapes hide wrong indices: row statistics along the columns belong to other rows.
// WHY: remark: {{.*}}'spread' (lm.add) not fused with 'rows' (row): it reads the other's result at other indices
// CHECK-LABEL: func.func @other_rows
// CHECK: lm.kernel "row"
// CHECK: lm.kernel "map"
func.func @other_rows(%x: tensor<4x4xf32>) -> tensor<4x4xf32> {
  %s = lm.reduce %x {dims = array<i64: 1>, kind = "sum"} : (tensor<4x4xf32>) -> tensor<4xf32> loc("rows")
  %b = lm.broadcast %s {dims = array<i64: 1>} : (tensor<4xf32>) -> tensor<4x4xf32>
  %y = lm.add %x, %b : (tensor<4x4xf32>, tensor<4x4xf32>) -> tensor<4x4xf32> loc("spread")
  return %y : tensor<4x4xf32>
}

// -----

// WHY: remark: {{.*}}'mirror' (lm.mul) not fused with 'sum' (map): it reads the other's result at other indices
// CHECK-LABEL: func.func @transposed
// CHECK-COUNT-2: lm.kernel "map"
func.func @transposed(%x: tensor<4x4xf32>, %z: tensor<4x4xf32>) -> (tensor<4x4xf32>, tensor<4x4xf32>) {
  %s = lm.add %x, %z : (tensor<4x4xf32>, tensor<4x4xf32>) -> tensor<4x4xf32> loc("sum")
  %t = lm.transpose %s {permutation = array<i64: 1, 0>} : (tensor<4x4xf32>) -> tensor<4x4xf32>
  %y = lm.mul %s, %t : (tensor<4x4xf32>, tensor<4x4xf32>) -> tensor<4x4xf32> loc("mirror")
  return %y, %s : tensor<4x4xf32>, tensor<4x4xf32>
}

// -----

// WHY: remark: {{.*}}'mix' (lm.add) not fused with 'product' (matmul): it reads the product's result at other indices
// CHECK-LABEL: func.func @epilogue_elsewhere
// CHECK: lm.kernel "matmul"
// CHECK: lm.kernel "map"
func.func @epilogue_elsewhere(%x: tensor<4x4xf32>) -> tensor<4x4xf32> {
  %m = lm.matmul %x, %x : (tensor<4x4xf32>, tensor<4x4xf32>) -> tensor<4x4xf32> loc("product")
  %t = lm.transpose %m {permutation = array<i64: 1, 0>} : (tensor<4x4xf32>) -> tensor<4x4xf32>
  %y = lm.add %m, %t : (tensor<4x4xf32>, tensor<4x4xf32>) -> tensor<4x4xf32> loc("mix")
  return %y : tensor<4x4xf32>
}

// -----

// WHY: remark: {{.*}}'slice' (lm.add) not fused with 'product' (matmul): its shape differs from the product's
// CHECK-LABEL: func.func @epilogue_shape
func.func @epilogue_shape(%x: tensor<3x4xf32>, %w: tensor<4x6xf32>, %z: tensor<3x2xf32>) -> tensor<3x2xf32> {
  %m = lm.matmul %x, %w : (tensor<3x4xf32>, tensor<4x6xf32>) -> tensor<3x6xf32> loc("product")
  %s = lm.slice %m {dim = 1, start = 1, size = 2} : (tensor<3x6xf32>) -> tensor<3x2xf32>
  %y = lm.add %s, %z : (tensor<3x2xf32>, tensor<3x2xf32>) -> tensor<3x2xf32> loc("slice")
  return %y : tensor<3x2xf32>
}

// -----

// The second sum reads a product of the first: one kernel of both would wait for itself.
// WHY: remark: {{.*}}'after' (lm.add) not fused with 'before' (map): another kernel must run between them
// CHECK-LABEL: func.func @cycle
func.func @cycle(%x: tensor<4x4xf32>, %z: tensor<4x4xf32>, %i: tensor<4xi32>) -> (tensor<4x4xf32>, tensor<4x4xf32>) {
  %s = lm.add %x, %z : (tensor<4x4xf32>, tensor<4x4xf32>) -> tensor<4x4xf32> loc("before")
  %m = lm.gather %s, %i : (tensor<4x4xf32>, tensor<4xi32>) -> tensor<4x4xf32> loc("between")
  %y = lm.add %s, %m : (tensor<4x4xf32>, tensor<4x4xf32>) -> tensor<4x4xf32> loc("after")
  return %y, %s : tensor<4x4xf32>, tensor<4x4xf32>
}

// -----

// WHY: remark: {{.*}}'wide' (lm.add) not fused with 'narrow' (map): spaces [3] and [2, 3] differ
// CHECK-LABEL: func.func @spaces
func.func @spaces(%x: tensor<3xf32>, %z: tensor<3xf32>, %w: tensor<2x3xf32>) -> (tensor<3xf32>, tensor<2x3xf32>) {
  %s = lm.add %x, %z : (tensor<3xf32>, tensor<3xf32>) -> tensor<3xf32> loc("narrow")
  %b = lm.broadcast %s {dims = array<i64: 1>} : (tensor<3xf32>) -> tensor<2x3xf32>
  %y = lm.add %w, %b : (tensor<2x3xf32>, tensor<2x3xf32>) -> tensor<2x3xf32> loc("wide")
  return %s, %y : tensor<3xf32>, tensor<2x3xf32>
}

// -----

// WHY: remark: {{.*}}'columns' (lm.reduce) not fused with 'rows' (row): families row and column do not share a launch
// WHY: remark: {{.*}}kernel 'rows' (row) of 1 ops stores [3]
// CHECK-LABEL: func.func @families
func.func @families(%x: tensor<3x5xf32>) -> (tensor<3xf32>, tensor<5xf32>) {
  %r = lm.reduce %x {dims = array<i64: 1>, kind = "sum"} : (tensor<3x5xf32>) -> tensor<3xf32> loc("rows")
  %b = lm.broadcast %r {dims = array<i64: 0>} : (tensor<3xf32>) -> tensor<3x5xf32>
  %d = lm.sub %x, %b : (tensor<3x5xf32>, tensor<3x5xf32>) -> tensor<3x5xf32>
  %c = lm.reduce %d {dims = array<i64: 0>, kind = "sum"} : (tensor<3x5xf32>) -> tensor<5xf32> loc("columns")
  return %r, %c : tensor<3xf32>, tensor<5xf32>
}

// -----

// WHY: remark: {{.*}}'statistics' (lm.reduce) not fused with 'windows' (map): a row kernel would reduce the inner dimensions in each of its passes
// CHECK-LABEL: func.func @windows_beside_rows
// CHECK: lm.kernel "map"
// CHECK: lm.kernel "row"
func.func @windows_beside_rows(%x: tensor<2x3x4x5xf32>) -> (tensor<2x4x5xf32>, tensor<2x4xf32>) {
  %s = lm.reduce %x {dims = array<i64: 1>, kind = "sum"} : (tensor<2x3x4x5xf32>) -> tensor<2x4x5xf32> loc("windows")
  %r = lm.reduce %s {dims = array<i64: 2>, kind = "sum"} : (tensor<2x4x5xf32>) -> tensor<2x4xf32> loc("statistics")
  return %s, %r : tensor<2x4x5xf32>, tensor<2x4xf32>
}

// -----

// What a window reads beside its own place may not be made by the same launch.
// WHY: remark: {{.*}}'sums' (lm.reduce) not fused with 'made' (map): it reads the other's result at other indices
// CHECK-LABEL: func.func @windows_of_the_made
// CHECK-COUNT-2: lm.kernel "map"
func.func @windows_of_the_made(%x: tensor<2x4x5xf32>, %z: tensor<2x4x5xf32>) -> (tensor<2x4x5xf32>, tensor<2x4x5xf32>) {
  %a = lm.add %x, %z : (tensor<2x4x5xf32>, tensor<2x4x5xf32>) -> tensor<2x4x5xf32> loc("made")
  %b = lm.broadcast %a {dims = array<i64: 0, 1, 3>} : (tensor<2x4x5xf32>) -> tensor<2x4x3x5xf32>
  %s = lm.skew %b {dim = 1 : i64, by = 2 : i64, slope = 1 : i64, start = -2 : i64} : (tensor<2x4x3x5xf32>) -> tensor<2x4x3x5xf32>
  %y = lm.reduce %s {dims = array<i64: 2>, kind = "sum"} : (tensor<2x4x3x5xf32>) -> tensor<2x4x5xf32> loc("sums")
  return %a, %y : tensor<2x4x5xf32>, tensor<2x4x5xf32>
}
