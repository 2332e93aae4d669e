// RUN: lmc-opt %s -split-input-file -verify-diagnostics | lmc-opt -split-input-file | FileCheck %s

// CHECK-LABEL: func.func @adamw_0
// CHECK: lm.adamw %{{.*}}, %{{.*}}, %{{.*}}, %{{.*}}, %{{.*}}, %{{.*}}, %{{.*}}, %{{.*}}, %{{.*}} {beta1 = 9.000000e-01 : f64, beta2 = 8.750000e-01 : f64, decay = 1.000000e-01 : f64, eps = 1.000000e-08 : f64} : (tensor<3x5xf32>, tensor<3x5xf32>, tensor<3x5xf32>, tensor<3x5xf32>, tensor<f32>, tensor<f32>, tensor<f32>, tensor<f32>, tensor<i1>) -> (tensor<3x5xf32>, tensor<3x5xf32>, tensor<3x5xf32>)
func.func @adamw_0(%p: tensor<3x5xf32>, %g: tensor<3x5xf32>, %m: tensor<3x5xf32>, %v: tensor<3x5xf32>, %lr: tensor<f32>, %s: tensor<f32>, %c1: tensor<f32>, %c2: tensor<f32>, %ok: tensor<i1>) -> (tensor<3x5xf32>, tensor<3x5xf32>, tensor<3x5xf32>) {
  %y:3 = lm.adamw %p, %g, %m, %v, %lr, %s, %c1, %c2, %ok {beta1 = 9.000000e-01 : f64, beta2 = 8.750000e-01 : f64, decay = 1.000000e-01 : f64, eps = 1.000000e-08 : f64} : (tensor<3x5xf32>, tensor<3x5xf32>, tensor<3x5xf32>, tensor<3x5xf32>, tensor<f32>, tensor<f32>, tensor<f32>, tensor<f32>, tensor<i1>) -> (tensor<3x5xf32>, tensor<3x5xf32>, tensor<3x5xf32>)
  return %y#0, %y#1, %y#2 : tensor<3x5xf32>, tensor<3x5xf32>, tensor<3x5xf32>
}

// -----

func.func @refused(%p: tensor<3x5xf32>, %g: tensor<3x5xf32>, %m: tensor<5x3xf32>, %v: tensor<3x5xf32>, %lr: tensor<f32>, %s: tensor<f32>, %c1: tensor<f32>, %c2: tensor<f32>, %ok: tensor<i1>) -> (tensor<3x5xf32>, tensor<3x5xf32>, tensor<3x5xf32>) {
  // expected-error@+2 {{adamw parameter is 'tensor<3x5xf32>', its gradient or moment 'tensor<5x3xf32>'}}
  // expected-error@+1 {{failed to infer returned types}}
  %y:3 = lm.adamw %p, %g, %m, %v, %lr, %s, %c1, %c2, %ok {beta1 = 9.000000e-01 : f64, beta2 = 8.750000e-01 : f64, decay = 1.000000e-01 : f64, eps = 1.000000e-08 : f64} : (tensor<3x5xf32>, tensor<3x5xf32>, tensor<5x3xf32>, tensor<3x5xf32>, tensor<f32>, tensor<f32>, tensor<f32>, tensor<f32>, tensor<i1>) -> (tensor<3x5xf32>, tensor<3x5xf32>, tensor<3x5xf32>)
  return %y#0, %y#1, %y#2 : tensor<3x5xf32>, tensor<3x5xf32>, tensor<3x5xf32>
}

// -----

func.func @refused(%p: tensor<3x5xf32>, %g: tensor<3x5xf32>, %m: tensor<3x5xf32>, %v: tensor<3x5xf32>, %lr: tensor<1xf32>, %s: tensor<f32>, %c1: tensor<f32>, %c2: tensor<f32>, %ok: tensor<i1>) -> (tensor<3x5xf32>, tensor<3x5xf32>, tensor<3x5xf32>) {
  // expected-error@+2 {{adamw needs lr, scale, c1 and c2 of type 'tensor<f32>', got 'tensor<1xf32>'}}
  // expected-error@+1 {{failed to infer returned types}}
  %y:3 = lm.adamw %p, %g, %m, %v, %lr, %s, %c1, %c2, %ok {beta1 = 9.000000e-01 : f64, beta2 = 8.750000e-01 : f64, decay = 1.000000e-01 : f64, eps = 1.000000e-08 : f64} : (tensor<3x5xf32>, tensor<3x5xf32>, tensor<3x5xf32>, tensor<3x5xf32>, tensor<1xf32>, tensor<f32>, tensor<f32>, tensor<f32>, tensor<i1>) -> (tensor<3x5xf32>, tensor<3x5xf32>, tensor<3x5xf32>)
  return %y#0, %y#1, %y#2 : tensor<3x5xf32>, tensor<3x5xf32>, tensor<3x5xf32>
}

// -----

func.func @refused(%p: tensor<3x5xf32>, %g: tensor<3x5xf32>, %m: tensor<3x5xf32>, %v: tensor<3x5xf32>, %lr: tensor<f64>, %s: tensor<f32>, %c1: tensor<f32>, %c2: tensor<f32>, %ok: tensor<i1>) -> (tensor<3x5xf32>, tensor<3x5xf32>, tensor<3x5xf32>) {
  // expected-error@+2 {{adamw needs lr, scale, c1 and c2 of type 'tensor<f32>', got 'tensor<f64>'}}
  // expected-error@+1 {{failed to infer returned types}}
  %y:3 = lm.adamw %p, %g, %m, %v, %lr, %s, %c1, %c2, %ok {beta1 = 9.000000e-01 : f64, beta2 = 8.750000e-01 : f64, decay = 1.000000e-01 : f64, eps = 1.000000e-08 : f64} : (tensor<3x5xf32>, tensor<3x5xf32>, tensor<3x5xf32>, tensor<3x5xf32>, tensor<f64>, tensor<f32>, tensor<f32>, tensor<f32>, tensor<i1>) -> (tensor<3x5xf32>, tensor<3x5xf32>, tensor<3x5xf32>)
  return %y#0, %y#1, %y#2 : tensor<3x5xf32>, tensor<3x5xf32>, tensor<3x5xf32>
}

// -----

func.func @refused(%p: tensor<3x5xf32>, %g: tensor<3x5xf32>, %m: tensor<3x5xf32>, %v: tensor<3x5xf32>, %lr: tensor<f32>, %s: tensor<f32>, %c1: tensor<f32>, %c2: tensor<f32>, %ok: tensor<1xi1>) -> (tensor<3x5xf32>, tensor<3x5xf32>, tensor<3x5xf32>) {
  // expected-error@+2 {{adamw needs a scalar apply, got 'tensor<1xi1>'}}
  // expected-error@+1 {{failed to infer returned types}}
  %y:3 = lm.adamw %p, %g, %m, %v, %lr, %s, %c1, %c2, %ok {beta1 = 9.000000e-01 : f64, beta2 = 8.750000e-01 : f64, decay = 1.000000e-01 : f64, eps = 1.000000e-08 : f64} : (tensor<3x5xf32>, tensor<3x5xf32>, tensor<3x5xf32>, tensor<3x5xf32>, tensor<f32>, tensor<f32>, tensor<f32>, tensor<f32>, tensor<1xi1>) -> (tensor<3x5xf32>, tensor<3x5xf32>, tensor<3x5xf32>)
  return %y#0, %y#1, %y#2 : tensor<3x5xf32>, tensor<3x5xf32>, tensor<3x5xf32>
}
