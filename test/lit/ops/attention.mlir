// RUN: lmc-opt %s -split-input-file -verify-diagnostics | lmc-opt -split-input-file | FileCheck %s

// CHECK-LABEL: func.func @attention_0
// CHECK: lm.attention %{{.*}}, %{{.*}}, %{{.*}} {causal, scale = 5.000000e-01 : f64} : (tensor<2x3x4x6xf32>, tensor<2x3x2x6xf32>, tensor<2x3x2x6xf32>) -> (tensor<2x3x4x6xf32>, tensor<2x3x4xf32>)
func.func @attention_0(%q: tensor<2x3x4x6xf32>, %k: tensor<2x3x2x6xf32>, %v: tensor<2x3x2x6xf32>) -> (tensor<2x3x4x6xf32>, tensor<2x3x4xf32>) {
  %y:2 = lm.attention %q, %k, %v {causal, scale = 5.000000e-01 : f64} : (tensor<2x3x4x6xf32>, tensor<2x3x2x6xf32>, tensor<2x3x2x6xf32>) -> (tensor<2x3x4x6xf32>, tensor<2x3x4xf32>)
  return %y#0, %y#1 : tensor<2x3x4x6xf32>, tensor<2x3x4xf32>
}

// -----

// CHECK-LABEL: func.func @attention_1
// CHECK: lm.attention %{{.*}}, %{{.*}}, %{{.*}}, %{{.*}} {scale = 5.000000e-01 : f64} : (tensor<2x3x4x6xf32>, tensor<2x7x2x6xf32>, tensor<2x7x2x6xf32>, tensor<i32>) -> (tensor<2x3x4x6xf32>, tensor<2x3x4xf32>)
func.func @attention_1(%q: tensor<2x3x4x6xf32>, %k: tensor<2x7x2x6xf32>, %v: tensor<2x7x2x6xf32>, %past: tensor<i32>) -> (tensor<2x3x4x6xf32>, tensor<2x3x4xf32>) {
  %y:2 = lm.attention %q, %k, %v, %past {scale = 5.000000e-01 : f64} : (tensor<2x3x4x6xf32>, tensor<2x7x2x6xf32>, tensor<2x7x2x6xf32>, tensor<i32>) -> (tensor<2x3x4x6xf32>, tensor<2x3x4xf32>)
  return %y#0, %y#1 : tensor<2x3x4x6xf32>, tensor<2x3x4xf32>
}

// -----

// CHECK-LABEL: func.func @attention_modified
// CHECK: lm.attention {{.*}} {causal, scale = 5.000000e-01 : f64, soft_cap = 5.000000e+01 : f64, window = 2 : i64} :
func.func @attention_modified(%q: tensor<2x3x4x6xf32>, %k: tensor<2x3x2x6xf32>, %v: tensor<2x3x2x6xf32>) -> (tensor<2x3x4x6xf32>, tensor<2x3x4xf32>) {
  %y:2 = lm.attention %q, %k, %v {causal, scale = 5.000000e-01 : f64, soft_cap = 5.000000e+01 : f64, window = 2 : i64} : (tensor<2x3x4x6xf32>, tensor<2x3x2x6xf32>, tensor<2x3x2x6xf32>) -> (tensor<2x3x4x6xf32>, tensor<2x3x4xf32>)
  return %y#0, %y#1 : tensor<2x3x4x6xf32>, tensor<2x3x4xf32>
}

// -----

// CHECK-LABEL: func.func @attention_over_bytes
// CHECK: lm.attention {{.*}} : (tensor<2x3x4x40xf32>, tensor<2x7x2x44xi8>, tensor<2x7x2x44xi8>, tensor<i32>) -> (tensor<2x3x4x40xf32>, tensor<2x3x4xf32>)
func.func @attention_over_bytes(%q: tensor<2x3x4x40xf32>, %k: tensor<2x7x2x44xi8>, %v: tensor<2x7x2x44xi8>, %past: tensor<i32>) -> (tensor<2x3x4x40xf32>, tensor<2x3x4xf32>) {
  %y:2 = lm.attention %q, %k, %v, %past {causal, scale = 5.000000e-01 : f64} : (tensor<2x3x4x40xf32>, tensor<2x7x2x44xi8>, tensor<2x7x2x44xi8>, tensor<i32>) -> (tensor<2x3x4x40xf32>, tensor<2x3x4xf32>)
  return %y#0, %y#1 : tensor<2x3x4x40xf32>, tensor<2x3x4xf32>
}

// -----

func.func @refused(%q: tensor<2x3x4x6xf32>, %k: tensor<2x3x2x6xf32>, %v: tensor<2x7x2x6xf32>) -> (tensor<2x3x4x6xf32>, tensor<2x3x4xf32>) {
  // expected-error@+2 {{attention needs q [B, T, H, D] and k, v [B, S, G, D], got [2, 3, 4, 6], [2, 3, 2, 6], [2, 7, 2, 6]}}
  // expected-error@+1 {{failed to infer returned types}}
  %y:2 = lm.attention %q, %k, %v {scale = 5.000000e-01 : f64} : (tensor<2x3x4x6xf32>, tensor<2x3x2x6xf32>, tensor<2x7x2x6xf32>) -> (tensor<2x3x4x6xf32>, tensor<2x3x4xf32>)
  return %y#0, %y#1 : tensor<2x3x4x6xf32>, tensor<2x3x4xf32>
}

// -----

func.func @refused(%q: tensor<2x3x4x6xf32>, %k: tensor<2x3x2x5xf32>, %v: tensor<2x3x2x5xf32>) -> (tensor<2x3x4x6xf32>, tensor<2x3x4xf32>) {
  // expected-error@+2 {{attention q [2, 3, 4, 6] and k [2, 3, 2, 5] differ in B or D}}
  // expected-error@+1 {{failed to infer returned types}}
  %y:2 = lm.attention %q, %k, %v {scale = 5.000000e-01 : f64} : (tensor<2x3x4x6xf32>, tensor<2x3x2x5xf32>, tensor<2x3x2x5xf32>) -> (tensor<2x3x4x6xf32>, tensor<2x3x4xf32>)
  return %y#0, %y#1 : tensor<2x3x4x6xf32>, tensor<2x3x4xf32>
}

// -----

func.func @refused(%q: tensor<2x3x4x6xf32>, %k: tensor<2x3x3x6xf32>, %v: tensor<2x3x3x6xf32>) -> (tensor<2x3x4x6xf32>, tensor<2x3x4xf32>) {
  // expected-error@+2 {{attention heads ([2, 3, 4, 6]) must be a multiple of key heads ([2, 3, 3, 6])}}
  // expected-error@+1 {{failed to infer returned types}}
  %y:2 = lm.attention %q, %k, %v {scale = 5.000000e-01 : f64} : (tensor<2x3x4x6xf32>, tensor<2x3x3x6xf32>, tensor<2x3x3x6xf32>) -> (tensor<2x3x4x6xf32>, tensor<2x3x4xf32>)
  return %y#0, %y#1 : tensor<2x3x4x6xf32>, tensor<2x3x4xf32>
}

// -----

func.func @refused(%q: tensor<2x3x4x6xf32>, %k: tensor<2x3x2x6xf64>, %v: tensor<2x3x2x6xf64>) -> (tensor<2x3x4x6xf32>, tensor<2x3x4xf32>) {
  // expected-error@+2 {{attention q, k and v differ in their element types}}
  // expected-error@+1 {{failed to infer returned types}}
  %y:2 = lm.attention %q, %k, %v {scale = 5.000000e-01 : f64} : (tensor<2x3x4x6xf32>, tensor<2x3x2x6xf64>, tensor<2x3x2x6xf64>) -> (tensor<2x3x4x6xf32>, tensor<2x3x4xf32>)
  return %y#0, %y#1 : tensor<2x3x4x6xf32>, tensor<2x3x4xf32>
}

// -----

func.func @refused(%q: tensor<2x3x4x6xf32>, %k: tensor<2x7x2x6xf32>, %v: tensor<2x7x2x6xf32>) -> (tensor<2x3x4x6xf32>, tensor<2x3x4xf32>) {
  // expected-error@+2 {{attention over [2, 7, 2, 6] keys needs the number of past tokens}}
  // expected-error@+1 {{failed to infer returned types}}
  %y:2 = lm.attention %q, %k, %v {scale = 5.000000e-01 : f64} : (tensor<2x3x4x6xf32>, tensor<2x7x2x6xf32>, tensor<2x7x2x6xf32>) -> (tensor<2x3x4x6xf32>, tensor<2x3x4xf32>)
  return %y#0, %y#1 : tensor<2x3x4x6xf32>, tensor<2x3x4xf32>
}

// -----

func.func @refused(%q: tensor<2x3x4x6xf32>, %k: tensor<2x7x2x6xf32>, %v: tensor<2x7x2x6xf32>, %past: tensor<1xi32>) -> (tensor<2x3x4x6xf32>, tensor<2x3x4xf32>) {
  // expected-error@+2 {{past must be a scalar or [2], got 'tensor<1xi32>'}}
  // expected-error@+1 {{failed to infer returned types}}
  %y:2 = lm.attention %q, %k, %v, %past {scale = 5.000000e-01 : f64} : (tensor<2x3x4x6xf32>, tensor<2x7x2x6xf32>, tensor<2x7x2x6xf32>, tensor<1xi32>) -> (tensor<2x3x4x6xf32>, tensor<2x3x4xf32>)
  return %y#0, %y#1 : tensor<2x3x4x6xf32>, tensor<2x3x4xf32>
}

// -----

func.func @refused(%q: tensor<2x3x4x6xf32>, %k: tensor<2x3x2x6xf32>, %v: tensor<2x3x2x6xf32>) -> (tensor<2x3x4x6xf32>, tensor<2x3x4xf32>) {
  // expected-error@+2 {{attention's window must be a positive number of keys, got 0}}
  // expected-error@+1 {{failed to infer returned types}}
  %y:2 = lm.attention %q, %k, %v {causal, scale = 5.000000e-01 : f64, window = 0 : i64} : (tensor<2x3x4x6xf32>, tensor<2x3x2x6xf32>, tensor<2x3x2x6xf32>) -> (tensor<2x3x4x6xf32>, tensor<2x3x4xf32>)
  return %y#0, %y#1 : tensor<2x3x4x6xf32>, tensor<2x3x4xf32>
}

// -----

func.func @refused(%q: tensor<2x3x4x6xf32>, %k: tensor<2x3x2x6xf32>, %v: tensor<2x3x2x6xf32>) -> (tensor<2x3x4x6xf32>, tensor<2x3x4xf32>) {
  // expected-error@+2 {{attention's window must be a positive number of keys, got -3}}
  // expected-error@+1 {{failed to infer returned types}}
  %y:2 = lm.attention %q, %k, %v {causal, scale = 5.000000e-01 : f64, window = -3 : i64} : (tensor<2x3x4x6xf32>, tensor<2x3x2x6xf32>, tensor<2x3x2x6xf32>) -> (tensor<2x3x4x6xf32>, tensor<2x3x4xf32>)
  return %y#0, %y#1 : tensor<2x3x4x6xf32>, tensor<2x3x4xf32>
}

// -----

func.func @refused(%q: tensor<2x3x4x6xf32>, %k: tensor<2x3x2x6xf32>, %v: tensor<2x3x2x6xf32>) -> (tensor<2x3x4x6xf32>, tensor<2x3x4xf32>) {
  // expected-error@+2 {{attention's window (2) is counted back from a query's own position and needs 'causal'}}
  // expected-error@+1 {{failed to infer returned types}}
  %y:2 = lm.attention %q, %k, %v {scale = 5.000000e-01 : f64, window = 2 : i64} : (tensor<2x3x4x6xf32>, tensor<2x3x2x6xf32>, tensor<2x3x2x6xf32>) -> (tensor<2x3x4x6xf32>, tensor<2x3x4xf32>)
  return %y#0, %y#1 : tensor<2x3x4x6xf32>, tensor<2x3x4xf32>
}

// -----

func.func @refused(%q: tensor<2x3x4x6xf32>, %k: tensor<2x3x2x6xf32>, %v: tensor<2x3x2x6xf32>) -> (tensor<2x3x4x6xf32>, tensor<2x3x4xf32>) {
  // expected-error@+2 {{attention's soft_cap must be positive and finite, got 0}}
  // expected-error@+1 {{failed to infer returned types}}
  %y:2 = lm.attention %q, %k, %v {scale = 5.000000e-01 : f64, soft_cap = 0.0 : f64} : (tensor<2x3x4x6xf32>, tensor<2x3x2x6xf32>, tensor<2x3x2x6xf32>) -> (tensor<2x3x4x6xf32>, tensor<2x3x4xf32>)
  return %y#0, %y#1 : tensor<2x3x4x6xf32>, tensor<2x3x4xf32>
}

// -----

func.func @refused(%q: tensor<2x3x4x6xf32>, %k: tensor<2x3x2x6xf32>, %v: tensor<2x3x2x6xf32>) -> (tensor<2x3x4x6xf32>, tensor<2x3x4xf32>) {
  // expected-error@+2 {{attention's soft_cap must be positive and finite, got -1}}
  // expected-error@+1 {{failed to infer returned types}}
  %y:2 = lm.attention %q, %k, %v {scale = 5.000000e-01 : f64, soft_cap = -1.0 : f64} : (tensor<2x3x4x6xf32>, tensor<2x3x2x6xf32>, tensor<2x3x2x6xf32>) -> (tensor<2x3x4x6xf32>, tensor<2x3x4xf32>)
  return %y#0, %y#1 : tensor<2x3x4x6xf32>, tensor<2x3x4xf32>
}

// -----

func.func @refused(%q: tensor<2x3x4x6xf32>, %k: tensor<2x3x2x6xf32>, %v: tensor<2x3x2x6xf32>) -> (tensor<2x3x4x6xf32>, tensor<2x3x4xf32>) {
  // expected-error@+2 {{attention's soft_cap must be positive and finite, got INF}}
  // expected-error@+1 {{failed to infer returned types}}
  %y:2 = lm.attention %q, %k, %v {scale = 5.000000e-01 : f64, soft_cap = 0x7FF0000000000000 : f64} : (tensor<2x3x4x6xf32>, tensor<2x3x2x6xf32>, tensor<2x3x2x6xf32>) -> (tensor<2x3x4x6xf32>, tensor<2x3x4xf32>)
  return %y#0, %y#1 : tensor<2x3x4x6xf32>, tensor<2x3x4xf32>
}

// -----

func.func @row_of_40_is_44_bytes(%q: tensor<2x3x4x40xf32>, %k: tensor<2x7x2x40xi8>, %v: tensor<2x7x2x40xi8>, %past: tensor<i32>) -> (tensor<2x3x4x40xf32>, tensor<2x3x4xf32>) {
  // expected-error@+2 {{attention q [2, 3, 4, 40] and k [2, 7, 2, 40] differ in B or D}}
  // expected-error@+1 {{failed to infer returned types}}
  %y:2 = lm.attention %q, %k, %v, %past {scale = 5.000000e-01 : f64} : (tensor<2x3x4x40xf32>, tensor<2x7x2x40xi8>, tensor<2x7x2x40xi8>, tensor<i32>) -> (tensor<2x3x4x40xf32>, tensor<2x3x4xf32>)
  return %y#0, %y#1 : tensor<2x3x4x40xf32>, tensor<2x3x4xf32>
}

// -----

// CHECK-LABEL: func.func @attention_paged
// CHECK: lm.attention %{{.*}}, %{{.*}}, %{{.*}}, %{{.*}}, %{{.*}} {causal, scale = 5.000000e-01 : f64} : (tensor<?x3x4x6xf32, #lm.dims<"B">>, tensor<9x5x2x6xf32>, tensor<9x5x2x6xf32>, tensor<?xi32, #lm.dims<"B">>, tensor<?x7xi32, #lm.dims<"B">>) -> (tensor<?x3x4x6xf32, #lm.dims<"B">>, tensor<?x3x4xf32, #lm.dims<"B">>)
func.func @attention_paged(%q: tensor<?x3x4x6xf32, #lm.dims<"B">>, %k: tensor<9x5x2x6xf32>, %past: tensor<?xi32, #lm.dims<"B">>, %pages: tensor<?x7xi32, #lm.dims<"B">>) -> (tensor<?x3x4x6xf32, #lm.dims<"B">>, tensor<?x3x4xf32, #lm.dims<"B">>) {
  %y:2 = lm.attention %q, %k, %k, %past, %pages {causal, scale = 5.000000e-01 : f64} : (tensor<?x3x4x6xf32, #lm.dims<"B">>, tensor<9x5x2x6xf32>, tensor<9x5x2x6xf32>, tensor<?xi32, #lm.dims<"B">>, tensor<?x7xi32, #lm.dims<"B">>) -> (tensor<?x3x4x6xf32, #lm.dims<"B">>, tensor<?x3x4xf32, #lm.dims<"B">>)
  return %y#0, %y#1 : tensor<?x3x4x6xf32, #lm.dims<"B">>, tensor<?x3x4xf32, #lm.dims<"B">>
}

// -----

// CHECK-LABEL: func.func @attention_of_several_lengths
// CHECK: lm.attention {{.*}} : (tensor<2x1x4x6xf32>, tensor<2x7x2x6xf32>, tensor<2x7x2x6xf32>, tensor<2xi32>) ->
func.func @attention_of_several_lengths(%q: tensor<2x1x4x6xf32>, %k: tensor<2x7x2x6xf32>, %past: tensor<2xi32>) -> tensor<2x1x4xf32> {
  %y:2 = lm.attention %q, %k, %k, %past {scale = 5.000000e-01 : f64} : (tensor<2x1x4x6xf32>, tensor<2x7x2x6xf32>, tensor<2x7x2x6xf32>, tensor<2xi32>) -> (tensor<2x1x4x6xf32>, tensor<2x1x4xf32>)
  return %y#1 : tensor<2x1x4xf32>
}

// -----

func.func @refused(%q: tensor<2x1x4x6xf32>, %k: tensor<9x5x2x6xf32>, %past: tensor<i32>, %pages: tensor<3x7xi32>) {
  // expected-error@+2 {{pages must be [2, pages of a sequence], got 'tensor<3x7xi32>'}}
  // expected-error@+1 {{failed to infer returned types}}
  %y:2 = lm.attention %q, %k, %k, %past, %pages {scale = 5.000000e-01 : f64} : (tensor<2x1x4x6xf32>, tensor<9x5x2x6xf32>, tensor<9x5x2x6xf32>, tensor<i32>, tensor<3x7xi32>) -> (tensor<2x1x4x6xf32>, tensor<2x1x4xf32>)
  return
}

// -----

func.func @refused(%q: tensor<2x1x4x6xf32>, %k: tensor<9x?x2x6xf32, #lm.dims<"P">>, %past: tensor<i32>, %pages: tensor<2x7xi32>) {
  // expected-error@+2 {{a page must have a fixed number of tokens, got a pool [9, P, 2, 6]}}
  // expected-error@+1 {{failed to infer returned types}}
  %y:2 = lm.attention %q, %k, %k, %past, %pages {scale = 5.000000e-01 : f64} : (tensor<2x1x4x6xf32>, tensor<9x?x2x6xf32, #lm.dims<"P">>, tensor<9x?x2x6xf32, #lm.dims<"P">>, tensor<i32>, tensor<2x7xi32>) -> (tensor<2x1x4x6xf32>, tensor<2x1x4xf32>)
  return
}

// -----

func.func @refused(%q: tensor<2x1x4x6xf32>, %k: tensor<9x5x2x8xf32>, %past: tensor<i32>, %pages: tensor<2x7xi32>) {
  // expected-error@+2 {{attention q [2, 1, 4, 6] and k [9, 5, 2, 8] differ in B or D}}
  // expected-error@+1 {{failed to infer returned types}}
  %y:2 = lm.attention %q, %k, %k, %past, %pages {scale = 5.000000e-01 : f64} : (tensor<2x1x4x6xf32>, tensor<9x5x2x8xf32>, tensor<9x5x2x8xf32>, tensor<i32>, tensor<2x7xi32>) -> (tensor<2x1x4x6xf32>, tensor<2x1x4xf32>)
  return
}

// -----

func.func @refused(%q: tensor<2x1x4x6xf32>, %k: tensor<9x5x2x6xf32>, %past: tensor<i32>, %pages: tensor<2x7xi32>) {
  // expected-error@+2 {{attention takes q, k, v, past and pages, got 6 operands}}
  // expected-error@+1 {{failed to infer returned types}}
  %y:2 = lm.attention %q, %k, %k, %past, %pages, %pages {scale = 5.000000e-01 : f64} : (tensor<2x1x4x6xf32>, tensor<9x5x2x6xf32>, tensor<9x5x2x6xf32>, tensor<i32>, tensor<2x7xi32>, tensor<2x7xi32>) -> (tensor<2x1x4x6xf32>, tensor<2x1x4xf32>)
  return
}

// -----

func.func @refused(%q: tensor<2x1x4x6xf32>, %k: tensor<9x5x2x6xf32>, %past: tensor<3xi32>, %pages: tensor<2x7xi32>) {
  // expected-error@+2 {{past must be a scalar or [2], got 'tensor<3xi32>'}}
  // expected-error@+1 {{failed to infer returned types}}
  %y:2 = lm.attention %q, %k, %k, %past, %pages {scale = 5.000000e-01 : f64} : (tensor<2x1x4x6xf32>, tensor<9x5x2x6xf32>, tensor<9x5x2x6xf32>, tensor<3xi32>, tensor<2x7xi32>) -> (tensor<2x1x4x6xf32>, tensor<2x1x4xf32>)
  return
}
