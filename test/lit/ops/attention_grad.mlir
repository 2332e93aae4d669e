// RUN: lmc-opt %s -split-input-file -verify-diagnostics | lmc-opt -split-input-file | FileCheck %s

// CHECK-LABEL: func.func @attention_grad_0
// CHECK: lm.attention_grad %{{.*}}, %{{.*}}, %{{.*}}, %{{.*}}, %{{.*}}, %{{.*}} {causal, scale = 5.000000e-01 : f64} : (tensor<2x3x4x6xf32>, tensor<2x3x2x6xf32>, tensor<2x3x2x6xf32>, tensor<2x3x4x6xf32>, tensor<2x3x4xf32>, tensor<2x3x4x6xf32>) -> (tensor<2x3x4x6xf32>, tensor<2x3x2x6xf32>, tensor<2x3x2x6xf32>)
func.func @attention_grad_0(%q: tensor<2x3x4x6xf32>, %k: tensor<2x3x2x6xf32>, %v: tensor<2x3x2x6xf32>, %out: tensor<2x3x4x6xf32>, %lse: tensor<2x3x4xf32>, %dout: tensor<2x3x4x6xf32>) -> (tensor<2x3x4x6xf32>, tensor<2x3x2x6xf32>, tensor<2x3x2x6xf32>) {
  %y:3 = lm.attention_grad %q, %k, %v, %out, %lse, %dout {causal, scale = 5.000000e-01 : f64} : (tensor<2x3x4x6xf32>, tensor<2x3x2x6xf32>, tensor<2x3x2x6xf32>, tensor<2x3x4x6xf32>, tensor<2x3x4xf32>, tensor<2x3x4x6xf32>) -> (tensor<2x3x4x6xf32>, tensor<2x3x2x6xf32>, tensor<2x3x2x6xf32>)
  return %y#0, %y#1, %y#2 : tensor<2x3x4x6xf32>, tensor<2x3x2x6xf32>, tensor<2x3x2x6xf32>
}

// -----

// CHECK-LABEL: func.func @attention_grad_modified
// CHECK: lm.attention_grad {{.*}} {causal, scale = 5.000000e-01 : f64, soft_cap = 5.000000e+01 : f64, window = 2 : i64} :
func.func @attention_grad_modified(%q: tensor<2x3x4x6xf32>, %k: tensor<2x3x2x6xf32>, %v: tensor<2x3x2x6xf32>, %out: tensor<2x3x4x6xf32>, %lse: tensor<2x3x4xf32>, %dout: tensor<2x3x4x6xf32>) -> (tensor<2x3x4x6xf32>, tensor<2x3x2x6xf32>, tensor<2x3x2x6xf32>) {
  %y:3 = lm.attention_grad %q, %k, %v, %out, %lse, %dout {causal, scale = 5.000000e-01 : f64, soft_cap = 5.000000e+01 : f64, window = 2 : i64} : (tensor<2x3x4x6xf32>, tensor<2x3x2x6xf32>, tensor<2x3x2x6xf32>, tensor<2x3x4x6xf32>, tensor<2x3x4xf32>, tensor<2x3x4x6xf32>) -> (tensor<2x3x4x6xf32>, tensor<2x3x2x6xf32>, tensor<2x3x2x6xf32>)
  return %y#0, %y#1, %y#2 : tensor<2x3x4x6xf32>, tensor<2x3x2x6xf32>, tensor<2x3x2x6xf32>
}

// -----

func.func @refused(%q: tensor<2x3x4x6xf32>, %k: tensor<2x7x2x6xf32>, %v: tensor<2x7x2x6xf32>, %out: tensor<2x3x4x6xf32>, %lse: tensor<2x3x4xf32>, %dout: tensor<2x3x4x6xf32>) -> (tensor<2x3x4x6xf32>, tensor<2x3x2x6xf32>, tensor<2x3x2x6xf32>) {
  // expected-error@+2 {{attention's adjoint needs as many keys as queries, got [2, 3, 4, 6] and [2, 7, 2, 6]}}
  // expected-error@+1 {{failed to infer returned types}}
  %y:3 = lm.attention_grad %q, %k, %v, %out, %lse, %dout {scale = 5.000000e-01 : f64} : (tensor<2x3x4x6xf32>, tensor<2x7x2x6xf32>, tensor<2x7x2x6xf32>, tensor<2x3x4x6xf32>, tensor<2x3x4xf32>, tensor<2x3x4x6xf32>) -> (tensor<2x3x4x6xf32>, tensor<2x3x2x6xf32>, tensor<2x3x2x6xf32>)
  return %y#0, %y#1, %y#2 : tensor<2x3x4x6xf32>, tensor<2x3x2x6xf32>, tensor<2x3x2x6xf32>
}

// -----

func.func @refused(%q: tensor<2x3x4x6xf32>, %k: tensor<2x3x2x6xf32>, %v: tensor<2x3x2x6xf32>, %out: tensor<2x3x4x6xf32>, %lse: tensor<2x3x4xf32>, %dout: tensor<2x3x2x6xf32>) -> (tensor<2x3x4x6xf32>, tensor<2x3x2x6xf32>, tensor<2x3x2x6xf32>) {
  // expected-error@+2 {{out and dout must have q's type 'tensor<2x3x4x6xf32>', got 'tensor<2x3x2x6xf32>'}}
  // expected-error@+1 {{failed to infer returned types}}
  %y:3 = lm.attention_grad %q, %k, %v, %out, %lse, %dout {scale = 5.000000e-01 : f64} : (tensor<2x3x4x6xf32>, tensor<2x3x2x6xf32>, tensor<2x3x2x6xf32>, tensor<2x3x4x6xf32>, tensor<2x3x4xf32>, tensor<2x3x2x6xf32>) -> (tensor<2x3x4x6xf32>, tensor<2x3x2x6xf32>, tensor<2x3x2x6xf32>)
  return %y#0, %y#1, %y#2 : tensor<2x3x4x6xf32>, tensor<2x3x2x6xf32>, tensor<2x3x2x6xf32>
}

// -----

func.func @refused(%q: tensor<2x3x4x6xf32>, %k: tensor<2x3x2x6xf32>, %v: tensor<2x3x2x6xf32>, %out: tensor<2x3x4x6xf32>, %lse: tensor<2x3x2xf32>, %dout: tensor<2x3x4x6xf32>) -> (tensor<2x3x4x6xf32>, tensor<2x3x2x6xf32>, tensor<2x3x2x6xf32>) {
  // expected-error@+2 {{lse and delta must be 'tensor<2x3x4xf32>', got 'tensor<2x3x2xf32>'}}
  // expected-error@+1 {{failed to infer returned types}}
  %y:3 = lm.attention_grad %q, %k, %v, %out, %lse, %dout {scale = 5.000000e-01 : f64} : (tensor<2x3x4x6xf32>, tensor<2x3x2x6xf32>, tensor<2x3x2x6xf32>, tensor<2x3x4x6xf32>, tensor<2x3x2xf32>, tensor<2x3x4x6xf32>) -> (tensor<2x3x4x6xf32>, tensor<2x3x2x6xf32>, tensor<2x3x2x6xf32>)
  return %y#0, %y#1, %y#2 : tensor<2x3x4x6xf32>, tensor<2x3x2x6xf32>, tensor<2x3x2x6xf32>
}

// -----

func.func @refused(%q: tensor<2x3x4x6xf32>, %k: tensor<2x3x2x6xf32>, %v: tensor<2x7x2x6xf32>, %out: tensor<2x3x4x6xf32>, %lse: tensor<2x3x4xf32>, %dout: tensor<2x3x4x6xf32>) -> (tensor<2x3x4x6xf32>, tensor<2x3x2x6xf32>, tensor<2x3x2x6xf32>) {
  // expected-error@+2 {{attention needs q [B, T, H, D] and k, v [B, S, G, D]}}
  // expected-error@+1 {{failed to infer returned types}}
  %y:3 = lm.attention_grad %q, %k, %v, %out, %lse, %dout {scale = 5.000000e-01 : f64} : (tensor<2x3x4x6xf32>, tensor<2x3x2x6xf32>, tensor<2x7x2x6xf32>, tensor<2x3x4x6xf32>, tensor<2x3x4xf32>, tensor<2x3x4x6xf32>) -> (tensor<2x3x4x6xf32>, tensor<2x3x2x6xf32>, tensor<2x3x2x6xf32>)
  return %y#0, %y#1, %y#2 : tensor<2x3x4x6xf32>, tensor<2x3x2x6xf32>, tensor<2x3x2x6xf32>
}

// -----

func.func @refused(%q: tensor<2x3x4x6xf32>, %k: tensor<2x3x2x6xf32>, %v: tensor<2x3x2x6xf32>, %out: tensor<2x3x4x6xf32>, %lse: tensor<2x3x4xf32>, %dout: tensor<2x3x4x6xf32>) -> (tensor<2x3x4x6xf32>, tensor<2x3x2x6xf32>, tensor<2x3x2x6xf32>) {
  // expected-error@+2 {{attention's window must be a positive number of keys, got 0}}
  // expected-error@+1 {{failed to infer returned types}}
  %y:3 = lm.attention_grad %q, %k, %v, %out, %lse, %dout {causal, scale = 5.000000e-01 : f64, window = 0 : i64} : (tensor<2x3x4x6xf32>, tensor<2x3x2x6xf32>, tensor<2x3x2x6xf32>, tensor<2x3x4x6xf32>, tensor<2x3x4xf32>, tensor<2x3x4x6xf32>) -> (tensor<2x3x4x6xf32>, tensor<2x3x2x6xf32>, tensor<2x3x2x6xf32>)
  return %y#0, %y#1, %y#2 : tensor<2x3x4x6xf32>, tensor<2x3x2x6xf32>, tensor<2x3x2x6xf32>
}

// -----

func.func @refused(%q: tensor<2x3x4x6xf32>, %k: tensor<2x3x2x6xf32>, %v: tensor<2x3x2x6xf32>, %out: tensor<2x3x4x6xf32>, %lse: tensor<2x3x4xf32>, %dout: tensor<2x3x4x6xf32>) -> (tensor<2x3x4x6xf32>, tensor<2x3x2x6xf32>, tensor<2x3x2x6xf32>) {
  // expected-error@+2 {{attention's window (2) is counted back from a query's own position and needs 'causal'}}
  // expected-error@+1 {{failed to infer returned types}}
  %y:3 = lm.attention_grad %q, %k, %v, %out, %lse, %dout {scale = 5.000000e-01 : f64, window = 2 : i64} : (tensor<2x3x4x6xf32>, tensor<2x3x2x6xf32>, tensor<2x3x2x6xf32>, tensor<2x3x4x6xf32>, tensor<2x3x4xf32>, tensor<2x3x4x6xf32>) -> (tensor<2x3x4x6xf32>, tensor<2x3x2x6xf32>, tensor<2x3x2x6xf32>)
  return %y#0, %y#1, %y#2 : tensor<2x3x4x6xf32>, tensor<2x3x2x6xf32>, tensor<2x3x2x6xf32>
}

// -----

func.func @refused(%q: tensor<2x3x4x6xf32>, %k: tensor<2x3x2x6xf32>, %v: tensor<2x3x2x6xf32>, %out: tensor<2x3x4x6xf32>, %lse: tensor<2x3x4xf32>, %dout: tensor<2x3x4x6xf32>) -> (tensor<2x3x4x6xf32>, tensor<2x3x2x6xf32>, tensor<2x3x2x6xf32>) {
  // expected-error@+2 {{attention's soft_cap must be positive and finite, got -1}}
  // expected-error@+1 {{failed to infer returned types}}
  %y:3 = lm.attention_grad %q, %k, %v, %out, %lse, %dout {scale = 5.000000e-01 : f64, soft_cap = -1.0 : f64} : (tensor<2x3x4x6xf32>, tensor<2x3x2x6xf32>, tensor<2x3x2x6xf32>, tensor<2x3x4x6xf32>, tensor<2x3x4xf32>, tensor<2x3x4x6xf32>) -> (tensor<2x3x4x6xf32>, tensor<2x3x2x6xf32>, tensor<2x3x2x6xf32>)
  return %y#0, %y#1, %y#2 : tensor<2x3x4x6xf32>, tensor<2x3x2x6xf32>, tensor<2x3x2x6xf32>
}
