// Budgets of a kernel of each family but attention (budgets.py says what a line means).
// REQUIRES: nvrtc
// RUN: lmc compile %s --target cuda:sm_80 --explain=resources --json | %python %S/budgets.py %s
// RUN: lmc compile %s --target cuda:sm_90a --explain=resources --json | %python %S/budgets.py %s
// RUN: lmc compile %s --target cuda:sm_100 --explain=resources --json | %python %S/budgets.py %s
// BUDGET: tanh map registers=32 blocks=8
// BUDGET: rope map registers=32 blocks=8
// BUDGET: softmax row registers=32 blocks=8
// BUDGET: bias.grad column registers=32 blocks=4
// BUDGET: embed gather registers=32 blocks=8
// BUDGET: embed.grad scatter registers=32 blocks=8
// BUDGET: cache cache registers=32 blocks=8
// BUDGET: pool cache registers=32 blocks=8
// BUDGET: product matmul registers=96 blocks=5 LDGSTS
// BUDGET: product_bf16 matmul registers=80 blocks=5 HMMA LDSM LDGSTS
!x = tensor<?x64xf32, #lm.dims<"T">>
!c = tensor<1x128x2x64xf32>
!p = tensor<50x16x2x64xf32>
func.func @forward(%x: tensor<?x768xf32, #lm.dims<"T">> {lm.name = "x", lm.role = "input"},
                   %u: tensor<96x768xf32> {lm.name = "u", lm.role = "input"},
                   %ids: tensor<?xi32, #lm.dims<"T">> {lm.name = "ids", lm.role = "input"},
                   %past: tensor<i32> {lm.name = "past", lm.role = "input"},
                   %new: tensor<1x8x2x64xf32> {lm.name = "new", lm.role = "input"},
                   %freq: tensor<32xf32> {lm.name = "freq", lm.role = "input"},
                   %cache: !c {lm.name = "cache", lm.role = "cache"},
                   %pool: !p {lm.name = "pool", lm.role = "cache"},
                   %pages: tensor<1x8xi32> {lm.name = "pages", lm.role = "input"},
                   %table: tensor<1000x64xf32> {lm.name = "table", lm.role = "parameter"},
                   %a: tensor<256x768xf32> {lm.name = "a", lm.role = "input"},
                   %w: tensor<768x512xf32> {lm.name = "w", lm.role = "parameter"},
                   %h: tensor<256x768xbf16> {lm.name = "h", lm.role = "input"},
                   %hw: tensor<768x512xbf16> {lm.name = "hw", lm.role = "parameter"})
    -> (tensor<96x768xf32> {lm.name = "map", lm.role = "output"},
        tensor<1x8x2x64xf32> {lm.name = "rope", lm.role = "output"},
        tensor<?x768xf32, #lm.dims<"T">> {lm.name = "row", lm.role = "output"},
        tensor<768xf32> {lm.name = "column", lm.role = "output"},
        !x {lm.name = "gather", lm.role = "output"},
        tensor<1000x64xf32> {lm.name = "scatter", lm.role = "output"},
        !c {lm.updates = 6 : i64},
        !p {lm.updates = 7 : i64},
        tensor<256x512xf32> {lm.name = "product", lm.role = "output"},
        tensor<256x512xf32> {lm.name = "product_bf16", lm.role = "output"})
    attributes {lm.ranges = {T = array<i64: 1, 128>}} {
  %map = lm.tanh %u : (tensor<96x768xf32>) -> tensor<96x768xf32> loc("tanh")
  %position = lm.iota {dim = 0 : i64} : () -> tensor<8xf32> loc("rope")
  %rope = lm.rope %new, %position, %freq : (tensor<1x8x2x64xf32>, tensor<8xf32>, tensor<32xf32>) -> tensor<1x8x2x64xf32> loc("rope")
  %row = lm.softmax %x : (tensor<?x768xf32, #lm.dims<"T">>) -> tensor<?x768xf32, #lm.dims<"T">> loc("softmax")
  %column = lm.reduce %x {dims = array<i64: 0>, kind = "sum"} : (tensor<?x768xf32, #lm.dims<"T">>) -> tensor<768xf32> loc("bias.grad")
  %gather = lm.gather %table, %ids : (tensor<1000x64xf32>, tensor<?xi32, #lm.dims<"T">>) -> !x loc("embed")
  %scatter = lm.scatter_add %ids, %gather : (tensor<?xi32, #lm.dims<"T">>, !x) -> tensor<1000x64xf32> loc("embed.grad")
  %append = lm.cache_append %cache, %new, %past : (!c, tensor<1x8x2x64xf32>, tensor<i32>) -> !c loc("cache")
  %paged = lm.cache_append %pool, %new, %past, %pages : (!p, tensor<1x8x2x64xf32>, tensor<i32>, tensor<1x8xi32>) -> !p loc("pool")
  %product = lm.matmul %a, %w : (tensor<256x768xf32>, tensor<768x512xf32>) -> tensor<256x512xf32> loc("product")
  %product_bf16 = lm.matmul %h, %hw : (tensor<256x768xbf16>, tensor<768x512xbf16>) -> tensor<256x512xf32> loc("product_bf16")
  return %map, %rope, %row, %column, %gather, %scatter, %append, %paged, %product, %product_bf16
    : tensor<96x768xf32>, tensor<1x8x2x64xf32>, tensor<?x768xf32, #lm.dims<"T">>, tensor<768xf32>, !x, tensor<1000x64xf32>, !c, !p, tensor<256x512xf32>, tensor<256x512xf32>
}
