// RUN: lmc-opt %s -lm-plan-memory -split-input-file -verify-diagnostics

// expected-error@+1 {{an argument or result has no lm.name or lm.role}}
func.func @f(%x: tensor<f32>) {
  return
}

// -----

// expected-error@+1 {{'x' has the unknown role 'weight'}}
func.func @f(%x: tensor<f32> {lm.name = "x", lm.role = "weight"}) {
  return
}

// -----

// expected-error@+1 {{two arguments or results are named 'x'}}
func.func @f(%x: tensor<f32> {lm.name = "x", lm.role = "input"}) -> (tensor<f32> {lm.name = "x", lm.role = "input"}) {
  return %x : tensor<f32>
}

// -----

// expected-error@+1 {{result 0 updates argument 1, which does not exist or has another type}}
func.func @f(%x: tensor<f32> {lm.name = "x", lm.role = "state"}) -> (tensor<f32> {lm.updates = 1 : i64}) {
  return %x : tensor<f32>
}

// -----

// expected-error@+1 {{result 0 updates argument 1, which does not exist or has another type}}
func.func @f(%x: tensor<f32> {lm.name = "x", lm.role = "state"}, %y: tensor<i32> {lm.name = "y", lm.role = "state"}) -> (tensor<f32> {lm.updates = 1 : i64}) {
  return %x : tensor<f32>
}

// -----

// expected-error@+1 {{two results update argument 0}}
func.func @f(%x: tensor<f32> {lm.name = "x", lm.role = "state"}) -> (tensor<f32> {lm.updates = 0 : i64}, tensor<f32> {lm.updates = 0 : i64}) {
  return %x, %x : tensor<f32>, tensor<f32>
}

// -----

func.func @f(%x: tensor<f32> {lm.name = "x", lm.role = "state"}) {
  return
}
// expected-error@+1 {{'x' has another role or element type in another program}}
func.func @g(%x: tensor<i32> {lm.name = "x", lm.role = "state"}) {
  return
}

// -----

func.func @f(%x: tensor<2xf32> {lm.name = "w", lm.role = "parameter"}) {
  return
}
// expected-error@+1 {{'w' is 'tensor<3xf32>' here and 'tensor<2xf32>' in another program}}
func.func @g(%x: tensor<3xf32> {lm.name = "w", lm.role = "parameter"}) {
  return
}
