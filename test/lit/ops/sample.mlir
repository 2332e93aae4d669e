// RUN: lmc-opt %s -split-input-file -verify-diagnostics | lmc-opt -split-input-file | FileCheck %s

// CHECK-LABEL: func.func @sample_0
// CHECK: lm.sample %{{.*}}, %{{.*}}, %{{.*}}, %{{.*}}, %{{.*}}, %{{.*}} : (tensor<?x7xf32, #lm.dims<"B">>, {{.*}}, tensor<?x2xi32, #lm.dims<"B">>) -> tensor<?xi32, #lm.dims<"B">>
!n = tensor<?xf32, #lm.dims<"B">>
!i = tensor<?xi32, #lm.dims<"B">>
func.func @sample_0(%x: tensor<?x7xf32, #lm.dims<"B">>, %t: !n, %k: !i, %p: !n, %c: !i, %bits: tensor<?x2xi32, #lm.dims<"B">>) -> !i {
  %y = lm.sample %x, %t, %k, %p, %c, %bits : (tensor<?x7xf32, #lm.dims<"B">>, !n, !i, !n, !i, tensor<?x2xi32, #lm.dims<"B">>) -> !i
  return %y : !i
}

// -----

// CHECK-LABEL: func.func @one_row
func.func @one_row(%x: tensor<7xf32>, %n: tensor<f32>, %i: tensor<i32>, %bits: tensor<2xi32>) -> tensor<i32> {
  %y = lm.sample %x, %n, %i, %n, %i, %bits : (tensor<7xf32>, tensor<f32>, tensor<i32>, tensor<f32>, tensor<i32>, tensor<2xi32>) -> tensor<i32>
  return %y : tensor<i32>
}

// -----

func.func @symbolic_vocabulary(%x: tensor<3x?xf32, #lm.dims<"V">>, %n: tensor<3xf32>, %i: tensor<3xi32>, %bits: tensor<3x2xi32>) -> tensor<3xi32> {
  // expected-error@+2 {{sample takes logits [..., V] with 1 <= V <= 2^22, got [3, V]}}
  // expected-error@+1 {{failed to infer returned types}}
  %y = lm.sample %x, %n, %i, %n, %i, %bits : (tensor<3x?xf32, #lm.dims<"V">>, tensor<3xf32>, tensor<3xi32>, tensor<3xf32>, tensor<3xi32>, tensor<3x2xi32>) -> tensor<3xi32>
  return %y : tensor<3xi32>
}

// -----

func.func @wide_vocabulary(%x: tensor<4194305xf32>, %n: tensor<f32>, %i: tensor<i32>, %bits: tensor<2xi32>) -> tensor<i32> {
  // expected-error@+2 {{sample takes logits [..., V] with 1 <= V <= 2^22, got [4194305]}}
  // expected-error@+1 {{failed to infer returned types}}
  %y = lm.sample %x, %n, %i, %n, %i, %bits : (tensor<4194305xf32>, tensor<f32>, tensor<i32>, tensor<f32>, tensor<i32>, tensor<2xi32>) -> tensor<i32>
  return %y : tensor<i32>
}

// -----

func.func @another_row(%x: tensor<3x7xf32>, %n: tensor<3xf32>, %p: tensor<2xf32>, %i: tensor<3xi32>, %bits: tensor<3x2xi32>) -> tensor<3xi32> {
  // expected-error@+2 {{top_p must be [3], got [2]}}
  // expected-error@+1 {{failed to infer returned types}}
  %y = lm.sample %x, %n, %i, %p, %i, %bits : (tensor<3x7xf32>, tensor<3xf32>, tensor<3xi32>, tensor<2xf32>, tensor<3xi32>, tensor<3x2xi32>) -> tensor<3xi32>
  return %y : tensor<3xi32>
}

// -----

func.func @few_bits(%x: tensor<3x7xf32>, %n: tensor<3xf32>, %i: tensor<3xi32>) -> tensor<3xi32> {
  // expected-error@+2 {{bits must be [3, 2], got [3]}}
  // expected-error@+1 {{failed to infer returned types}}
  %y = lm.sample %x, %n, %i, %n, %i, %i : (tensor<3x7xf32>, tensor<3xf32>, tensor<3xi32>, tensor<3xf32>, tensor<3xi32>, tensor<3xi32>) -> tensor<3xi32>
  return %y : tensor<3xi32>
}
