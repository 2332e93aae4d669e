// RUN: lmc-opt %s -lm-flash-attention | FileCheck %s

// No value has both T and S: the scores are recomputed inside the two kernels.
// CHECK-LABEL: func.func @grad(
// CHECK-SAME:    %[[Q:.*]]: tensor<1x7x4x6xf32>, %[[K:.*]]: tensor<1x7x2x6xf32>, %[[V:.*]]: tensor<1x7x2x6xf32>,
// CHECK-SAME:    %[[OUT:.*]]: tensor<1x7x4x6xf32>, %[[LSE:.*]]: tensor<1x7x4xf32>, %[[DOUT:.*]]: tensor<1x7x4x6xf32>)
// CHECK-NOT:     7x7
// CHECK:         %[[P:.*]] = lm.mul %[[DOUT]], %[[OUT]]
// CHECK:         %[[DELTA:.*]] = lm.reduce %[[P]] {dims = array<i64: 3>, kind = "sum"} : {{.*}} -> tensor<1x7x4xf32>
// CHECK:         %[[DQ:.*]] = lm.attention_dq %[[Q]], %[[K]], %[[V]], %[[LSE]], %[[DELTA]], %[[DOUT]] {causal, scale = 5.000000e-01 : f64}
// CHECK:         %[[DK:.*]], %[[DV:.*]] = lm.attention_dkdv %[[Q]], %[[K]], %[[V]], %[[LSE]], %[[DELTA]], %[[DOUT]] {causal, scale = 5.000000e-01 : f64}
// CHECK:         return %[[DQ]], %[[DK]], %[[DV]]
func.func @grad(%q: tensor<1x7x4x6xf32>, %k: tensor<1x7x2x6xf32>, %v: tensor<1x7x2x6xf32>, %out: tensor<1x7x4x6xf32>, %lse: tensor<1x7x4xf32>, %dout: tensor<1x7x4x6xf32>)
    -> (tensor<1x7x4x6xf32>, tensor<1x7x2x6xf32>, tensor<1x7x2x6xf32>) {
  %dq, %dk, %dv = lm.attention_grad %q, %k, %v, %out, %lse, %dout {causal, scale = 0.5 : f64}
      : (tensor<1x7x4x6xf32>, tensor<1x7x2x6xf32>, tensor<1x7x2x6xf32>, tensor<1x7x4x6xf32>, tensor<1x7x4xf32>, tensor<1x7x4x6xf32>)
      -> (tensor<1x7x4x6xf32>, tensor<1x7x2x6xf32>, tensor<1x7x2x6xf32>)
  return %dq, %dk, %dv : tensor<1x7x4x6xf32>, tensor<1x7x2x6xf32>, tensor<1x7x2x6xf32>
}

// The forward is one kernel as it is.
// CHECK-LABEL: func.func @forward(
// CHECK-NEXT:    lm.attention
// CHECK-NEXT:    return
func.func @forward(%q: tensor<1x7x4x6xf32>, %k: tensor<1x7x2x6xf32>) -> tensor<1x7x4x6xf32> {
  %out, %lse = lm.attention %q, %k, %k {causal, scale = 0.5 : f64} : (tensor<1x7x4x6xf32>, tensor<1x7x2x6xf32>, tensor<1x7x2x6xf32>) -> (tensor<1x7x4x6xf32>, tensor<1x7x4xf32>)
  return %out : tensor<1x7x4x6xf32>
}
