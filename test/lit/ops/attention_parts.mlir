// RUN: lmc-opt %s -split-input-file -verify-diagnostics | lmc-opt -split-input-file | FileCheck %s

// CHECK-LABEL: func.func @attention_parts_0
// CHECK: lm.attention_parts %{{.*}}, %{{.*}}, %{{.*}}, %{{.*}} {causal, chunk = 16 : i64, parts = 3 : i64, scale = 5.000000e-01 : f64, soft_cap = 5.000000e+01 : f64, window = 20 : i64} : (tensor<2x1x4x6xbf16>, tensor<2x70x2x6xbf16>, tensor<2x70x2x6xbf16>, tensor<i32>) -> (tensor<2x1x4x3x6xf32>, tensor<2x1x4x3xf32>)
func.func @attention_parts_0(%q: tensor<2x1x4x6xbf16>, %k: tensor<2x70x2x6xbf16>, %past: tensor<i32>) -> (tensor<2x1x4x3x6xf32>, tensor<2x1x4x3xf32>) {
  %y:2 = lm.attention_parts %q, %k, %k, %past {causal, chunk = 16 : i64, parts = 3 : i64, scale = 0.5 : f64, window = 20 : i64, soft_cap = 50.0 : f64} : (tensor<2x1x4x6xbf16>, tensor<2x70x2x6xbf16>, tensor<2x70x2x6xbf16>, tensor<i32>) -> (tensor<2x1x4x3x6xf32>, tensor<2x1x4x3xf32>)
  return %y#0, %y#1 : tensor<2x1x4x3x6xf32>, tensor<2x1x4x3xf32>
}

// -----

// Keys of this call alone, as many of them as queries, need no past.
// CHECK-LABEL: func.func @attention_parts_symbolic
// CHECK: lm.attention_parts {{.*}} -> (tensor<1x?x4x2x6xf32, #lm.dims<"T">>, tensor<1x?x4x2xf32, #lm.dims<"T">>)
func.func @attention_parts_symbolic(%q: tensor<1x?x4x6xf32, #lm.dims<"T">>, %k: tensor<1x?x2x6xf32, #lm.dims<"T">>) -> tensor<1x?x4x2xf32, #lm.dims<"T">> {
  %y:2 = lm.attention_parts %q, %k, %k {chunk = 16 : i64, parts = 2 : i64, scale = 0.5 : f64} : (tensor<1x?x4x6xf32, #lm.dims<"T">>, tensor<1x?x2x6xf32, #lm.dims<"T">>, tensor<1x?x2x6xf32, #lm.dims<"T">>) -> (tensor<1x?x4x2x6xf32, #lm.dims<"T">>, tensor<1x?x4x2xf32, #lm.dims<"T">>)
  return %y#1 : tensor<1x?x4x2xf32, #lm.dims<"T">>
}

// -----

func.func @refused(%q: tensor<1x1x2x6xf32>, %k: tensor<1x70x2x6xf32>, %past: tensor<i32>) {
  // expected-error@+2 {{attention needs at least 1 part, got 0}}
  // expected-error@+1 {{failed to infer returned types}}
  %y:2 = lm.attention_parts %q, %k, %k, %past {chunk = 16 : i64, parts = 0 : i64, scale = 0.5 : f64} : (tensor<1x1x2x6xf32>, tensor<1x70x2x6xf32>, tensor<1x70x2x6xf32>, tensor<i32>) -> (tensor<1x1x2x0x6xf32>, tensor<1x1x2x0xf32>)
  return
}

// -----

func.func @refused(%q: tensor<1x1x2x6xf32>, %k: tensor<1x70x2x6xf32>, %past: tensor<i32>) {
  // expected-error@+2 {{attention's chunk must be a multiple of 16 keys, got 24}}
  // expected-error@+1 {{failed to infer returned types}}
  %y:2 = lm.attention_parts %q, %k, %k, %past {chunk = 24 : i64, parts = 2 : i64, scale = 0.5 : f64} : (tensor<1x1x2x6xf32>, tensor<1x70x2x6xf32>, tensor<1x70x2x6xf32>, tensor<i32>) -> (tensor<1x1x2x2x6xf32>, tensor<1x1x2x2xf32>)
  return
}

// -----

func.func @refused(%q: tensor<1x1x2x6xf32>, %k: tensor<1x70x2x6xf32>) {
  // expected-error@+2 {{attention over [1, 70, 2, 6] keys needs the number of past tokens}}
  // expected-error@+1 {{failed to infer returned types}}
  %y:2 = lm.attention_parts %q, %k, %k {chunk = 16 : i64, parts = 2 : i64, scale = 0.5 : f64} : (tensor<1x1x2x6xf32>, tensor<1x70x2x6xf32>, tensor<1x70x2x6xf32>) -> (tensor<1x1x2x2x6xf32>, tensor<1x1x2x2xf32>)
  return
}

// -----

func.func @refused(%q: tensor<1x1x2x6xf32>, %k: tensor<1x70x2x6xf32>, %past: tensor<i32>) {
  // expected-error@+2 {{attention's window (2) is counted back from a query's own position and needs 'causal'}}
  // expected-error@+1 {{failed to infer returned types}}
  %y:2 = lm.attention_parts %q, %k, %k, %past {chunk = 16 : i64, parts = 2 : i64, scale = 0.5 : f64, window = 2 : i64} : (tensor<1x1x2x6xf32>, tensor<1x70x2x6xf32>, tensor<1x70x2x6xf32>, tensor<i32>) -> (tensor<1x1x2x2x6xf32>, tensor<1x1x2x2xf32>)
  return
}

// -----

func.func @refused(%q: tensor<1x1x2x6xf32>, %k: tensor<1x70x2x8xi8>, %past: tensor<i32>) {
  // expected-error@+1 {{operand #1 must be ranked tensor of}}
  %y:2 = lm.attention_parts %q, %k, %k, %past {chunk = 16 : i64, parts = 2 : i64, scale = 0.5 : f64} : (tensor<1x1x2x6xf32>, tensor<1x70x2x8xi8>, tensor<1x70x2x8xi8>, tensor<i32>) -> (tensor<1x1x2x2x6xf32>, tensor<1x1x2x2xf32>)
  return
}

// -----

// CHECK-LABEL: func.func @attention_parts_paged
// CHECK: lm.attention_parts %{{.*}}, %{{.*}}, %{{.*}}, %{{.*}}, %{{.*}} {{.*}} : (tensor<3x1x4x6xf32>, tensor<9x16x2x6xf32>, tensor<9x16x2x6xf32>, tensor<3xi32>, tensor<3x5xi32>) -> (tensor<3x1x4x2x6xf32>, tensor<3x1x4x2xf32>)
func.func @attention_parts_paged(%q: tensor<3x1x4x6xf32>, %k: tensor<9x16x2x6xf32>, %past: tensor<3xi32>, %pages: tensor<3x5xi32>) -> tensor<3x1x4x2xf32> {
  %y:2 = lm.attention_parts %q, %k, %k, %past, %pages {chunk = 16 : i64, parts = 2 : i64, scale = 0.5 : f64} : (tensor<3x1x4x6xf32>, tensor<9x16x2x6xf32>, tensor<9x16x2x6xf32>, tensor<3xi32>, tensor<3x5xi32>) -> (tensor<3x1x4x2x6xf32>, tensor<3x1x4x2xf32>)
  return %y#1 : tensor<3x1x4x2xf32>
}

// -----

func.func @refused(%q: tensor<3x1x4x6xf32>, %k: tensor<9x16x2x6xf32>, %past: tensor<3xi32>, %pages: tensor<15xi32>) {
  // expected-error@+2 {{pages must be [3, pages of a sequence], got 'tensor<15xi32>'}}
  // expected-error@+1 {{failed to infer returned types}}
  %y:2 = lm.attention_parts %q, %k, %k, %past, %pages {chunk = 16 : i64, parts = 2 : i64, scale = 0.5 : f64} : (tensor<3x1x4x6xf32>, tensor<9x16x2x6xf32>, tensor<9x16x2x6xf32>, tensor<3xi32>, tensor<15xi32>) -> (tensor<3x1x4x2x6xf32>, tensor<3x1x4x2xf32>)
  return
}
