// Caches in q8_0 have kernels on the CPU alone.
// RUN: not lmc compile %s --target cuda:sm_80 --emit=cuda 2>&1 | FileCheck %s
// CHECK: error: no kernel for 'layers.0.attn' (lm.cache_append) on sm_80: caches in q8_0 are for the CPU alone; compile for --target cpu, or without --kv-cache q8_0
!rows = tensor<1x6x2x10xi8>
func.func @forward(%k: tensor<1x1x2x8xf32> {lm.name = "new", lm.role = "input"}, %past: tensor<i32> {lm.name = "past", lm.role = "input"},
                  %cache: !rows {lm.name = "k", lm.role = "cache"})
    -> (!rows {lm.name = "k", lm.role = "cache", lm.updates = 2 : i64}) {
  %y = lm.cache_append %cache, %k, %past : (!rows, tensor<1x1x2x8xf32>, tensor<i32>) -> !rows loc("layers.0.attn")
  return %y : !rows
}
