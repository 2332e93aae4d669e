// RUN: lmc-opt %s -split-input-file -verify-diagnostics | lmc-opt -split-input-file | FileCheck %s

// CHECK-LABEL: func.func @cache_append_0
// CHECK: lm.cache_append %{{.*}}, %{{.*}}, %{{.*}} : (tensor<2x9x3x4xf32>, tensor<2x2x3x4xf32>, tensor<i32>) -> tensor<2x9x3x4xf32>
func.func @cache_append_0(%cache: tensor<2x9x3x4xf32>, %update: tensor<2x2x3x4xf32>, %past: tensor<i32>) -> tensor<2x9x3x4xf32> {
  %y = lm.cache_append %cache, %update, %past : (tensor<2x9x3x4xf32>, tensor<2x2x3x4xf32>, tensor<i32>) -> tensor<2x9x3x4xf32>
  return %y : tensor<2x9x3x4xf32>
}

// -----

// CHECK-LABEL: func.func @cache_append_1
// CHECK: lm.cache_append %{{.*}}, %{{.*}}, %{{.*}} : (tensor<2x9x3x4xf32>, tensor<2x?x3x4xf32, #lm.dims<"T">>, tensor<i32>) -> tensor<2x9x3x4xf32>
func.func @cache_append_1(%cache: tensor<2x9x3x4xf32>, %update: tensor<2x?x3x4xf32, #lm.dims<"T">>, %past: tensor<i32>) -> tensor<2x9x3x4xf32> {
  %y = lm.cache_append %cache, %update, %past : (tensor<2x9x3x4xf32>, tensor<2x?x3x4xf32, #lm.dims<"T">>, tensor<i32>) -> tensor<2x9x3x4xf32>
  return %y : tensor<2x9x3x4xf32>
}

// -----

// CHECK-LABEL: func.func @cache_append_bytes
// CHECK: lm.cache_append %{{.*}}, %{{.*}}, %{{.*}} : (tensor<2x9x3x44xi8>, tensor<2x?x3x40xf32, #lm.dims<"T">>, tensor<i32>) -> tensor<2x9x3x44xi8>
func.func @cache_append_bytes(%cache: tensor<2x9x3x44xi8>, %update: tensor<2x?x3x40xf32, #lm.dims<"T">>, %past: tensor<i32>) -> tensor<2x9x3x44xi8> {
  %y = lm.cache_append %cache, %update, %past : (tensor<2x9x3x44xi8>, tensor<2x?x3x40xf32, #lm.dims<"T">>, tensor<i32>) -> tensor<2x9x3x44xi8>
  return %y : tensor<2x9x3x44xi8>
}

// -----

func.func @refused(%cache: tensor<2x9x3x4xf32>, %update: tensor<2x2x4x3xf32>, %past: tensor<i32>) -> tensor<2x9x3x4xf32> {
  // expected-error@+2 {{cache_append of 'tensor<2x2x4x3xf32>' to 'tensor<2x9x3x4xf32>'}}
  // expected-error@+1 {{failed to infer returned types}}
  %y = lm.cache_append %cache, %update, %past : (tensor<2x9x3x4xf32>, tensor<2x2x4x3xf32>, tensor<i32>) -> tensor<2x9x3x4xf32>
  return %y : tensor<2x9x3x4xf32>
}

// -----

func.func @refused(%cache: tensor<2x9x3x4xf32>, %update: tensor<2x10x3x4xf32>, %past: tensor<i32>) -> tensor<2x9x3x4xf32> {
  // expected-error@+2 {{cache_append of 'tensor<2x10x3x4xf32>' to 'tensor<2x9x3x4xf32>'}}
  // expected-error@+1 {{failed to infer returned types}}
  %y = lm.cache_append %cache, %update, %past : (tensor<2x9x3x4xf32>, tensor<2x10x3x4xf32>, tensor<i32>) -> tensor<2x9x3x4xf32>
  return %y : tensor<2x9x3x4xf32>
}

// -----

func.func @refused(%cache: tensor<2x9x3x4xf32>, %update: tensor<2x2x3x4xbf16>, %past: tensor<i32>) -> tensor<2x9x3x4xf32> {
  // expected-error@+2 {{cache_append of 'tensor<2x2x3x4xbf16>' to 'tensor<2x9x3x4xf32>'}}
  // expected-error@+1 {{failed to infer returned types}}
  %y = lm.cache_append %cache, %update, %past : (tensor<2x9x3x4xf32>, tensor<2x2x3x4xbf16>, tensor<i32>) -> tensor<2x9x3x4xf32>
  return %y : tensor<2x9x3x4xf32>
}

// -----

func.func @refused(%cache: tensor<2x9x3x4xf32>, %update: tensor<2x2x3x4xf32>, %past: tensor<1xi32>) -> tensor<2x9x3x4xf32> {
  // expected-error@+2 {{past must be a scalar or [2], got 'tensor<1xi32>'}}
  // expected-error@+1 {{failed to infer returned types}}
  %y = lm.cache_append %cache, %update, %past : (tensor<2x9x3x4xf32>, tensor<2x2x3x4xf32>, tensor<1xi32>) -> tensor<2x9x3x4xf32>
  return %y : tensor<2x9x3x4xf32>
}

// -----

func.func @row_of_40_is_44_bytes(%cache: tensor<2x9x3x40xi8>, %update: tensor<2x2x3x40xf32>, %past: tensor<i32>) -> tensor<2x9x3x40xi8> {
  // expected-error@+2 {{cache_append of 'tensor<2x2x3x40xf32>' to 'tensor<2x9x3x40xi8>'}}
  // expected-error@+1 {{failed to infer returned types}}
  %y = lm.cache_append %cache, %update, %past : (tensor<2x9x3x40xi8>, tensor<2x2x3x40xf32>, tensor<i32>) -> tensor<2x9x3x40xi8>
  return %y : tensor<2x9x3x40xi8>
}

// -----

func.func @only_f32_is_rounded(%cache: tensor<2x9x3x44xi8>, %update: tensor<2x2x3x40xbf16>, %past: tensor<i32>) -> tensor<2x9x3x44xi8> {
  // expected-error@+2 {{cache_append of 'tensor<2x2x3x40xbf16>' to 'tensor<2x9x3x44xi8>'}}
  // expected-error@+1 {{failed to infer returned types}}
  %y = lm.cache_append %cache, %update, %past : (tensor<2x9x3x44xi8>, tensor<2x2x3x40xbf16>, tensor<i32>) -> tensor<2x9x3x44xi8>
  return %y : tensor<2x9x3x44xi8>
}

// -----

// CHECK-LABEL: func.func @cache_append_paged
// CHECK: lm.cache_append %{{.*}}, %{{.*}}, %{{.*}}, %{{.*}} : (tensor<7x4x3x44xi8>, tensor<?x1x3x40xf32, #lm.dims<"B">>, tensor<?xi32, #lm.dims<"B">>, tensor<?x5xi32, #lm.dims<"B">>) -> tensor<7x4x3x44xi8>
func.func @cache_append_paged(%pool: tensor<7x4x3x44xi8>, %update: tensor<?x1x3x40xf32, #lm.dims<"B">>, %past: tensor<?xi32, #lm.dims<"B">>, %pages: tensor<?x5xi32, #lm.dims<"B">>) -> tensor<7x4x3x44xi8> {
  %y = lm.cache_append %pool, %update, %past, %pages : (tensor<7x4x3x44xi8>, tensor<?x1x3x40xf32, #lm.dims<"B">>, tensor<?xi32, #lm.dims<"B">>, tensor<?x5xi32, #lm.dims<"B">>) -> tensor<7x4x3x44xi8>
  return %y : tensor<7x4x3x44xi8>
}

// -----

func.func @more_than_all_pages(%pool: tensor<7x4x3x4xf32>, %update: tensor<2x21x3x4xf32>, %past: tensor<i32>, %pages: tensor<2x5xi32>) -> tensor<7x4x3x4xf32> {
  // expected-error@+2 {{cache_append of 'tensor<2x21x3x4xf32>' to 'tensor<7x4x3x4xf32>'}}
  // expected-error@+1 {{failed to infer returned types}}
  %y = lm.cache_append %pool, %update, %past, %pages : (tensor<7x4x3x4xf32>, tensor<2x21x3x4xf32>, tensor<i32>, tensor<2x5xi32>) -> tensor<7x4x3x4xf32>
  return %y : tensor<7x4x3x4xf32>
}

// -----

func.func @refused(%pool: tensor<7x4x3x4xf32>, %update: tensor<2x1x3x4xf32>, %past: tensor<i32>, %pages: tensor<7x5xi32>) -> tensor<7x4x3x4xf32> {
  // expected-error@+2 {{pages must be [2, pages of a sequence], got 'tensor<7x5xi32>'}}
  // expected-error@+1 {{failed to infer returned types}}
  %y = lm.cache_append %pool, %update, %past, %pages : (tensor<7x4x3x4xf32>, tensor<2x1x3x4xf32>, tensor<i32>, tensor<7x5xi32>) -> tensor<7x4x3x4xf32>
  return %y : tensor<7x4x3x4xf32>
}
