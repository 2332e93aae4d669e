// RUN: lmc-opt %s -lm-flash-attention | FileCheck %s
// RUN: lmc-opt %s -lm-flash-attention=items=2 | FileCheck %s --check-prefix=WHOLE

// No value has both T and S: the scores are recomputed inside the kernels. Two items are few.
// CHECK-LABEL: func.func @grad(
// CHECK-SAME:    %[[Q:.*]]: tensor<1x7x4x6xf32>, %[[K:.*]]: tensor<1x7x2x6xf32>, %[[V:.*]]: tensor<1x7x2x6xf32>,
// CHECK-SAME:    %[[OUT:.*]]: tensor<1x7x4x6xf32>, %[[LSE:.*]]: tensor<1x7x4xf32>, %[[DOUT:.*]]: tensor<1x7x4x6xf32>)
// CHECK-NOT:     7x7
// CHECK:         %[[P:.*]] = lm.mul %[[DOUT]], %[[OUT]]
// CHECK:         %[[DELTA:.*]] = lm.reduce %[[P]] {dims = array<i64: 3>, kind = "sum"} : {{.*}} -> tensor<1x7x4xf32>
// CHECK:         %[[DQ:.*]] = lm.attention_dq %[[Q]], %[[K]], %[[V]], %[[LSE]], %[[DELTA]], %[[DOUT]] {causal, scale = 5.000000e-01 : f64}
// CHECK:         %[[DK:.*]], %[[DV:.*]] = lm.attention_dkdv %[[Q]], %[[K]], %[[V]], %[[LSE]], %[[DELTA]], %[[DOUT]] {causal, scale = 5.000000e-01 : f64}
// CHECK:         return %[[DQ]], %[[DK]], %[[DV]]
// WHOLE-LABEL: func.func @grad(
// WHOLE:         %[[DQ:.*]], %[[DK:.*]], %[[DV:.*]] = lm.attention_dqkv
// WHOLE-NEXT:    return %[[DQ]], %[[DK]], %[[DV]]
func.func @grad(%q: tensor<1x7x4x6xf32>, %k: tensor<1x7x2x6xf32>, %v: tensor<1x7x2x6xf32>, %out: tensor<1x7x4x6xf32>, %lse: tensor<1x7x4xf32>, %dout: tensor<1x7x4x6xf32>)
    -> (tensor<1x7x4x6xf32>, tensor<1x7x2x6xf32>, tensor<1x7x2x6xf32>) {
  %dq, %dk, %dv = lm.attention_grad %q, %k, %v, %out, %lse, %dout {causal, scale = 0.5 : f64}
      : (tensor<1x7x4x6xf32>, tensor<1x7x2x6xf32>, tensor<1x7x2x6xf32>, tensor<1x7x4x6xf32>, tensor<1x7x4xf32>, tensor<1x7x4x6xf32>)
      -> (tensor<1x7x4x6xf32>, tensor<1x7x2x6xf32>, tensor<1x7x2x6xf32>)
  return %dq, %dk, %dv : tensor<1x7x4x6xf32>, tensor<1x7x2x6xf32>, tensor<1x7x2x6xf32>
}

// Four entries times two key heads are enough for one kernel.
// CHECK-LABEL: func.func @many(
// CHECK-SAME:    %[[Q:.*]]: tensor<4x7x4x6xf32>, %[[K:.*]]: tensor<4x7x2x6xf32>, %[[V:.*]]: tensor<4x7x2x6xf32>,
// CHECK-SAME:    %[[OUT:.*]]: tensor<4x7x4x6xf32>, %[[LSE:.*]]: tensor<4x7x4xf32>, %[[DOUT:.*]]: tensor<4x7x4x6xf32>)
// CHECK:         %[[DELTA:.*]] = lm.reduce
// CHECK-NEXT:    %[[DQ:.*]], %[[DK:.*]], %[[DV:.*]] = lm.attention_dqkv %[[Q]], %[[K]], %[[V]], %[[LSE]], %[[DELTA]], %[[DOUT]] {scale = 5.000000e-01 : f64}
// CHECK-NEXT:    return %[[DQ]], %[[DK]], %[[DV]]
func.func @many(%q: tensor<4x7x4x6xf32>, %k: tensor<4x7x2x6xf32>, %v: tensor<4x7x2x6xf32>, %out: tensor<4x7x4x6xf32>, %lse: tensor<4x7x4xf32>, %dout: tensor<4x7x4x6xf32>)
    -> (tensor<4x7x4x6xf32>, tensor<4x7x2x6xf32>, tensor<4x7x2x6xf32>) {
  %dq, %dk, %dv = lm.attention_grad %q, %k, %v, %out, %lse, %dout {scale = 0.5 : f64}
      : (tensor<4x7x4x6xf32>, tensor<4x7x2x6xf32>, tensor<4x7x2x6xf32>, tensor<4x7x4x6xf32>, tensor<4x7x4xf32>, tensor<4x7x4x6xf32>)
      -> (tensor<4x7x4x6xf32>, tensor<4x7x2x6xf32>, tensor<4x7x2x6xf32>)
  return %dq, %dk, %dv : tensor<4x7x4x6xf32>, tensor<4x7x2x6xf32>, tensor<4x7x2x6xf32>
}

// A batch whose size is not known counts as one entry.
// CHECK-LABEL: func.func @symbolic(
// CHECK:         lm.attention_dq %
// CHECK:         lm.attention_dkdv
func.func @symbolic(%q: tensor<?x7x4x6xf32, #lm.dims<"B">>, %lse: tensor<?x7x4xf32, #lm.dims<"B">>)
    -> tensor<?x7x4x6xf32, #lm.dims<"B">> attributes {lm.ranges = {B = array<i64: 1, 9>}} {
  %dq, %dk, %dv = lm.attention_grad %q, %q, %q, %q, %lse, %q {scale = 0.5 : f64}
      : (tensor<?x7x4x6xf32, #lm.dims<"B">>, tensor<?x7x4x6xf32, #lm.dims<"B">>, tensor<?x7x4x6xf32, #lm.dims<"B">>, tensor<?x7x4x6xf32, #lm.dims<"B">>, tensor<?x7x4xf32, #lm.dims<"B">>, tensor<?x7x4x6xf32, #lm.dims<"B">>)
      -> (tensor<?x7x4x6xf32, #lm.dims<"B">>, tensor<?x7x4x6xf32, #lm.dims<"B">>, tensor<?x7x4x6xf32, #lm.dims<"B">>)
  return %dq : tensor<?x7x4x6xf32, #lm.dims<"B">>
}

// The forward is one kernel as it is.
// CHECK-LABEL: func.func @forward(
// CHECK-NEXT:    lm.attention
// CHECK-NEXT:    return
func.func @forward(%q: tensor<1x7x4x6xf32>, %k: tensor<1x7x2x6xf32>) -> tensor<1x7x4x6xf32> {
  %out, %lse = lm.attention %q, %k, %k {causal, scale = 0.5 : f64} : (tensor<1x7x4x6xf32>, tensor<1x7x2x6xf32>, tensor<1x7x2x6xf32>) -> (tensor<1x7x4x6xf32>, tensor<1x7x4xf32>)
  return %out : tensor<1x7x4x6xf32>
}

// What modifies the scores goes along.
// CHECK-LABEL: func.func @modified(
// CHECK:         lm.attention_dq %{{.*}} {causal, scale = 5.000000e-01 : f64, soft_cap = 3.000000e+01 : f64, window = 4 : i64}
// CHECK:         lm.attention_dkdv %{{.*}} {causal, scale = 5.000000e-01 : f64, soft_cap = 3.000000e+01 : f64, window = 4 : i64}
// WHOLE-LABEL: func.func @modified(
// WHOLE:         lm.attention_dqkv %{{.*}} {causal, scale = 5.000000e-01 : f64, soft_cap = 3.000000e+01 : f64, window = 4 : i64}
func.func @modified(%q: tensor<1x7x4x6xf32>, %k: tensor<1x7x2x6xf32>, %v: tensor<1x7x2x6xf32>, %out: tensor<1x7x4x6xf32>, %lse: tensor<1x7x4xf32>, %dout: tensor<1x7x4x6xf32>)
    -> (tensor<1x7x4x6xf32>, tensor<1x7x2x6xf32>, tensor<1x7x2x6xf32>) {
  %dq, %dk, %dv = lm.attention_grad %q, %k, %v, %out, %lse, %dout {causal, scale = 0.5 : f64, window = 4 : i64, soft_cap = 30.0 : f64}
      : (tensor<1x7x4x6xf32>, tensor<1x7x2x6xf32>, tensor<1x7x2x6xf32>, tensor<1x7x4x6xf32>, tensor<1x7x4xf32>, tensor<1x7x4x6xf32>)
      -> (tensor<1x7x4x6xf32>, tensor<1x7x2x6xf32>, tensor<1x7x2x6xf32>)
  return %dq, %dk, %dv : tensor<1x7x4x6xf32>, tensor<1x7x2x6xf32>, tensor<1x7x2x6xf32>
}
