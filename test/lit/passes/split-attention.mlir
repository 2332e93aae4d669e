// RUN: lmc-opt %s -lm-split-attention=multiprocessors=132 | FileCheck %s
// RUN: lmc-opt %s -lm-split-attention="parts=3 chunk=16" | FileCheck %s --check-prefix=FORCED
// RUN: lmc-opt %s -lm-split-attention | FileCheck %s --check-prefix=NONE

// The parts of an element of the result are a row; weights come from the log-sum-exps. 4095 keys have 31 whole chunks.
// CHECK-LABEL: func.func @decode(
// CHECK-SAME:    %[[Q:.*]]: tensor<1x1x8x64xbf16>, %[[K:.*]]: tensor<1x4096x2x64xbf16>, %[[V:.*]]: tensor<1x4096x2x64xbf16>, %[[PAST:.*]]: tensor<i32>)
// CHECK-NEXT:    %[[O:.*]], %[[L:.*]] = lm.attention_parts %[[Q]], %[[K]], %[[V]], %[[PAST]] {causal, chunk = 128 : i64, parts = 31 : i64, scale = 1.250000e-01 : f64, soft_cap = 3.000000e+01 : f64, window = 4095 : i64} : {{.*}} -> (tensor<1x1x8x31x64xf32>, tensor<1x1x8x31xf32>)
// CHECK-NEXT:    %[[BYDEPTH:.*]] = lm.transpose %[[O]] {permutation = array<i64: 0, 1, 2, 4, 3>} : {{.*}} -> tensor<1x1x8x64x31xf32>
// CHECK-NEXT:    %[[E:.*]] = lm.broadcast %[[L]] {dims = array<i64: 0, 1, 2, 4>} : {{.*}} -> tensor<1x1x8x64x31xf32>
// CHECK-NEXT:    %[[TOP:.*]] = lm.reduce %[[E]] {dims = array<i64: 4>, kind = "max"}
// CHECK:         %[[D:.*]] = lm.sub %[[E]], %{{.*}}
// CHECK-NEXT:    %[[W:.*]] = lm.exp %[[D]]
// CHECK-NEXT:    %[[TOTAL:.*]] = lm.reduce %[[W]] {dims = array<i64: 4>, kind = "sum"}
// CHECK-NEXT:    %[[P:.*]] = lm.mul %[[W]], %[[BYDEPTH]]
// CHECK-NEXT:    %[[SUM:.*]] = lm.reduce %[[P]] {dims = array<i64: 4>, kind = "sum"}
// CHECK-NEXT:    %[[OUT:.*]] = lm.div %[[SUM]], %[[TOTAL]]
// CHECK-NEXT:    %[[ROUNDED:.*]] = lm.convert %[[OUT]] : {{.*}} -> tensor<1x1x8x64xbf16>
// CHECK-NEXT:    return %[[ROUNDED]]
// FORCED-LABEL: func.func @decode(
// FORCED:         lm.attention_parts {{.*}} chunk = 16 : i64, parts = 3 : i64
// NONE-LABEL: func.func @decode(
// NONE-NEXT:    lm.attention %
func.func @decode(%q: tensor<1x1x8x64xbf16>, %k: tensor<1x4096x2x64xbf16>, %v: tensor<1x4096x2x64xbf16>, %past: tensor<i32>) -> tensor<1x1x8x64xbf16> {
  %out, %lse = lm.attention %q, %k, %v, %past {causal, scale = 0.125 : f64, window = 4095 : i64, soft_cap = 30.0 : f64} : (tensor<1x1x8x64xbf16>, tensor<1x4096x2x64xbf16>, tensor<1x4096x2x64xbf16>, tensor<i32>) -> (tensor<1x1x8x64xbf16>, tensor<1x1x8xf32>)
  return %out : tensor<1x1x8x64xbf16>
}

// The log-sum-exp where somebody reads it.
// CHECK-LABEL: func.func @statistic(
// CHECK:         %{{.*}}, %[[L:.*]] = lm.attention_parts
// CHECK:         %[[TOP:.*]] = lm.reduce %[[L]] {dims = array<i64: 3>, kind = "max"}
// CHECK:         %[[TOTAL:.*]] = lm.reduce %{{.*}} {dims = array<i64: 3>, kind = "sum"}
// CHECK:         %[[LOG:.*]] = lm.log %[[TOTAL]]
// CHECK:         %[[LSE:.*]] = lm.add %[[TOP]], %[[LOG]]
// CHECK:         return %[[LSE]]
func.func @statistic(%q: tensor<1x1x8x64xbf16>, %k: tensor<1x4096x2x64xbf16>, %past: tensor<i32>) -> tensor<1x1x8xf32> {
  %out, %lse = lm.attention %q, %k, %k, %past {causal, scale = 0.125 : f64} : (tensor<1x1x8x64xbf16>, tensor<1x4096x2x64xbf16>, tensor<1x4096x2x64xbf16>, tensor<i32>) -> (tensor<1x1x8x64xbf16>, tensor<1x1x8xf32>)
  return %lse : tensor<1x1x8xf32>
}

// Guesses are a tile of rows at their largest number; a chunk of a prompt is a prefill.
// CHECK-LABEL: func.func @verify(
// CHECK:         lm.attention_parts {{.*}} parts = 32 : i64
// CHECK-LABEL: func.func @prefill(
// CHECK-NEXT:    lm.attention %
// FORCED-LABEL: func.func @prefill(
// FORCED-NEXT:    lm.attention %
!few = tensor<1x?x8x64xbf16, #lm.dims<"draft">>
!many = tensor<1x?x8x64xbf16, #lm.dims<"chunk">>
!cache = tensor<1x4096x2x64xbf16>
func.func @verify(%q: !few, %k: !cache, %past: tensor<i32>) -> !few attributes {lm.ranges = {draft = array<i64: 1, 6>}} {
  %out, %lse = lm.attention %q, %k, %k, %past {causal, scale = 0.125 : f64} : (!few, !cache, !cache, tensor<i32>) -> (!few, tensor<1x?x8xf32, #lm.dims<"draft">>)
  return %out : !few
}
func.func @prefill(%q: !many, %k: !cache, %past: tensor<i32>) -> !many attributes {lm.ranges = {chunk = array<i64: 1, 128>}} {
  %out, %lse = lm.attention %q, %k, %k, %past {causal, scale = 0.125 : f64} : (!many, !cache, !cache, tensor<i32>) -> (!many, tensor<1x?x8xf32, #lm.dims<"chunk">>)
  return %out : !many
}

// Without a cache there is a block for each tile of queries.
// CHECK-LABEL: func.func @forward(
// CHECK-NEXT:    lm.attention %
// FORCED-LABEL: func.func @forward(
// FORCED-NEXT:    lm.attention %
func.func @forward(%q: !cache) -> !cache {
  %out, %lse = lm.attention %q, %q, %q {causal, scale = 0.125 : f64} : (!cache, !cache, !cache) -> (!cache, tensor<1x4096x2xf32>)
  return %out : !cache
}
