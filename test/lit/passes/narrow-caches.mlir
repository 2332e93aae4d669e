// RUN: lmc-opt %s -lm-narrow-caches | FileCheck %s
// RUN: lmc-opt %s -lm-narrow-caches -lm-fuse-kernels -lm-plan-memory | FileCheck %s --check-prefix=PLAN
// RUN: lmc-opt %s -lm-narrow-caches=format=q8_0 | FileCheck %s --check-prefix=BYTES
// RUN: lmc-opt %s -lm-narrow-caches=format=q8_0 -lm-fuse-kernels -lm-plan-memory | FileCheck %s --check-prefix=BYTES-PLAN
// RUN: not lmc-opt %s -lm-narrow-caches=format=q4_0 2>&1 | FileCheck %s --check-prefix=UNKNOWN
// UNKNOWN: error: unknown format of caches 'q4_0': expected f16 or q8_0

// The cache is f16 in and out; attention reads it where it lies, so one kernel has both.
// PLAN:        plan.tensor @k "cache" tensor<1x6x2x8xf16>
// PLAN:        plan.kernel @{{.*}} "attention"
// PLAN-NEXT:   tensor<1x1x4x8xf32>, %{{.*}}: tensor<1x6x2x8xf16>
// CHECK-LABEL: func.func @decode(
// CHECK-SAME:    %arg2: tensor<1x6x2x8xf16> {lm.name = "k"
// CHECK-SAME:    -> (tensor<1x1x4x8xf32> {lm.name = "y"
// CHECK-SAME:    tensor<1x6x2x8xf16> {lm.name = "k"
// CHECK:         %[[NEW:.*]] = lm.convert %arg1 : (tensor<1x1x2x8xf32>) -> tensor<1x1x2x8xf16>
// CHECK:         %[[KEPT:.*]] = lm.cache_append %arg2, %[[NEW]], %arg3
// CHECK:         %[[KEYS:.*]] = lm.convert %[[KEPT]] : (tensor<1x6x2x8xf16>) -> tensor<1x6x2x8xf32>
// CHECK:         lm.attention %arg0, %[[KEYS]], %[[KEYS]], %arg3
// CHECK:         return %{{.*}}, %[[KEPT]]

// Or bytes: a scale and 8 codes a row. The append rounds, attention reads the rows.
// BYTES-LABEL: func.func @decode(
// BYTES-SAME:    %arg2: tensor<1x6x2x10xi8> {lm.name = "k"
// BYTES-SAME:    tensor<1x6x2x10xi8> {lm.name = "k"
// BYTES-NEXT:    %[[KEPT:.*]] = lm.cache_append %arg2, %arg1, %arg3 : (tensor<1x6x2x10xi8>, tensor<1x1x2x8xf32>, tensor<i32>) -> tensor<1x6x2x10xi8>
// BYTES-NEXT:    lm.attention %arg0, %[[KEPT]], %[[KEPT]], %arg3
// BYTES-NEXT:    return %{{.*}}, %[[KEPT]]
// BYTES-PLAN:        plan.tensor @k "cache" tensor<1x6x2x10xi8>
// BYTES-PLAN:        plan.kernel @{{.*}} "attention"
// BYTES-PLAN-NEXT:   tensor<1x1x4x8xf32>, %{{.*}}: tensor<1x6x2x10xi8>
func.func @decode(%q: tensor<1x1x4x8xf32> {lm.name = "q", lm.role = "input"}, %new: tensor<1x1x2x8xf32> {lm.name = "new", lm.role = "input"},
                  %k: tensor<1x6x2x8xf32> {lm.name = "k", lm.role = "cache"}, %past: tensor<i32> {lm.name = "past", lm.role = "input"})
    -> (tensor<1x1x4x8xf32> {lm.name = "y", lm.role = "output"}, tensor<1x6x2x8xf32> {lm.name = "k", lm.role = "cache", lm.updates = 2 : i64}) {
  %all = lm.cache_append %k, %new, %past : (tensor<1x6x2x8xf32>, tensor<1x1x2x8xf32>, tensor<i32>) -> tensor<1x6x2x8xf32>
  %y, %lse = lm.attention %q, %all, %all, %past {causal, scale = 0.5 : f64} : (tensor<1x1x4x8xf32>, tensor<1x6x2x8xf32>, tensor<1x6x2x8xf32>, tensor<i32>) -> (tensor<1x1x4x8xf32>, tensor<1x1x4xf32>)
  return %y, %all : tensor<1x1x4x8xf32>, tensor<1x6x2x8xf32>
}
