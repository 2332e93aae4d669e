// Budgets of what is computed on block-quantised weights (budgets.py says what a line means): a token's
// products, those of a prompt, rows as bytes, rows of a table.
// REQUIRES: nvrtc
// RUN: lmc compile %s --target cuda:sm_80 --explain=resources --json | %python %S/budgets.py %s
// RUN: lmc compile %s --target cuda:sm_90a --explain=resources --json | %python %S/budgets.py %s
// RUN: lmc compile %s --target cuda:sm_100 --explain=resources --json | %python %S/budgets.py %s
// BUDGET: rows quantize registers=32 blocks=8
// BUDGET: q8_0 matmul registers=64 blocks=4
// BUDGET: q4_k matmul registers=64 blocks=4
// BUDGET: q6_k matmul registers=64 blocks=4
// BUDGET: prompt.rows quantize registers=32 blocks=8
// BUDGET: prompt matmul registers=128 blocks=2 IMMA
// BUDGET: embed block_gather registers=32 blocks=8
!x = tensor<1x1024xf32>
!codes = tensor<1x1024xi8>
!scales = tensor<1x32xf32>
!halves = tensor<1x64xf32>
!y = tensor<1x512xf32>
!xs = tensor<?x1024xf32, #lm.dims<"T">>
!ys = tensor<?x512xf32, #lm.dims<"T">>
func.func @forward(%x: !x {lm.name = "x", lm.role = "input"},
                   %xs: !xs {lm.name = "xs", lm.role = "input"},
                   %ids: tensor<?xi32, #lm.dims<"T">> {lm.name = "ids", lm.role = "input"},
                   %q8: tensor<16x34816xi8> {lm.name = "q8", lm.role = "input"},
                   %q4: tensor<16x18944xi8> {lm.name = "q4", lm.role = "input"},
                   %q6: tensor<16x26880xi8> {lm.name = "q6", lm.role = "input"})
    -> (!y {lm.name = "a", lm.role = "output"}, !y {lm.name = "b", lm.role = "output"},
        !y {lm.name = "c", lm.role = "output"}, !ys {lm.name = "d", lm.role = "output"},
        !xs {lm.name = "e", lm.role = "output"})
    attributes {lm.ranges = {T = array<i64: 1, 512>}} {
  %r:4 = lm.quantize_rows %x : (!x) -> (!codes, !scales, !scales, !halves) loc("rows")
  %a = lm.block_matmul %r#0, %r#1, %r#2, %r#3, %q8 {columns = 512 : i64, format = "q8_0", width = 32 : i64} : (!codes, !scales, !scales, !halves, tensor<16x34816xi8>) -> !y loc("q8_0")
  %b = lm.block_matmul %r#0, %r#1, %r#2, %r#3, %q4 {columns = 512 : i64, format = "q4_k", width = 32 : i64} : (!codes, !scales, !scales, !halves, tensor<16x18944xi8>) -> !y loc("q4_k")
  %c = lm.block_matmul %r#0, %r#1, %r#2, %r#3, %q6 {columns = 512 : i64, format = "q6_k", width = 32 : i64} : (!codes, !scales, !scales, !halves, tensor<16x26880xi8>) -> !y loc("q6_k")
  %s:4 = lm.quantize_rows %xs : (!xs) -> (tensor<?x1024xi8, #lm.dims<"T">>, tensor<?x32xf32, #lm.dims<"T">>, tensor<?x32xf32, #lm.dims<"T">>, tensor<?x64xf32, #lm.dims<"T">>) loc("prompt.rows")
  %d = lm.block_matmul %s#0, %s#1, %s#2, %s#3, %q4 {columns = 512 : i64, format = "q4_k", width = 32 : i64} : (tensor<?x1024xi8, #lm.dims<"T">>, tensor<?x32xf32, #lm.dims<"T">>, tensor<?x32xf32, #lm.dims<"T">>, tensor<?x64xf32, #lm.dims<"T">>, tensor<16x18944xi8>) -> !ys loc("prompt")
  %e = lm.block_gather %q4, %ids {columns = 512 : i64, depth = 1024 : i64, format = "q4_k", width = 32 : i64} : (tensor<16x18944xi8>, tensor<?xi32, #lm.dims<"T">>) -> !xs loc("embed")
  return %a, %b, %c, %d, %e : !y, !y, !y, !ys, !xs
}
