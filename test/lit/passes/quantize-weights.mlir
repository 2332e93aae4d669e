// RUN: lmc-opt %s -lm-quantize-weights=width=8 -split-input-file 2>/dev/null | FileCheck %s
// RUN: lmc-opt %s -lm-quantize-weights=width=8 -split-input-file 2>&1 >/dev/null | FileCheck %s --check-prefix=WARN
// RUN: lmc-opt %s -lm-quantize-weights=width=8 -lm-fuse-kernels -lm-plan-memory -split-input-file 2>/dev/null | FileCheck %s --check-prefix=PLAN
// RUN: lmc-opt %s -lm-quantize-weights="width=8 file-tables" -split-input-file 2>/dev/null | FileCheck %s --check-prefixes=CHECK,FILE

// A tied table: a gather and a product read the same panels; both products of %x share its codes.
// PLAN:        plan.tensor @w "parameter" tensor<2x320xi8> at 0 {blocks = "q4_0", plain = tensor<15x64xf32>, transposed}
// PLAN-DAG:    plan.kernel @quantize_0 "quantize"
// PLAN-DAG:    plan.kernel @matmul_0 "matmul"
// PLAN-DAG:    plan.kernel @block_gather_0 "block_gather"
// CHECK-LABEL: func.func @decode(
// CHECK-SAME:    tensor<2x320xi8> {lm.blocks = "q4_0", lm.name = "w", lm.plain = tensor<15x64xf32>, lm.plain_transposed, lm.role = "parameter"}
// CHECK:         %[[X:.*]] = lm.block_gather %arg1, %arg0 {columns = 15 : i64, depth = 64 : i64, format = "q4_0", width = 8 : i64}
// CHECK:         %codes, %scales, %sums, %half_sums = lm.quantize_rows %[[X]]
// CHECK-NOT:     lm.quantize_rows
// CHECK:         lm.block_matmul %codes, %scales, %sums, %half_sums, %arg1 {columns = 15 : i64, format = "q4_0", width = 8 : i64}
// CHECK:         lm.block_matmul %codes, %scales, %sums, %half_sums, %arg2 {columns = 9 : i64, format = "q8_0", width = 8 : i64}
func.func @decode(%ids: tensor<3xi32> {lm.name = "ids", lm.role = "input"},
                  %w: tensor<15x64xf32> {lm.blocks = "q4_0", lm.name = "w", lm.role = "parameter"},
                  %v: tensor<64x9xf32> {lm.blocks = "q8_0", lm.name = "v", lm.role = "parameter"})
    -> (tensor<3x15xf32> {lm.name = "y", lm.role = "output"}, tensor<3x9xf32> {lm.name = "z", lm.role = "output"}) {
  %x = lm.gather %w, %ids : (tensor<15x64xf32>, tensor<3xi32>) -> tensor<3x64xf32>
  %y = lm.matmul %x, %w {transpose_b} : (tensor<3x64xf32>, tensor<15x64xf32>) -> tensor<3x15xf32>
  %z = lm.matmul %x, %v : (tensor<3x64xf32>, tensor<64x9xf32>) -> tensor<3x9xf32>
  return %y, %z : tensor<3x15xf32>, tensor<3x9xf32>
}

// -----

// WARN: warning: 'w' is expanded from q4_0 to f32: lm.add reads it
// WARN: warning: 'v' is expanded from q4_k to f32: its depth is no multiple of a block
// WARN: warning: 'u' is expanded from q1_0 to f32: kernels do not know this format
// CHECK-LABEL: func.func @others(
// CHECK-NOT: lm.blocks
// CHECK-COUNT-2: lm.matmul
func.func @others(%x: tensor<3x64xf32> {lm.name = "x", lm.role = "input"},
                  %w: tensor<64x64xf32> {lm.blocks = "q4_0", lm.name = "w", lm.role = "parameter"},
                  %v: tensor<9x64xf32> {lm.blocks = "q4_k", lm.name = "v", lm.role = "parameter"},
                  %u: tensor<9x64xf32> {lm.blocks = "q1_0", lm.name = "u", lm.role = "parameter"})
    -> (tensor<64x64xf32> {lm.name = "y", lm.role = "output"}, tensor<3x9xf32> {lm.name = "z", lm.role = "output"}, tensor<3x9xf32> {lm.name = "t", lm.role = "output"}) {
  %y = lm.add %w, %w : (tensor<64x64xf32>, tensor<64x64xf32>) -> tensor<64x64xf32>
  %z = lm.matmul %x, %v {transpose_b} : (tensor<3x64xf32>, tensor<9x64xf32>) -> tensor<3x9xf32>
  %t = lm.matmul %x, %u {transpose_b} : (tensor<3x64xf32>, tensor<9x64xf32>) -> tensor<3x9xf32>
  return %y, %z, %t : tensor<64x64xf32>, tensor<3x9xf32>, tensor<3x9xf32>
}

// -----

// The matrices of experts: panels of each, in one tensor; rows are quantised once for both products.
// PLAN:        plan.tensor @w "parameter" tensor<5x2x320xi8> at 0 {blocks = "q4_0", plain = tensor<5x15x64xf32>, transposed}
// PLAN:        plan.kernel @quantize_0 "quantize"
// CHECK-LABEL: func.func @experts(
// CHECK-SAME:    tensor<5x2x320xi8> {lm.blocks = "q4_0", lm.name = "w", lm.plain = tensor<5x15x64xf32>, lm.plain_transposed, lm.role = "parameter"}
// CHECK:         %codes, %scales, %sums, %half_sums = lm.quantize_rows %arg0
// CHECK-NOT:     lm.quantize_rows
// CHECK:         lm.expert_block_matmul %codes, %scales, %sums, %half_sums, %arg3, %arg1, %arg2 {columns = 15 : i64, format = "q4_0", width = 8 : i64}
// CHECK:         lm.expert_block_matmul %codes, %scales, %sums, %half_sums, %arg4, %arg1, %arg2 {columns = 9 : i64, format = "q8_0", width = 8 : i64}
func.func @experts(%x: tensor<3x64xf32> {lm.name = "x", lm.role = "input"}, %order: tensor<2x3xi32> {lm.name = "order", lm.role = "input"}, %starts: tensor<6xi32> {lm.name = "starts", lm.role = "input"},
                   %w: tensor<5x15x64xf32> {lm.blocks = "q4_0", lm.name = "w", lm.role = "parameter"},
                   %v: tensor<5x64x9xf32> {lm.blocks = "q8_0", lm.name = "v", lm.role = "parameter"})
    -> (tensor<2x3x15xf32> {lm.name = "y", lm.role = "output"}, tensor<2x3x9xf32> {lm.name = "z", lm.role = "output"}) {
  %y = lm.expert_matmul %x, %w, %order, %starts {transpose_b} : (tensor<3x64xf32>, tensor<5x15x64xf32>, tensor<2x3xi32>, tensor<6xi32>) -> tensor<2x3x15xf32>
  %z = lm.expert_matmul %x, %v, %order, %starts : (tensor<3x64xf32>, tensor<5x64x9xf32>, tensor<2x3xi32>, tensor<6xi32>) -> tensor<2x3x9xf32>
  return %y, %z : tensor<2x3x15xf32>, tensor<2x3x9xf32>
}

// -----

// Tables that no product reads: with file-tables their rows are those of the file, where the format allows.
// CHECK-LABEL: func.func @tables(
// FILE-SAME:     tensor<15x68xi8> {lm.blocks = "q8_0", lm.name = "w", lm.plain = tensor<15x64xf32>, lm.plain_transposed, lm.role = "parameter"}
// FILE-SAME:     tensor<2x384xi8> {lm.blocks = "q5_0"
// FILE:          lm.block_gather %arg1, %arg0 {columns = 15 : i64, depth = 64 : i64, format = "q8_0", width = 1 : i64}
// FILE:          lm.block_gather %arg2, %arg0 {columns = 15 : i64, depth = 64 : i64, format = "q5_0", width = 8 : i64}
func.func @tables(%ids: tensor<3xi32> {lm.name = "ids", lm.role = "input"},
                  %w: tensor<15x64xf32> {lm.blocks = "q8_0", lm.name = "w", lm.role = "parameter"},
                  %v: tensor<15x64xf32> {lm.blocks = "q5_0", lm.name = "v", lm.role = "parameter"})
    -> (tensor<3x64xf32> {lm.name = "y", lm.role = "output"}) {
  %x = lm.gather %w, %ids : (tensor<15x64xf32>, tensor<3xi32>) -> tensor<3x64xf32>
  %z = lm.gather %v, %ids : (tensor<15x64xf32>, tensor<3xi32>) -> tensor<3x64xf32>
  %y = lm.add %x, %z : (tensor<3x64xf32>, tensor<3x64xf32>) -> tensor<3x64xf32>
  return %y : tensor<3x64xf32>
}
